"""A call whose arguments have no names: does its body surely refuse it, and what is said if not."""

from __future__ import annotations

import inspect
from types import MethodType
from typing import Any

from ..keys import is_celerys
from .body import function_of
from .fitting import is_ours

__all__ = ["IN_A_WORKER", "is_celerys_call", "is_refused", "not_read"]

IN_A_WORKER = "celery.app.trace"
"""Where the `__call__` is that a worker puts in the place of Celery's own."""

_CALLS = ("celery.app.task", IN_A_WORKER)


def is_celerys_call(call: Any) -> bool:
    """Whether it is Celery's `__call__`, that of its class or of its worker."""
    # not by its module, which whoever wraps it copies; and a proxy, as wrapt's, shows all of it
    return type(call) is MethodType and _place_of(call) in _CALLS


def is_refused(task: Any, call: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call of the body raises `TypeError` for sure, before its first line.

    A decorator, or the `__call__` of a class behind ours, may take what the function in it does
    not, and give that more than it got: then nobody knows. `call`: what runs the body.
    """
    if not is_celerys_call(call):
        return False
    body: Any
    body, own = _body_of(task)
    while is_celerys(body) or is_ours(body) or _place_of(body) == "celery.app.autoretry":
        body = body.__wrapped__
        if inspect.ismethod(body):
            body, own = body.__func__, (task,)
    if "__signature__" in getattr(body, "__dict__", ()):
        return False  # it says what is sent, and not what it takes
    try:
        inspect.signature(body, follow_wrapped=False).bind(*own, *args, **kwargs)
    except TypeError:
        return True
    return False


def not_read(task: Any, call: Any, error: Exception) -> Exception:
    """Return what a call fails with whose arguments may be taken, but have no names.

    `error`: what a call of the function behind all decorators raises. `call`: what runs the body.
    """
    if type(error) is not TypeError:  # pydantic's own, of a value
        return error
    function, _ = function_of(type(task))
    said = f"{error}: the key of task {task.name} is made by {inspect.signature(function)}, the"
    if is_celerys_call(call):
        return TypeError(
            f"{said} signature of the function behind its decorators. If one of these takes other"
            " arguments than that, let what it returns say so: give it a __signature__, an"
            " inspect.Signature"
        )
    return TypeError(
        f"{said} signature of its function. If {getattr(call, '__qualname__', 'its class')} gives"
        " that more than is sent, let the function say what is sent: give it a __signature__, an"
        " inspect.Signature"
    )


def _body_of(task: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return what a task calls as its body, and what that gets before the arguments."""
    run = vars(task).get("run")
    if run is not None:  # Celery's autoretry, or somebody's own
        return (run.__func__, (task,)) if inspect.ismethod(run) else (run, ())
    function, gets_task = function_of(type(task))
    return function, (task,) if gets_task else ()


def _place_of(function: Any) -> Any:
    return getattr(function, "__globals__", {}).get("__name__")
