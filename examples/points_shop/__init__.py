"""A web application and a worker that charge the same points of a user."""
