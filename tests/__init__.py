"""The tests: one room for each kind of proof, and the ground (services, procdocker) below them."""
