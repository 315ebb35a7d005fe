"""What a declaration answers to a wrong call: what it has, and what was probably meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, NoReturn, TypeVar

from .errors import LockConfigurationError, did_you_mean

__all__ = ["Declared", "WrongCall", "answers_wrong_calls"]

T = TypeVar("T")


class WrongCall(LockConfigurationError, TypeError):
    """A declaration was called with what it does not take; also the `TypeError` that it would be
    without our words."""

    def __init__(self, said: str) -> None:
        super().__init__(said)


def answers_wrong_calls(
    example: str, *, elsewhere: Mapping[str, str] | None = None
) -> Callable[[type[T]], type[T]]:
    """Let a dataclass say what it takes when it is called in another way.

    Args:
        example: how it is written, such as `"wait(10)"`.
        elsewhere: names that other libraries use, and what each is called here.
    """

    def answering(cls: type[T]) -> type[T]:
        made: Any = cls
        init = made.__init__

        @wraps(init)
        def __init__(self: Any, *args: Any, **options: Any) -> None:
            try:
                init(self, *args, **options)
            except TypeError as error:
                said = _said(cls.__name__, init, args, options, example, elsewhere or {})
                if said is None:  # the call was right: the error is of a value
                    raise
                raise WrongCall(said) from error

        made.__init__ = __init__
        return cls

    return answering


def _said(
    name: str,
    init: Any,
    args: tuple[Any, ...],
    options: Mapping[str, Any],
    example: str,
    elsewhere: Mapping[str, str],
) -> str | None:
    """Return what is wrong with a call; `None`: nothing is."""
    _, *parameters = inspect.signature(init).parameters.values()
    known = [one.name for one in parameters]
    by_place = [one.name for one in parameters if one.kind is not one.KEYWORD_ONLY]
    has = f"it has {', '.join(known)}" if known else "it has no options at all"
    for option in options:
        if option not in known:
            meant = f": {elsewhere[option]}" if option in elsewhere else did_you_mean(option, known)
            return f"{name} has no option {option!r}{meant}; {has}; write {example}"
    if len(args) > len(by_place):
        extra = args[len(by_place)]
        without = f"only {', '.join(by_place)}" if by_place else "nothing"
        return (
            f"{name} takes {without} without a name, so {_short(extra)} needs one; {has};"
            f" write {example}"
        )
    twice = [one for one in by_place[: len(args)] if one in options]
    if twice:
        return f"{name} was given {twice[0]!r} twice, with and without its name; write {example}"
    missing = [
        one.name
        for one in parameters
        if one.default is one.empty and one.name not in {*by_place[: len(args)], *options}
    ]
    if missing:
        return f"{name} needs {', '.join(missing)}; {has}; write {example}"
    return None


def _short(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= 60 else f"{said[:57]}..."


class Declared:
    """Something that is declared on a task and does nothing itself: no context manager, no
    decorator, and nothing to acquire."""

    __slots__ = ()

    def _instead(self) -> str:
        """Return what to write instead."""
        raise NotImplementedError

    def _refused(self, what: str) -> WrongCall:
        return WrongCall(f"{what}: it only says how a task is locked; {self._instead()}")

    def __enter__(self) -> NoReturn:
        raise self._refused(f"with {type(self).__name__}(...) takes no lock")

    def __exit__(self, *_: object) -> NoReturn:  # pragma: no cover - nobody has entered
        raise self._refused(f"with {type(self).__name__}(...) takes no lock")

    async def __aenter__(self) -> NoReturn:
        raise self._refused(f"async with {type(self).__name__}(...) takes no lock")

    async def __aexit__(self, *_: object) -> NoReturn:  # pragma: no cover - nobody has entered
        raise self._refused(f"async with {type(self).__name__}(...) takes no lock")

    def __call__(self, *_: object, **__: object) -> NoReturn:
        raise self._refused(f"a {type(self).__name__} is neither a decorator nor a function")
