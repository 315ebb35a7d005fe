"""The project's only Django app."""
