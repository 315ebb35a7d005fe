"""Options that nobody reads: which of them somebody has meant for a lock, and what to write."""

from __future__ import annotations

import difflib
import dis
import inspect
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import update_wrapper
from types import CodeType
from typing import Any

from celery import Task

from ..backoff import Backoff
from ..errors import LockConfigurationError
from ..model import Decision, Lock, Scope
from ..policies import KINDS

__all__ = ["ChecksCalls", "check_call_options", "check_task_options"]

_POLICY = {kind.word: kind.written for kind in KINDS}
_OPTIONS = [f.name for f in fields(Lock)]

_WRITE = {
    **{name: f"lock=Lock(..., {name}=...)" for name in _OPTIONS},
    **{f"lock_{name}": f"lock=Lock(..., {name}=...)" for name in _OPTIONS},
    "key": 'lock=Lock("order:{order_id}")',
    "lock_name": 'lock=Lock("order:{order_id}")',
    "lock_id": 'lock=Lock("order:{order_id}")',
    "lock_keys": 'lock=Lock("order:{order_id}")',
    "lock_args": 'lock=Lock("order:{order_id}")',
    "unique_on": 'lock=Lock("order:{order_id}"), with the arguments that count as fields',
    "unique_key": 'lock=Lock("order:{order_id}")',
    "once": f'lock=Lock("order:{{order_id}}", on_conflict={_POLICY["skip"]})',
    "singleton": "lock=Lock()",
    "unique": "lock=Lock()",
    "locks": "lock=Lock(...): a task has one lock",
    "locked": "lock=Lock()",
    "mutex": "lock=Lock()",
    "raise_on_duplicate": f"lock=Lock(..., on_conflict={_POLICY['fail']})",
    "graceful": f"lock=Lock(..., on_conflict={_POLICY['skip']})",
    "lock_expiry": "lock=Lock(..., ttl=...)",
    "lock_expire": "lock=Lock(..., ttl=...)",
    "lock_expires": "lock=Lock(..., ttl=...)",
    "lock_timeout": "lock=Lock(..., ttl=...)",
    "lock_blocking": f"lock=Lock(..., on_conflict={_POLICY['wait']})",
    "lock_wait": f"lock=Lock(..., on_conflict={_POLICY['wait']})",
    "lock_policy": "lock=Lock(..., on_conflict=...)",
    "max_wait": f"lock=Lock(..., on_conflict={_POLICY['wait']})",
    "max_attempts": "lock=Lock(..., on_conflict=requeue(max_attempts=3))",
    "blocking_timeout": f"lock=Lock(..., on_conflict={_POLICY['wait']})",
    "backoff": "lock=Lock(..., on_conflict=requeue(exponential()))",
    **{kind.word: f"lock=Lock(..., on_conflict={kind.written})" for kind in KINDS},
}
"""What to write instead of each option, of ours and of other libraries, that is read nowhere."""

_COMMON = {
    *("key", "ttl", "scope", "unique", "locked", "singleton", "mutex", "once", "graceful"),
    *("max_wait", "max_attempts", "blocking_timeout", "backoff"),
    *("unique_key", "lock_name", "lock_id", "lock_keys"),
    *(kind.word for kind in KINDS),
}
"""Words that a class may well have for something else. On the task itself they are refused too; in
a base class of somebody's own they are his."""

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
            if write is None or (option in _COMMON and not is_locked):
                continue
            if read is None:
                read = _read_in(cls)
            if option in read or _is_of_a_base(option, klass):
                continue
            owner = "" if klass is cls else f" (of {klass.__name__})"
            said = (
                f"task {name} has the option {option!r}{owner}, which nobody reads; write {write}"
            )
            if option not in _COMMON or klass is cls:
                raise LockConfigurationError(
                    f"{said}. If it is an option of your own, declare it in a base class"
                )
            if option in _COMMON_OF_CALLS:
                warnings.warn(
                    f"{said}. If it is an option of your own, declare it in a base class that is"
                    f" not derived from {locked_task.__name__}",
                    stacklevel=2,
                )


def _is_of_a_base(option: str, klass: type) -> bool:
    """A base class, which has the word for itself, lets its tasks say it."""
    return option in _COMMON and any(option in vars(base) for base in klass.__mro__[1:])


def _meant(option: str, value: Any, klass: type) -> str | None:
    """Return what to write instead of an option that is meant for a lock; `None`: it is not."""
    if option.startswith("__"):
        return None
    if isinstance(value, Lock) or _has_locks(value):
        return f"lock={_written(value)}" if isinstance(value, Lock) else _WRITE["locks"]
    if isinstance(value, Decision):
        return "lock=Lock(..., on_conflict=...)"
    if isinstance(value, Backoff):
        return "lock=Lock(..., on_conflict=requeue(...)), with the backoff in it"
    if isinstance(value, Scope):
        return "lock=Lock(..., scope=...)"
    if not vars(klass).get("_decorated") and (callable(value) or hasattr(value, "__get__")):
        # a method of a class-based task: only the names that are a lock's alone are meant for it
        return _WRITE[option] if option in _ONLY_OURS else None
    if option in _WRITE:
        return _WRITE[option]
    close = difflib.get_close_matches(option, _STRONG, n=1, cutoff=_CLOSE)
    return _WRITE[close[0]] if close else None


def _written(lock: Lock) -> str:
    return f"Lock({lock.key!r}, ...)" if isinstance(lock.key, str) else "Lock(...)"


def _has_locks(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple, set, frozenset))
        and bool(value)
        and all(isinstance(one, Lock) for one in value)
    )


_STRONG = sorted(set(_WRITE) - _COMMON)

_ONLY_OURS = {"on_conflict", "on_store_error", "on_lost", "at_least", "at_most", "queue_ttl"}


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
                found |= set(_read_of(code, roots) if named in _BODY else _words(code))
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


def _words(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _words(constant)
        elif isinstance(constant, str):  # getattr(self, "key")
            yield constant


def _read_of(code: CodeType, roots: set[str]) -> Iterator[str]:
    """Yield each attribute of one of these variables that the code reads."""
    before: Any = None
    for step in dis.get_instructions(code):
        if "ATTR" in step.opname or "METHOD" in step.opname:
            yield from [str(step.argval)] if before in roots else []
        before = step.argval if step.opname.startswith("LOAD_") else None
        if isinstance(before, tuple):  # two variables in one step
            before = before[-1]
        before = before if isinstance(before, str) else None
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _read_of(constant, roots)
        elif isinstance(constant, str) and "getattr" in code.co_names:
            yield constant


# -- options of one call ---------------------------------------------------------------------

_OF_CALLS = {"lock", *_STRONG}
_COMMON_OF_CALLS = {"key", "ttl", "scope", "once"}


class ChecksCalls(Task):  # type: ignore[type-arg]
    """A task whose calls are asked for options that somebody has meant for a lock."""

    abstract = True

    def apply_async(self, *args: Any, **options: Any) -> Any:
        """Publish a message; raises `LockConfigurationError` for a lock of a single call."""
        if options:
            check_call_options(self, options, "apply_async")
        return super().apply_async(*args, **options)

    def apply(self, *args: Any, **options: Any) -> Any:
        """Run it here; raises `LockConfigurationError` for a lock of a single call."""
        if options:
            check_call_options(self, options, "apply")
        return super().apply(*args, **options)

    def retry(self, *args: Any, **options: Any) -> Any:
        """Retry it; raises `LockConfigurationError` for a lock of a single call.

        Before Celery sees it, which would drop the message with a retry that cannot be published.
        """
        if options:
            check_call_options(self, options, "retry")
        return super().retry(*args, **options)


for _method in ("apply_async", "apply", "retry"):
    # whoever looks sees the parameters of Celery's own
    update_wrapper(vars(ChecksCalls)[_method], getattr(Task, _method))


def check_call_options(task: Any, options: Mapping[str, Any], how: str) -> None:
    """Refuse what a call says of a lock: the lock is the task's, and the same for every call.

    `how`: the method that was given them. A common word may be the option of a router of
    somebody's own: it is warned of.
    """
    for option, value in options.items():
        if isinstance(value, _KINDS) or _has_locks(value):
            raise LockConfigurationError(_refused(task, option, how))
        if option not in _OF_CALLS and option not in _COMMON_OF_CALLS:
            continue
        if _takes(type(task), how):
            continue
        if option in _OF_CALLS:
            raise LockConfigurationError(_refused(task, option, how))
        warnings.warn(
            f"{how}({option}=...) of task {task.name} says nothing to its lock: nobody reads the"
            f" lock of a single call; declare it on the task, {_WRITE[option]}",
            stacklevel=3,
        )


_KINDS = (Lock, Decision, Backoff, Scope)


def _refused(task: Any, option: str, how: str) -> str:
    return (
        f"{how}({option}=...) of task {task.name}: nobody reads the lock of a single call;"
        " declare it on the task, @app.task(base=LockedTask, lock=Lock(...)). For another lock"
        " write another task"
    )


def _takes(cls: type, how: str) -> bool:
    """Whether a class behind ours may take options of its own from a call."""
    behind = cls.__mro__[cls.__mro__.index(ChecksCalls) + 1 :]
    return any(how in vars(klass) for klass in behind if klass is not Task)
