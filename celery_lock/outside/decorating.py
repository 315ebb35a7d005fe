"""What a hold cannot decorate: whatever runs after the call of it has returned."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, TypeVar

from ..errors import LockConfigurationError

__all__ = ["has_run", "refuse_what_runs_later"]

R = TypeVar("R")

_FUNCTIONS = (
    ("a coroutine function", inspect.iscoroutinefunction),
    ("an async generator function", inspect.isasyncgenfunction),
    ("a generator function", inspect.isgeneratorfunction),
)
_RESULTS = (
    (CoroutineType, "a coroutine"),
    (GeneratorType, "a generator"),
    (AsyncGeneratorType, "an async generator"),
)
_INSTEAD = (
    "the key would be given back before its body runs; let hold() decorate a plain function,"
    " or write `with hold(...)` inside"
)


def refuse_what_runs_later(who: str, function: Any) -> str:
    """Return the name of a function that hold() can decorate.

    Raises `LockConfigurationError` for what is none, or what runs after its call has returned.
    """
    name = str(getattr(function, "__qualname__", None) or repr(function))
    if isinstance(function, type) or not callable(function):
        raise LockConfigurationError(
            f"@{who} decorates a function, and {name} is none; for a block write `with`, and for"
            " all methods of a class decorate each"
        )
    if hasattr(function, "apply_async"):
        raise LockConfigurationError(
            f"@{who} decorates a plain function, and {name} is a Celery task; write"
            " @app.task(base=LockedTask, lock=Lock(...)), which also says what a message does that"
            " finds its key taken"
        )
    for called in (function, getattr(function, "__call__", None)):  # noqa: B004 (an object's)
        for what, is_one in _FUNCTIONS:
            if is_one(called):
                raise LockConfigurationError(f"@{who} of {name}: it is {what}, so {_INSTEAD}")
    return name


def has_run(who: str, name: str, result: R) -> R:
    """Return what a function returned, unless that has still to run."""
    for kind, what in _RESULTS:
        if type(result) is kind:
            close: Callable[[], object] = getattr(result, "close", lambda: None)
            close()
            raise LockConfigurationError(f"@{who} of {name}: it returned {what}, so {_INSTEAD}")
    return result
