"""What a type checker says about users' code."""
