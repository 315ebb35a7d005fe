"""What a policy answers: a decision, which describes itself as data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, cast

from ..backoff import Backoff
from ..declaring import Declared
from ..errors import LockConfigurationError
from .conflict import Conflict
from .store import Feature

__all__ = ["Decision", "OnConflict", "checked_policy", "written"]


class Decision:
    """What is done about a conflict: the value that `skip()`, `requeue()`, ... return.

    A decision says of itself what logs, checks and errors have to know of it, so that no place
    but `celery_lock.policies` lists the kinds that there are.
    """

    __slots__ = ()

    kinds: ClassVar[tuple[type[Decision], ...]] = ()
    """All kinds, for messages; `celery_lock.policies` names them here as it defines them."""

    word: ClassVar[str] = ""
    """What log rules, events and counters call the decision."""
    written: ClassVar[str] = ""
    """How an author writes the decision, such as `"skip()"`."""
    repeats: ClassVar[bool] = False
    """The message may meet its conflict again afterwards: then only the first one is news."""
    sends: ClassVar[bool] = False
    """The message is sent again: not possible in eager mode, where nothing is ever sent."""
    needs: ClassVar[frozenset[Feature]] = frozenset()
    """What the decision asks of the store, beyond claims, renewals and releases."""

    @property
    def after(self) -> Decision | None:
        """What is done when this has come to its end without the key: its `then`, if any."""
        return getattr(self, "then", None)

    @property
    def says(self) -> str:
        """The phrase of a log line."""
        return self.word

    @property
    def says_at_last(self) -> str:
        """The phrase of a log line where another decision has come to its end before."""
        return self.says

    @property
    def blocks(self) -> float:
        """Seconds at most for which the pool process does nothing else."""
        return 0.0

    @property
    def bounded(self) -> bool:
        """The decision comes to an end by itself."""
        return True

    def spent(self, conflict: Conflict) -> bool:
        """The bound is reached with this conflict: what comes `after` is to be done."""
        return False


OnConflict = Decision | Callable[[Conflict], Decision]
"""A policy: a decision for every conflict, or a function that answers each with one."""


def written(kinds: Iterable[type[Decision]]) -> str:
    """Return what an author can write for these kinds: `"skip(), wait(seconds) or fail()"`."""
    *others, last = (kind.written for kind in kinds)
    return f"{', '.join(others)} or {last}" if others else last


def checked_policy(value: Any, name: str) -> OnConflict:
    """Return `value` if it is a policy; refuse a bare name and anything else."""
    if isinstance(value, Decision):
        return value
    if isinstance(value, type):
        if issubclass(value, Decision):
            raise LockConfigurationError(
                f"{name}={value.__name__} is the name of a policy, not a policy:"
                f" write {name}={value.__name__}()"
            )
    elif callable(value) and not isinstance(value, (Backoff, Declared)):
        _check_function(value, name)
        return cast(OnConflict, value)
    kinds = ", ".join(kind.written for kind in Decision.kinds)
    raise LockConfigurationError(
        f"{name}={value!r} is no policy; write {kinds},"
        " or a function of the Conflict that returns one of them"
    )


def _check_function(function: Any, name: str) -> None:
    """Refuse a policy function that cannot be called with one conflict, or answers it later.

    One in C may not say what it takes: it is believed.
    """
    called = getattr(function, "__qualname__", None) or repr(function)
    how = f"write a function of the Conflict, such as lambda c: {Decision.kinds[0].written}"
    for one in (function, getattr(function, "__call__", None)):  # noqa: B004 (an object's)
        if any(is_one(one) for is_one in _LATER):
            raise LockConfigurationError(
                f"{name}={called} answers later: it is a coroutine or a generator function; {how}"
            )
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(None)
    except TypeError as error:
        raise LockConfigurationError(
            f"{name}={called}{signature} cannot be called with one argument, the Conflict"
            f" ({error}); {how}"
        ) from error


_LATER = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
