"""Attributes of a task class that nobody reads, and that somebody has meant for a lock."""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Iterator
from types import CodeType
from typing import Any

from celery import Task

from ..backoff import Backoff
from ..errors import LockConfigurationError
from ..model import Decision, Lock, Scope
from .code_reading import reads_of, words_in
from .option_words import COMMON, COMMON_OF_CALLS, LIST, STRONG, WRITE, has_locks

__all__ = ["check_task_options"]

_CLOSE = 0.87
"""From which ratio on a name is a misspelt one: `on_loss` is not, `atleast` is."""

_OWN = {*vars(Task), "lock"}


def check_task_options(cls: Any, name: str, locked_task: type, *, is_locked: bool) -> None:
    """Refuse what a task class says of a lock where nobody reads it.

    An attribute that any code of the class or of its bases reads, or that a base without a lock
    declares, is its author's. So is a common word in a base class of his own (with a warning where
    it looks like a lock's), and a method with such a name.
    """
    theirs = set(_OWN)
    ours = [klass for klass in cls.__mro__ if issubclass(klass, locked_task)]
    for klass in cls.__mro__:
        if klass not in ours or klass is locked_task:
            theirs |= {*vars(klass), *inspect.get_annotations(klass)}
    read: set[str] | None = None
    for klass in ours[: ours.index(locked_task)]:
        for option, value in list(vars(klass).items()):
            write = None if option in theirs or value is None else _meant(option, value, klass)
            if write is None or (option in COMMON and not is_locked):
                continue
            if read is None:
                read = _read_in(cls)
            if option in read or _is_of_a_base(option, klass):
                continue
            owner = "" if klass is cls else f" (of {klass.__name__})"
            said = (
                f"task {name} has the option {option!r}{owner}, which nobody reads; write {write}"
            )
            if option not in COMMON or klass is cls:
                raise LockConfigurationError(
                    f"{said}. If it is an option of your own, declare it in a base class"
                )
            if option in COMMON_OF_CALLS:
                warnings.warn(
                    f"{said}. If it is an option of your own, declare it in a base class that is"
                    f" not derived from {locked_task.__name__}",
                    stacklevel=2,
                )


def _is_of_a_base(option: str, klass: type) -> bool:
    """A base class, which has the word for itself, lets its tasks say it."""
    return option in COMMON and any(option in vars(base) for base in klass.__mro__[1:])


def _meant(option: str, value: Any, klass: type) -> str | None:
    """Return what to write instead of an option that is meant for a lock; `None`: it is not."""
    if option.startswith("__"):
        return None
    if isinstance(value, Lock) or has_locks(value):
        return f"lock={_written(value)}" if isinstance(value, Lock) else LIST
    if isinstance(value, Decision):
        return "lock=Lock(..., on_conflict=...)"
    if isinstance(value, Backoff):
        return "lock=Lock(..., on_conflict=requeue(...)), with the backoff in it"
    if isinstance(value, Scope):
        return "lock=Lock(..., scope=...)"
    if not vars(klass).get("_decorated") and (callable(value) or hasattr(value, "__get__")):
        # a method of a class-based task: only the names that are a lock's alone are meant for it
        return WRITE[option] if option in _ONLY_OURS else None
    if option in WRITE:
        return WRITE[option]
    close = difflib.get_close_matches(option, STRONG, n=1, cutoff=_CLOSE)
    return WRITE[close[0]] if close else None


def _written(lock: Lock) -> str:
    return f"Lock({lock.key!r}, ...)" if isinstance(lock.key, str) else "Lock(...)"


_ONLY_OURS = {
    *("on_conflict", "on_store_error", "on_lost", "at_least", "at_least_on_failure", "at_most"),
    "queue_ttl",
}


def _read_in(cls: type) -> set[str]:
    """Return each name that the code of a class, of its bases and of its body may read of a task.

    Of a body only what it reads of its own task counts: `row.key` is another one's key.
    """
    found: set[str] = set()
    for klass in cls.__mro__:
        if klass.__module__.partition(".")[0] in ("celery", "builtins") or _is_of_ours(klass):
            continue
        for named, value in list(vars(klass).items()):
            for function in _functions(value):
                code = function.__code__
                own = () if isinstance(value, staticmethod) else code.co_varnames[:1]
                roots = {cls.__name__, "current_task", *own}
                found |= set(reads_of(code, roots) if named in _BODY else words_in(code))
    return found


_BODY = ("run", "_orig_run", "_decorated_fun", "__wrapped__")
"""Where Celery keeps the body."""


def _is_of_ours(klass: type) -> bool:
    return klass.__module__.startswith("celery_lock.")


def _functions(value: Any) -> Iterator[Any]:
    if isinstance(value, property):
        yield from (each for each in (value.fget, value.fset) if hasattr(each, "__code__"))
        return
    value = getattr(value, "__func__", value)
    if inspect.isfunction(value):
        value = inspect.unwrap(value)
        if isinstance(getattr(value, "__code__", None), CodeType):
            yield value
