"""What charges a user's points, for views and tasks alike."""

from __future__ import annotations

from flask import current_app

from celery_lock import hold

from .books import Books


def books() -> Books:
    """Return the books of the application that runs here."""
    return Books(current_app.config["BOOKS"])


def charge_without_lock(user_id: int, amount: int) -> int:
    """Take points from a user; return what is left."""
    return books().charge(user_id, amount)


# The same key as that of the task below: in a task that has it, this yields the task's own lease.
@hold("user:point:{user_id}", max_wait=20)
def charge(user_id: int, amount: int) -> int:
    """The same, one at a time for each user: in each process, of the web and of the workers."""
    return charge_without_lock(user_id, amount)
