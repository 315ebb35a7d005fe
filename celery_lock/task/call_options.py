"""Options of a single call that somebody has meant for a lock: all but `lock=None` are refused."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

from celery import Task

from ..backoff import Backoff
from ..errors import LockConfigurationError
from ..model import Decision, Lock, Scope
from .call_keys import with_queue
from .fitting import show_as
from .option_words import COMMON_OF_CALLS, STRONG, WRITE, has_locks
from .without_lock import without_lock

__all__ = ["ChecksCalls", "check_call_options", "show_as_celerys"]

_OF_CALLS = {"lock", *STRONG}
_KINDS = (Lock, Decision, Backoff, Scope)


class ChecksCalls(Task):  # type: ignore[type-arg]
    """A task whose calls are asked for options that somebody has meant for a lock."""

    abstract = True

    def apply_async(self, *args: Any, **options: Any) -> Any:
        """Publish a message; raises `LockConfigurationError` for a lock of a single call.

        `lock=None`: this one run goes without the lock.
        """
        if options:
            check_call_options(self, options, "apply_async")
            if _says_none(self, options, "apply_async"):
                options = without_lock(options)
        return super().apply_async(*args, **options)

    def apply(self, *args: Any, **options: Any) -> Any:
        """Run it here; raises `LockConfigurationError` for a lock of a single call.

        `lock=None`: this one run goes without the lock.
        """
        if options:
            check_call_options(self, options, "apply")
            if _says_none(self, options, "apply"):
                options = without_lock(options)
        given, named = (*args, options.get("args"), options.get("kwargs"))[:2]
        return super().apply(*args, **with_queue(self, given, named, options))

    def retry(self, *args: Any, **options: Any) -> Any:
        """Retry it; raises `LockConfigurationError` for a lock of a single call.

        Before Celery sees it, which would drop the message with a retry that cannot be published.
        """
        if options:
            check_call_options(self, options, "retry")
        return super().retry(*args, **options)


def show_as_celerys(method: Any, celerys: Any) -> None:
    """Let whoever looks see the parameters of Celery's own method."""
    show_as(method, celerys).__signature__ = inspect.signature(celerys)


for _method in ("apply_async", "apply", "retry"):
    show_as_celerys(vars(ChecksCalls)[_method], getattr(Task, _method))


def check_call_options(task: Any, options: Mapping[str, Any], how: str) -> None:
    """Refuse what a call says of a lock: the lock is the task's, and the same for every call.

    `how`: the method that was given them. A common word may be the option of a router of
    somebody's own: it is warned of.
    """
    for option, value in options.items():
        if isinstance(value, _KINDS) or has_locks(value):
            raise LockConfigurationError(_refused(task, option, how))
        if option not in _OF_CALLS and option not in COMMON_OF_CALLS:
            continue
        if _takes(type(task), how) or _says_none(task, {option: value}, how):
            continue
        if option in _OF_CALLS:
            said = _refused(task, option, how)
            if option == "lock" and value is None:
                said = (
                    f"{how}(lock=None) of task {task.name}: a retry runs under the lock of its"
                    " task; to run it once without, publish it: apply_async(..., lock=None)"
                )
            raise LockConfigurationError(said)
        warnings.warn(
            f"{how}({option}=...) of task {task.name} says nothing to its lock: nobody reads the"
            f" lock of a single call; declare it on the task, {WRITE[option]}",
            stacklevel=3,
        )


def _says_none(task: Any, options: Mapping[str, Any], how: str) -> bool:
    """Whether a call goes without the lock of its task: `lock=None`. A retry is not asked."""
    if "lock" not in options or options["lock"] is not None or how == "retry":
        return False
    return not _takes(type(task), how)


def _refused(task: Any, option: str, how: str) -> str:
    return (
        f"{how}({option}=...) of task {task.name}: nobody reads the lock of a single call;"
        " declare it on the task, @app.task(base=LockedTask, lock=Lock(...)). For another lock"
        " write another task; lock=None alone is read, for a run without the lock"
    )


def _takes(cls: type, how: str) -> bool:
    """Whether a class behind ours may take options of its own from a call."""
    behind = cls.__mro__[cls.__mro__.index(ChecksCalls) + 1 :]
    return any(how in vars(klass) for klass in behind if klass is not Task)
