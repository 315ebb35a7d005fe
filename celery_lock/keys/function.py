"""Keys made by a function of the task's author."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..errors import LockConfigurationError, LockError
from .message_context import MessageContext
from .parameters import Parameters

__all__ = ["check_function", "function_name", "function_over"]


def function_name(function: Callable[..., Any]) -> str:
    """Return where a function comes from: `"shop.tasks.order_key"`."""
    while isinstance(function, partial):
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    owner = getattr(named, "__objclass__", named)  # a method of a class that is written in C
    module = getattr(owner, "__module__", None)  # one of an object of such a class has none
    return f"{module}.{named.__qualname__}" if module else f"{named.__qualname__}"


def check_function(function: Callable[..., Any]) -> None:
    """Refuse a function whose call does not give the key itself, whatever the task."""
    for called in (function, getattr(function, "__call__", None)):  # noqa: B004 (an object's)
        for what, is_one in _DEFERRED.items():
            if is_one(called):
                raise LockConfigurationError(
                    f"key function {function_name(function)} is {what}; "
                    "write an ordinary function that returns a string"
                )


_DEFERRED: dict[str, Callable[[Any], bool]] = {
    "a coroutine function": inspect.iscoroutinefunction,
    "a generator function": inspect.isgeneratorfunction,
    "an asynchronous generator function": inspect.isasyncgenfunction,
}


def function_over(
    function: Callable[..., str], parameters: Parameters
) -> Callable[[Mapping[str, Any], MessageContext], str]:
    """Return what asks `function` for the key of a call, given its bound arguments.

    It is called with the task's own parameters: by name, except for what the task takes by
    position only, and for everything before `*args`. Raises `LockConfigurationError` where
    it cannot be called so.
    """
    name = function_name(function)
    positional, named = _call(parameters)
    _check_signature(function, name, positional, named, parameters)
    live, rest, extra = parameters.live, parameters.rest, parameters.extra

    def ask(bound: Mapping[str, Any], context: MessageContext) -> str:
        args = [live(each, bound[each]) for each in positional]
        kwargs = {each: live(each, bound[each]) for each in named}
        if rest:
            args += [live(rest, item) for item in bound[rest]]
        if extra:
            kwargs.update((each, live(extra, item)) for each, item in bound[extra].items())
        try:
            key = function(*args, **kwargs)
        except Exception as exc:
            raise LockError(
                f"{parameters.whose}: its key function {name} raised {type(exc).__name__}: {exc}"
            ) from exc
        if not isinstance(key, str):
            raise LockConfigurationError(
                f"{parameters.whose}: its key function {name} returned "
                f"{'None' if key is None else 'a value of type ' + type(key).__name__}; "
                "it must return a string"
            )
        return str.__str__(key)  # (the text of a `str` enum, not its name)

    return ask


def _call(parameters: Parameters) -> tuple[list[str], list[str]]:
    """Return which parameters are passed by position and which by name."""
    positional: list[str] = []
    named: list[str] = []
    for name, parameter in parameters.signature.parameters.items():
        if name in (parameters.rest, parameters.extra):
            continue
        by_position = parameter.kind is parameter.POSITIONAL_ONLY or (
            parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameters.rest is not None
        )
        (positional if by_position else named).append(name)
    return positional, named


def _check_signature(
    function: Callable[..., str],
    name: str,
    positional: list[str],
    named: list[str],
    parameters: Parameters,
) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as exc:
        raise LockConfigurationError(
            f"key function {name} does not tell its parameters; wrap it in a lambda"
        ) from exc
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    why = None
    try:
        bound = signature.bind(*positional, **{each: each for each in named})
    except TypeError as exc:
        why = str(exc)
    else:
        # every argument was its own name: whoever got another one has the names in another order
        for each, got in bound.arguments.items():
            kind = signature.parameters[each].kind
            if kind not in _OPEN and each != got:
                why = why or f"it calls {got!r} by the name {each!r}"
        if parameters.rest and inspect.Parameter.VAR_POSITIONAL not in kinds:
            why = why or f"it takes no *{parameters.rest}"
        if parameters.extra and inspect.Parameter.VAR_KEYWORD not in kinds:
            why = why or f"it takes no **{parameters.extra}"
    if why:
        raise LockConfigurationError(
            f"key function {name}{signature} cannot be called with the parameters of "
            f"{parameters.whose}, {parameters.signature}: {why}"
        )


_OPEN = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
