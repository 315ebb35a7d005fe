"""A custom policy: a function that looks at a conflict and says what is done about it."""
