"""What the class of a locked task is fitted with as it is bound, besides its lock."""

from __future__ import annotations

import inspect
from functools import update_wrapper, wraps
from typing import Any

from celery import Task
from celery._state import get_current_task

from .holding import Holding

__all__ = [
    "DJANGO_TASK",
    "is_ours",
    "keep_users_request",
    "let_interrupt",
    "offer_on_commit",
    "show_as",
]

DJANGO_TASK = "celery.contrib.django.task"
"""Where Celery's own Django task is."""


def let_interrupt(cls: Any, app: Any, name: str) -> None:
    """Let the body of a task be interrupted: the body alone, and nothing of Celery's.

    The wrapper of Celery's `autoretry_for` stays around the body, also where the wrapper came
    first: a class-based task gets it before the task is bound.
    """
    body = inspect.getattr_static(cls, "run")
    if isinstance(body, (staticmethod, classmethod)):
        cls.run = type(body)(_interruptible(body.__func__))
    else:
        cls.run = _interruptible(body)
    mine = vars(app._tasks.get(name, cls))
    if "_orig_run" in mine:
        app._tasks[name]._orig_run = _interruptible(mine["_orig_run"])


def _interruptible(body: Any) -> Any:
    if is_ours(body):  # Celery binds some tasks twice
        return body

    @wraps(body)
    def run(*args: Any, **kwargs: Any) -> Any:
        task = get_current_task()
        here = None if task is None else Holding.of(task.request)
        return body(*args, **kwargs) if here is None else here.run(body, args, kwargs)

    run._celery_lock = True  # type: ignore[attr-defined]  # a function has any attribute
    return run


def is_ours(body: Any) -> bool:
    """Whether a body is a wrapper of ours, which hands on all arguments."""
    return bool(getattr(body, "_celery_lock", False))


def show_as(method: Any, other: Any) -> Any:
    """Let whoever looks at a method of ours see another one, which is not wrapped by it.

    Of what is wrapped Celery's `add_around` takes the inner one, and ours would be left out.
    """
    update_wrapper(method, other)
    del method.__wrapped__
    return method


def offer_on_commit(cls: Any, app: Any) -> None:
    """Offer what Celery's own Django task does, where its Django fix-up is on, or the app's class
    is such a task."""
    from celery.fixups.django import DjangoFixup  # imports no Django by itself

    by_class = any(klass.__module__ == DJANGO_TASK for klass in app.Task.__mro__)
    by_fixup = any(isinstance(fixup, DjangoFixup) for fixup in getattr(app, "_fixups", ()))
    if not by_class and not by_fixup:
        return
    from celery.contrib.django.task import DjangoTask

    for name in ("delay_on_commit", "apply_async_on_commit"):
        if not hasattr(cls, name):
            setattr(cls, name, getattr(DjangoTask, name))


def keep_users_request(cls: Any, ours: str, *, is_locked: bool) -> None:
    """Put our request over one that the user's class brought; `ours`: where ours is.

    Where the user's class stands behind ours, ours hides it: then also of a task without a lock,
    which would have none of its own.
    """
    users = cls.Request
    if users == ours:
        users = _hidden_request(cls, ours)
        if users is None:
            return
    elif not is_locked:
        return
    from .request import combined

    cls.Request = combined(users)


def _hidden_request(cls: Any, ours: str) -> Any:
    """Return the Request of a class behind ours; `None`: there is only Celery's.

    One of a class behind Celery's own is not the task's: Celery's hides that from a plain task.
    """
    known = (None, ours, Task.Request)
    named = (vars(klass).get("Request") for klass in cls.__mro__[: cls.__mro__.index(Task)])
    return next((each for each in named if each not in known), None)
