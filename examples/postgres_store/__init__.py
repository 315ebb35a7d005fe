"""A lock store in a table of PostgreSQL, as another package would bring one."""
