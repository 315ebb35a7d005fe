"""A small Django project with a database, an app and locked tasks, as users lay one out."""
