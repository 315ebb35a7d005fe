"""A refusal at the start of a command: one line in the log instead of a traceback."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import LockConfigurationError

__all__ = ["refusing", "refusing_at_start", "typed"]

logger = logging.getLogger("celery_lock")


@contextmanager
def refusing() -> Iterator[None]:
    """End `celery worker` and `celery beat` with status 1 if their locks are set up wrongly.

    Whoever types a command reads what to change, and not how Celery came to read it. A program
    that makes a worker or a beat by itself gets the error as it is.
    """
    try:
        yield
    except LockConfigurationError as error:
        if not typed():
            raise
        logger.critical("%s", error)
        raise SystemExit(1) from error


@contextmanager
def refusing_at_start(app: Any) -> Iterator[None]:
    """Do so for what is wrong with a task, or with a setting that it is bound by.

    Celery binds all tasks as a worker or a beat starts, before there is a log. A task that a body
    declares is bound later: its error is that of the body.
    """
    # of the lock that Celery has while it binds them, and what a Condition asks of a lock
    owns = getattr(getattr(app, "_finalize_mutex", None), "_is_owned", bool)
    if owns() and typed("worker", "beat"):
        with refusing():
            yield
    else:
        yield


def typed(*commands: str) -> bool:
    """Whether this thread runs a command that somebody has typed: any, or one of these."""
    import click  # it is loaded if a command was typed

    context = click.get_current_context(silent=True)
    return context is not None and (not commands or context.info_name in commands)
