"""A publisher has met a holder: whether the message is sent all the same, and what its caller gets.

Who may never have sent its message justifies no drop. A result answers a duplicate only where the
holder is a message of the same task, and the result can be read here.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from celery.backends.base import DisabledBackend
from celery.result import EagerResult

from ..app.bound import BoundLock
from ..errors import LockError
from ..message import is_mark_of, mark_in
from ..model import Conflict, Held, HeldPermit, Holder, Met
from ..policies import decide, fail, skip
from .conflict import Resolution

__all__ = ["Answered", "Published", "answer"]

logger = logging.getLogger("celery_lock")

_PLAIN: Mapping[str, Any] = {}


class Published(NamedTuple):
    """A call that publishes a message, as far as a duplicate has to know it."""

    task: Any
    task_id: str
    own_id: str
    """The id of the task whose body publishes; empty: none does."""
    in_canvas: bool
    """Somebody waits for the message itself, by its id or by what follows it."""
    is_tick: bool
    """A scheduler of this package sends it for a tick."""
    may_read: bool
    """Its caller could read its result."""


class Answered(NamedTuple):
    """What is done about the holder that a publish has met."""

    fields: Mapping[str, Any] | None = None
    """The message is sent, and its header says this; `None`: it is not sent."""
    result: Any = None
    """What the caller gets where it is not sent."""
    error: Exception | None = None
    """What the caller gets raised."""
    about: Resolution | None = None
    """What observers are told."""


def answer(call: Published, bound: BoundLock, held: Held) -> Answered:
    """Return what is done about this holder."""
    permits = held.holders or (_as_permit(held),)
    unsure = [Holder.parse(one.holder).task_id for one in permits if one.unconfirmed]
    if held.met is Met.UNCONFIRMED or unsure:
        # of a publish under the same id, which is made once more: the message may have that lease
        return Answered({"had": True} if call.task_id in unsure else _PLAIN)
    conflict = _conflict(call, held, permits, _first(held))
    try:
        decision = decide(bound.on_conflict, conflict)
    except LockError as error:  # on its worker it fails with that
        logger.warning("a message of task %s is published all the same: %s", call.task.name, error)
        return Answered(_PLAIN)
    if not isinstance(decision, (skip, fail)):
        return Answered(_PLAIN)  # its worker asks
    live = [one for one in permits if one.live]
    own = sorted((one for one in live if _is_own(call, one)), key=_age)
    if live and not own:
        return Answered({"wait": True})
    if own:
        conflict = _conflict(call, held, permits, own[0])
    if call.in_canvas and conflict.holder.task_id != call.task_id:
        met = {
            "key": conflict.key,
            "by": str(conflict.holder),
            "expires_in": round(conflict.expires_in, 3),
            "live": conflict.live,
        }
        return Answered({"verdict": decision.word, "met": met})
    if isinstance(decision, fail) and not (call.is_tick or _by_beat()):
        about = Resolution(decision, conflict, waited_out=False)
        return Answered(error=about.error(), about=about)
    if isinstance(decision, fail):  # no other beat is to try, and nobody is there to hear of it
        decision = skip()
    about = Resolution(decision, conflict, waited_out=False)
    return Answered(result=_result(call, decision, conflict, own), about=about)


def _result(call: Published, decision: skip, conflict: Conflict, own: list[HeldPermit]) -> Any:
    """Return the result of the holder where it can be read here, else that of who is skipped."""
    task = call.task
    if own and call.may_read and _is_stored(task, own[0]) and _reads(task.backend):
        return task.AsyncResult(conflict.holder.task_id)
    skipped = decision.outcome(conflict)
    result = EagerResult(call.task_id, skipped, "SUCCESS", name=task.name)
    result.app = task.app  # a ResultSet asks its first one
    return result


def _is_own(call: Published, permit: HeldPermit) -> bool:
    """It is a message of the same task in the same app, and not of the task that publishes."""
    its = Holder.parse(permit.holder).task_id
    mark = mark_in(permit.publication)
    known = is_mark_of(mark, call.task.app.main or "", call.task.name)
    return known is not None and its != call.own_id


def _age(permit: HeldPermit) -> tuple[bool, float]:
    """One that runs has come before those in the queue, though its run took it over just now."""
    return Holder.parse(permit.holder).retry_no is not None, permit.since


def _is_stored(task: Any, permit: HeldPermit) -> bool:
    return is_mark_of(mark_in(permit.publication), task.app.main or "", task.name) is True


def _reads(backend: Any) -> bool:
    """Whether a backend has the results of messages that another process has sent."""
    if isinstance(backend, DisabledBackend):
        return False
    # a result of rpc:// is a message to who has asked for it
    return all(klass.__module__ != "celery.backends.rpc" for klass in type(backend).__mro__)


def _by_beat() -> bool:
    """Whether any scheduler publishes here: Celery logs what it raises, for each tick anew."""
    beat: Any = sys.modules.get("celery.beat")
    if beat is None:
        return False
    frame: Any = sys._getframe()
    code = beat.Scheduler.apply_async.__code__
    while frame is not None:
        if frame.f_code is code:
            return True
        frame = frame.f_back
    return False


def _conflict(
    call: Published, held: Held, permits: tuple[HeldPermit, ...], whom: HeldPermit
) -> Conflict:
    return Conflict(
        key=held.key,
        task=call.task.name,
        task_id=call.task_id,
        holder=Holder.parse(whom.holder, whom.since),
        attempt=1,
        waited=0.0,
        expires_in=held.expires_in,
        redelivered=False,
        in_canvas=call.in_canvas,
        live=whom.live,
        holders=tuple(Holder.parse(one.holder, one.since) for one in permits),
    )


def _first(held: Held) -> HeldPermit:
    """Return whom the claim has met."""
    same = (one for one in held.holders if (one.holder, one.live) == (held.holder, held.live))
    return next(same, _as_permit(held))


def _as_permit(held: Held) -> HeldPermit:
    return HeldPermit(
        held.holder,
        held.since,
        held.expires_in,
        live=held.live,
        publication=held.publication,
        token=held.token,
    )
