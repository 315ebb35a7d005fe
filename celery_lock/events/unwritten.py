"""A line of the log, where a filter, a handler or a factory of the user's may raise.

What logging itself does about a handler that fails: it says so on stderr, and the program goes on.
A filter that fails is not caught there, and one that asks for a web request does fail on a thread.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress

__all__ = ["write"]


def write(
    logger: logging.Logger,
    level: int,
    message: str,
    *values: object,
    extra: Mapping[str, object] | None = None,
    exc_info: bool = False,
) -> None:
    """Write a line. One that cannot be written is left out; never raises."""
    try:
        logger.log(level, message, *values, extra=extra, exc_info=exc_info)
    except Exception:
        # not sys.stderr: a worker makes lines of the log of what is written there
        if logging.raiseExceptions and sys.__stderr__ is not None:
            with suppress(Exception):
                traceback.print_exc(file=sys.__stderr__)
