"""Publishing a task whose lease its publisher takes: claim, send, leave the lease to the message.

A message that is sent carries what its worker has to know: its key, and the lease that was taken
for it. Where the store gives no answer, or somebody has the key and the message is sent all the
same, it carries no lease, and its worker asks.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple
from uuid import uuid4

from celery import Task
from celery._state import _task_stack  # type: ignore[attr-defined]  # not in the stubs

from ..app.bound import BoundLock
from ..app.outgoing import header_of_call, outgoing
from ..engine.publishing import PublishersLeases
from ..errors import StoreError
from ..events import Subject
from ..message import mark_of, marked, named, new_publication
from ..model import Claim, End, Holder
from ..model.made import made
from ..model.per_process import PerProcess
from .call_options import ChecksCalls, show_as_celerys
from .duplicates import Published, answer
from .queue_life import queue_life
from .wants import Want, each_name_once, wants_of
from .without_lock import is_without_lock

__all__ = ["PublishesLeases"]

logger = logging.getLogger("celery_lock")

_ORDER = ("task_id", "producer", "link", "link_error", "shadow")
"""What `apply_async` takes by position, behind the arguments of the task."""

_OF_CANVAS = ("parent_id", "chord", "group_id", "chain", "link", "link_error")
"""Options with which somebody waits for the message itself, and not for its work."""

_here = PerProcess(lambda: str(Holder("", socket.gethostname(), os.getpid())))
"""What stands between the task id and the name of the publication in the holder of a publisher."""

Send = Callable[..., Any]


class PublishesLeases(ChecksCalls):
    """A task that takes leases as it is published, where its locks say so."""

    abstract = True

    _publishes: bool | None = None
    """One of its locks has a scope that begins as it is published; `None`: it is not bound yet."""

    def apply_async(self, args: Any = None, kwargs: Any = None, *more: Any, **options: Any) -> Any:
        """Publish a message, with its lease where the task's lock is taken by the publisher.

        A duplicate is not sent where the policy says so: the result is that of the task that has
        the key, or `LockConflict` is raised.
        """
        send = super().apply_async
        if self._publishes is None:  # Celery shows a task to other threads before it is bound
            type(self).bind(self.app)
        if not self._publishes:
            return send(args, kwargs, *more, **options)
        if more:
            options.update(zip(_ORDER, more, strict=False))
        if self.app.conf.task_always_eager or (
            options  # most calls have none
            and (
                options.get("retries")
                or "lock" in options
                or _is_itself(self, options)
                or is_without_lock(options)
            )
        ):
            return send(args, kwargs, **options)
        return _publish(self, send, args, kwargs, options)


show_as_celerys(PublishesLeases.apply_async, Task.apply_async)


class _Call(NamedTuple):
    """One message that is about to be published."""

    published: Published
    publication: str
    mark: str
    fields: dict[str, Any]
    """What its header says, but for what comes of the claim."""
    wants: tuple[Want, ...]
    """Of what leases are taken now, each name once and in the order of the names."""
    options: dict[str, Any]


def _is_itself(task: Any, options: Mapping[str, Any]) -> bool:
    """A body publishes itself once more, under its own id: it has its keys already."""
    task_id, around = options.get("task_id"), _task_stack.top
    return (
        task_id is not None
        and around is not None
        and around.request.id == task_id
        and (around.name == task.name)
    )


def _publish(task: Any, send: Send, args: Any, kwargs: Any, options: dict[str, Any]) -> Any:
    call: _Call | None = None
    unread: Any = None
    try:
        call = _read(task, args, kwargs, options)
    except Exception as error:
        unread = error
    if call is None:  # not within the handler: the history of Celery's error is its own
        result = send(args, kwargs, **options)  # or Celery says what is wrong
        _say_that_it_has_no_lease(task, unread)
        return result
    locks, published = task._app_locks, call.published
    wants = call.wants
    subject = made(Subject, (task.name, published.task_id, wants[0].bound.key.template))
    holder = f"{published.task_id}{_here.value}{call.publication}.1"
    claims, raises = [], False
    for bound, _, name in wants:
        claims.append(Claim(name, holder, bound.ttl, limit=bound.limit, unconfirmed=True))
        raises = raises or bound.on_store_error == "fail"
    leases = PublishersLeases(locks.locker, subject, claims)
    sends = partial(_send, send, args, kwargs, call)
    try:
        met = leases.take("fail" if raises else "send")
    except StoreError:
        if raises:
            raise
        return sends({})[0]
    if met is None:
        return _send_with(leases, sends, call)
    claim, held = met
    bound = next(want.bound for want in wants if want.name == claim.key)
    answered = answer(published, bound, held)
    if answered.about is not None:
        fact = answered.about.fact(subject._replace(template=bound.key.template))
        locks.locker.observers.notify(fact)
    if answered.error is not None:
        raise answered.error
    if answered.fields is None:
        return answered.result
    lease = _lease_of(call, leases) if answered.fields.get("had") else {}
    return sends({**answered.fields, **lease})[0]


def _read(task: Any, args: Any, kwargs: Any, options: dict[str, Any]) -> _Call:
    """Read what is published, and make its keys. Raises what these raise."""
    bounds: tuple[BoundLock, ...] = task._bound_locks
    preset, around = options.get("task_id"), _task_stack.top
    waits = bool(options) and any(options.get(name) for name in _OF_CANVAS)
    task_id = str(uuid4()) if preset is None else str(preset)
    header = header_of_call(options, task_id)
    header, options = outgoing(task, bounds, args, kwargs, options, header, task._app_locks.now)
    wants = wants_of(task.name, bounds, header, tuple(args or ()), dict(kwargs or {}))
    fields: dict[str, Any] = {"key": wants[0].key}
    if len(bounds) > 1:
        fields = {"keys": [want.key for want in wants]}
    if header.first_published is not None:
        fields["first_published"] = header.first_published
    ignored = options.get("ignore_result")
    ignored = task.ignore_result if ignored is None else ignored
    mark = mark_of(task.app.main or "", task.name, stored=not ignored)
    is_tick = header.beat is not None and header.id is None
    options["task_id"] = task_id
    own_id = "" if around is None else str(around.request.id)
    in_canvas = waits or (preset is not None and not is_tick)
    published = made(Published, (task, task_id, own_id, in_canvas, is_tick, not ignored))
    publication = (is_tick and header.publication) or new_publication()
    if len(wants) > 1:
        wants = each_name_once(want for want in wants if want.bound.scope.is_publishers)
    publication = marked(publication, mark)
    return made(_Call, (published, publication, mark, fields, wants, options))  # type: ignore[no-any-return]


def _lease_of(call: _Call, leases: PublishersLeases) -> dict[str, Any]:
    return {"lease": {"names": [want.name for want in call.wants], "store": leases.store}}


def _send_with(leases: PublishersLeases, sends: Any, call: _Call) -> Any:
    """Send the message with its leases; give them back if it does not go."""
    task_id = call.published.task_id
    try:
        result, is_sent = sends({"had": True, **_lease_of(call, leases)})
    except BaseException:
        leases.undo()
        raise
    if not is_sent:  # a class behind ours keeps it, or it was sent before
        leases.undo()
        if result is None:  # of what was sent before there is a result
            _warn_once_of_what_is_kept(call.published.task)
        return result
    ends, heir, shown = [], f"{task_id}/queued/0", f".{call.mark}"
    for want in call.wants:
        life = queue_life(call.published.task, call.options, want.bound.queue_ttl)
        ends.append(End(heir=heir, heir_ttl=life, heir_publication=shown))
    leases.leave(ends)
    return result


def _send(
    send: Send, args: Any, kwargs: Any, call: _Call, fields: Mapping[str, Any]
) -> tuple[Any, bool]:
    """Send the message with these fields in its header; return its result, and whether it went."""
    handed = named(call.publication, call.published.task_id, {**call.fields, **fields})
    with handed:
        result = send(args, kwargs, **call.options)
    return result, handed.is_sent


def _say_that_it_has_no_lease(task: Any, error: Exception) -> None:
    logger.warning(
        "a message of task %s is published without its lease, and its worker asks for one: %s",
        task.name,
        error,
    )


def _warn_once_of_what_is_kept(task: Any) -> None:
    """Warn of a class that sends later what it is given, after a commit say: without its lease."""
    cls = type(task)
    if "_said_of_kept" in vars(cls):
        return
    cls._said_of_kept = True
    behind = cls.__mro__[cls.__mro__.index(ChecksCalls) + 1 :]
    whose = next(each for each in behind if "apply_async" in vars(each))
    own = whose is not Task
    write = f"; write class Both({whose.__name__}, LockedTask)" if own else ""
    logger.warning(
        "%s has not sent a message of task %s. If it is sent later, it has no lease, and a"
        " duplicate is sent too: what sends later has to come before LockedTask%s",
        f"{whose.__name__}.apply_async" if own else "apply_async",
        task.name,
        write,
    )
