"""Writing our header into the messages of locked tasks, as Celery publishes them.

By a receiver of Celery's `before_task_publish`, which sees whatever is published and however:
`delay`, canvas, beat, retry, `send_task`, `celery call`. Each message so gets a name of its own,
which tells it from its copies, and whatever receivers have carried over from another task's
message is taken out. A process that publishes by name may bind its tasks only after that, or in
the receiver itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import replace
from typing import Any

from celery import signals
from celery._state import _get_active_apps, _task_stack  # type: ignore[attr-defined]

from ..errors import LockError
from ..message import HEADER, Header, handed_to, mark_of, marked, new_publication, of_request
from ..message.carried import Survives, is_of_another, put, written_in
from ..message.header import VERSION
from .bound import BoundLock
from .in_one_message import CALLERS, warn_of_calls
from .locks import locks_of

__all__ = ["begin", "come_last", "expect"]

logger = logging.getLogger("celery_lock")

_locked: set[str] = set()
"""Names of tasks that have a lock; in some app, and not for ever."""


_kept_by_run: list[Callable[[Any], str | list[str] | None]] = []


def begin(kept_by_run: Callable[[Any], str | list[str] | None]) -> None:
    """Name messages from now on; more than once is once.

    `kept_by_run`: returns what a running request leaves to its retry, if it leaves anything.
    """
    _kept_by_run[:] = [kept_by_run]
    signals.before_task_publish.connect(_stamp, weak=False)


def expect(name: str) -> None:
    """A task of this name has a lock: its messages get a header from now on."""
    _locked.add(name)
    come_last()


def come_last() -> None:
    """Stand behind all other receivers, which may write another task's header over ours.

    In one step: no message is published without us meanwhile, or named twice.
    """
    signal: Any = signals.before_task_publish  # the stubs know but half of it
    if signal.receivers and signal.receivers[-1][1] is _stamp:
        return
    with signal.lock:
        others = [each for each in signal.receivers if each[1] is not _stamp]
        ours = [each for each in signal.receivers if each[1] is _stamp]
        signal.receivers = others + ours
        signal.sender_receivers_cache.clear()


def _stamp(
    sender: Any = None,
    headers: MutableMapping[str, Any] | None = None,
    properties: Any = None,
    body: Any = None,
    **_: Any,
) -> None:
    """Never raises: what is wrong with a header, its worker says."""
    try:
        come_last()  # for the next message; this one passes all that stood there before
        if headers is not None:
            # of Celery's protocol 1, the body says what the headers say in the other one
            about = headers if "id" in headers or not isinstance(body, Mapping) else body
            _write(str(sender), headers, about, properties)
            if sender in CALLERS:
                warn_of_calls(sender, body, lambda name: _is_locked(name, properties))
    except LockError:
        return
    except Exception:  # the message is sent all the same
        logger.exception("the message of task %s gets no header of ours", sender)


def _write(
    name: str, headers: MutableMapping[str, Any], about: Mapping[str, Any], properties: Any
) -> None:
    task_id = str(about.get("id"))
    if name in _locked or not all(app.finalized for app in _get_active_apps()):
        for app in _publishers(properties):
            try:
                bound = _locks_of(app, name)
            except Exception:  # its worker says what; and it need not be the app that sends
                continue
            if bound:
                timed = publishes = False
                for lock in bound:  # each message comes by, and any() takes three times as long
                    timed = timed or lock.key.timed
                    publishes = publishes or lock.scope.is_publishers
                mark = _mark_of(app, name, about) if publishes else ""
                _name(name, task_id, headers, about, app if timed else None, mark)
                if about.get("retries") or about.get("replaced_task_nesting"):
                    _say_what_was_shown(name, task_id, headers, bound)
                if about.get("retries") and any(lock.across_retries for lock in bound):
                    _say_what_is_kept(name, task_id, headers)
                return
    if any(is_of_another(each, task_id) for each in written_in(headers)):
        put(headers, None)


def _name(
    name: str,
    task_id: str,
    headers: MutableMapping[str, Any],
    about: Mapping[str, Any],
    clock_of: Any,
    mark: str,
) -> None:
    """Write a name, and what has survived of what is written there, into a message's headers.

    `clock_of`: the app, where the key shows when the message was first published. `mark`: of which
    task it is, where a publisher may ask.
    """
    nonce, fields = handed_to(task_id)
    retries, nesting = about.get("retries") or 0, about.get("replaced_task_nesting") or 0
    if (clock_of is None or fields) and not retries and not nesting and not written_in(headers):
        # the usual message, as `write` would have it
        publication = marked(nonce or new_publication(), mark)
        put(headers, {"v": VERSION, "id": task_id, "publication": publication, **fields})
        return
    said = Header.read(headers, id=task_id, retries=retries, nesting=nesting)
    says_more = said.id or said.key or said.keys or said.extra or said.context.is_known
    if (retries or nesting) and not says_more:
        before = _of_the_run_before(name, task_id)
        if before is not None:  # its own call may say `lock=None`
            said = replace(before, unlocked=before.unlocked or said.unlocked)
    kept = said.through(Survives.ANEW, retries=retries, nesting=nesting)
    # a tick that its scheduler sends in a way of its own, under the name that all beats give it
    ticks = said.publication if said.beat is not None and said.id is None else None
    publication = marked(nonce or ticks or new_publication(), mark)
    header = replace(kept, id=task_id, publication=publication, **fields)
    if clock_of is not None and header.first_published is None and header.key is None:
        header = replace(header, first_published=locks_of(clock_of).now())
    put(headers, header.write())


def _say_what_was_shown(
    name: str,
    task_id: str,
    headers: MutableMapping[str, Any],
    bound: tuple[BoundLock, ...],
) -> None:
    """Let a retry, and a replacement in the same task, keep the key of its run.

    A retry may be sent to another queue, and tools may take its headers away; of a replacement they
    are left out by Celery.
    """
    if not any(lock.key.shows_sender for lock in bound):
        return
    request = _run_before(name, task_id)
    if request is not None:
        context = of_request(request, Header.of(request)).context
        shown = {place: text for lock in bound for place, text in lock.key.shown(context).items()}
        if shown:
            put(headers, {**headers[HEADER], "shown": shown})


def _mark_of(app: Any, name: str, about: Mapping[str, Any]) -> str:
    ignored = about.get("ignore_result")
    if ignored is None:
        ignored = getattr(app._tasks.get(name), "ignore_result", False)
    return mark_of(app.main or "", name, stored=not ignored)


def _say_what_is_kept(name: str, task_id: str, headers: MutableMapping[str, Any]) -> None:
    """Let a retry carry the keys that its run leaves to it.

    Should it be revoked or expire, the main process frees them. It cannot compute them: a key may
    show what only the pool process knew.
    """
    request = _run_before(name, task_id)
    kept = None if request is None else _kept_by_run[0](request)
    if kept is not None:
        field = "kept" if isinstance(kept, str) else "all_kept"
        put(headers, {**headers[HEADER], field: kept})


def _of_the_run_before(name: str, task_id: str) -> Header | None:
    """Return the header of the run that publishes its own retry, or itself in its place.

    Celery copies it into a retry, but not where a tool or the body itself has written the headers
    that it copies; and into a replacement it copies none.
    """
    request = _run_before(name, task_id)
    return None if request is None else Header.of(request)


def _run_before(name: str, task_id: str) -> Any:
    """Return the request that runs here, if it publishes its own task once more."""
    task = _task_stack.top
    if task is None or task.name != name or str(task.request.id) != task_id:
        return None
    return task.request


def _publishers(properties: Any) -> list[Any]:
    """Return the app that publishes; all that it could be, where the message does not tell.

    The signal does not name it. Where to send the reply does, unless somebody has said it.
    """
    apps = list(_get_active_apps())
    reply_to = (properties or {}).get("reply_to")
    return [app for app in apps if app.thread_oid == reply_to] or apps


def _is_locked(name: str, properties: Any) -> bool:
    return any(_locks_of(app, name) for app in _publishers(properties))


def _locks_of(app: Any, name: str) -> tuple[BoundLock, ...]:
    if name not in app._tasks and not app.finalized and app.autofinalize:
        # `celery call` and `send_task` publish by name and bind nothing
        app.finalize(auto=True)
    bound: tuple[BoundLock, ...] = getattr(app._tasks.get(name), "_bound_locks", ())
    return bound
