"""A pool that goes by the name of eventlet's, without its package."""

from celery.concurrency.solo import TaskPool

__all__ = ["TaskPool"]

TaskPool = type("TaskPool", (TaskPool,), {"__module__": "celery.concurrency.eventlet"})
