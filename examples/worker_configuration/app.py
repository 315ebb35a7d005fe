"""The Celery app: `task_cls` lets any task declare a lock, and the settings say the rest.

    celery -A examples.worker_configuration.app worker

is all that starts a worker: there is no plug-in to load and no step to register.
"""

from __future__ import annotations

from celery import Celery

from celery_lock import Lock, current_lease

# Tasks of this app are LockedTasks, those of libraries and Celery's own too. Only what declares
# a lock, here or in task_annotations, is locked.
app = Celery("worker_configuration", task_cls="celery_lock:LockedTask")
app.config_from_object("examples.worker_configuration.celeryconfig")


@app.task(lock=Lock("report:{day}"))
def report(day: str) -> dict[str, object]:
    """Tell what it runs under: the rest of its lock is in the settings."""
    lease = current_lease()
    return {"key": lease.key, "remaining": lease.remaining()}


@app.task
def thumbnail(picture: str) -> str:
    """Declare no lock, and have none."""
    return f"{picture}.small"
