"""The body of a task: the function behind its `run`, and one that is a coroutine function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from ..errors import LockError
from ..keys import is_celerys
from .fitting import is_ours

__all__ = ["behind_celerys", "function_of", "is_coroutine", "own_call", "to_its_end"]


def function_of(cls: Any) -> tuple[Any, bool]:
    """Return the function that a task class has as `run`, and whether that gets the task first."""
    run = inspect.getattr_static(cls, "run")
    function = run.__func__ if isinstance(run, (staticmethod, classmethod)) else run
    return function, not isinstance(run, staticmethod)


def behind_celerys(function: Any) -> Any:
    """Return a body without Celery's own wrapper (pydantic=True), which hands on what it returns.

    Any other decorator may run a coroutine to its end, and then is a plain function.
    """
    return inspect.unwrap(function, stop=lambda each: not is_celerys(each))


# -- coroutines ------------------------------------------------------------------------------


def is_coroutine(cls: Any) -> bool:
    """Whether the body of a task class is a coroutine function, which runs nothing by itself."""
    return inspect.iscoroutinefunction(behind_celerys(function_of(cls)[0]))


def own_call(cls: Any) -> type | None:
    """Return the class of the task's author, and not Celery's or ours, that has a `__call__`.

    One that we have put around another is found where there is no other: the task was bound before.
    """
    own = [klass for klass in cls.__mro__ if "__call__" in vars(klass) and not _is_known(klass)]
    theirs = (klass for klass in own if not is_ours(vars(klass)["__call__"]))
    return next(theirs, own[0] if own else None)


def _is_known(klass: type) -> bool:
    return klass.__module__.partition(".")[0] in ("celery", "celery_lock") or klass is object


def to_its_end(task: Any, call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a call that has run the body where it returns, and is an error where it has not."""

    def run(*args: Any, **kwargs: Any) -> Any:
        result = call(*args, **kwargs)
        runs_on = inspect.isawaitable(result) or isinstance(result, Future)
        if not runs_on or task.request.called_directly:
            return result
        if inspect.iscoroutine(result):
            result.close()
        elif isinstance(result, Future):
            result.cancel()  # without its key it is not to run on
        raise LockError(
            f"the body of task {task.name} is a coroutine function, and its class has not run it"
            " to its end: let __call__ return asyncio.run(self.run(*args, **kwargs))"
        )

    run.__qualname__ = getattr(call, "__qualname__", run.__qualname__)  # an error names it
    return run
