"""The keys of a call that nobody has published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..app.bound import BoundLock
from ..app.locks import locks_of
from ..app.outgoing import header_of_call, outgoing
from ..errors import LockConfigurationError, LockError
from ..keys import FinishedKey, NotInMessage
from ..message import HEADER, Header, headers_in, of_request, routed
from ..message.header import VERSION
from .wants import wants_of
from .without_lock import is_without_lock

__all__ = ["keep_shown", "keys_of_call", "with_queue"]


def keys_of_call(
    task: Any, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None, options: dict[str, Any]
) -> list[str]:
    """Return the keys of `task.apply_async(args, kwargs, **options)`, as the store has them.

    Raises `LockError` where the task has no lock, and where its call has no key.
    """
    bound = _locks(task)
    if is_without_lock(options):
        raise LockError(
            f"a call of task {task.name} with lock=None takes no lock, so it has no key"
        )
    # the header of the task that asks is nobody's
    header = header_of_call(options, str(options.get("task_id") or ""))
    header, _ = outgoing(task, bound, args, kwargs, options, header, locks_of(task.app).now)
    given, named = tuple(args or ()), dict(kwargs or {})
    try:
        keys = [want.name for want in wants_of(task.name, bound, header, given, named)]
    except NotInMessage as error:
        raise NotInMessage(
            f"{error}. A call has the headers and the queue that are given with it:"
            " task.keys_of(args, kwargs, headers={...}, queue=...)"
        ) from None
    return [FinishedKey(key) for key in keys]


def _locks(task: Any) -> tuple[BoundLock, ...]:
    refused: str = getattr(task, "_refused", "")
    bound: tuple[BoundLock, ...] = getattr(task, "_bound_locks", ())
    if refused:
        raise LockConfigurationError(refused)
    if not bound:
        raise LockError(
            f"task {task.name} has no lock, so a call of it has no key; declare one:"
            " @app.task(base=LockedTask, lock=Lock(...))"
        )
    return bound


def with_queue(
    task: Any, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None, options: dict[str, Any]
) -> dict[str, Any]:
    """Return the options of `task.apply()` with the queue that the call would be routed to.

    An eager request knows no queue, so the header says it, where a key shows it.
    """
    if not any(lock.key.shows_queue for lock in getattr(task, "_bound_locks", ())):
        return options
    headers = headers_in(options)
    if "shown" in _ours(headers):
        return options  # a retry has that of its first run
    try:
        queue = routed(task, args, kwargs, options).queue
    except Exception:  # in eager mode nobody else routes the call: its key says that it is unknown
        queue = None
    if queue is None:
        return options
    return {**options, "headers": _shows(headers, {"queue": queue})}


def keep_shown(task: Any, request: Any, signature: Any) -> None:
    """Let what takes the place of an eager run in the same task keep what its key showed.

    A worker publishes that, and its header says so.
    """
    locks = [lock for lock in task._bound_locks if lock.key.shows_sender]
    if not locks or signature.get("task") != task.name:
        return
    context = of_request(request, Header.of(request)).context
    shown = {place: text for lock in locks for place, text in lock.key.shown(context).items()}
    signature.set(headers=_shows(headers_in(signature.options), shown))


def _shows(headers: Mapping[str, Any], shown: Mapping[str, str]) -> dict[str, Any]:
    return {**headers, HEADER: {"v": VERSION, **_ours(headers), "shown": {**shown}}}


def _ours(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    written = headers.get(HEADER)
    return written if isinstance(written, Mapping) else {}
