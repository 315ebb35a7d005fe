"""The tests: one room for each kind of proof, and what they stand on: services, procdocker."""
