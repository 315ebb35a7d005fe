"""A refusal at the start of a command: one line in the log instead of a traceback."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import LockConfigurationError

__all__ = ["refusing", "typed"]

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


def typed() -> bool:
    """Whether this thread runs a command that somebody has typed."""
    import click  # it is loaded if a command was typed

    return click.get_current_context(silent=True) is not None
