"""How a run ends: what its release records, and to whom it leaves the key.

A success sets the floor that no failure sets. A completion is recorded where a copy of the message
may be on its way; of a message that held no lease it is a step of its own. What is still to run
takes the key along: see `left_to_heirs`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..app.flags import connection_epoch, stopping
from ..app.worker import acknowledges_last
from ..message import is_recorded, record_life
from ..model import Completion, End
from ..model.clock import steady
from .delivery import Delivery
from .ended_by import EndedBy, is_completion
from .heirs import left_to_heirs

__all__ = ["Ending", "completion_of", "ends_of"]

_PLAIN = End()


class Ending(NamedTuple):
    """What a run came to, as far as it matters for its message and its key."""

    ended: EndedBy
    retry: Any = None
    """The signature of the retry, which is on its way; `None`: there is none."""
    replacement: Any = None
    """The signature of what takes the place of the task, the same."""
    goes_back: bool = False
    """The broker gets the message back, and gives it out once more unless it has a limit."""


def ends_of(delivery: Delivery, ending: Ending) -> dict[str, End]:
    """Say how the run of a delivery ends, by the names of its keys; who is not there has a plain
    release. The record of the publication lies beside one of them."""
    ends: dict[str, End] = {}
    if ending.ended is EndedBy.RETURNED:
        for want in delivery.asked:
            if want.bound.floor:  # one that only a success sets (`at_least_on_failure=False`)
                ends[want.name] = End(floor=want.bound.floor)
    if ending.retry is not None or ending.replacement is not None or ending.goes_back:
        ends |= left_to_heirs(delivery, ending.retry, ending.replacement, ending.goes_back)
    # nothing is ever sent in eager mode
    if delivery.is_eager or not is_completion(ending.ended, delivery.task):
        return ends
    left = ends.get(delivery.home, _PLAIN) if ends else _PLAIN
    ends[delivery.home] = End(
        publication=delivery.publication,
        remember=record_life(delivery.transport, sent_on=delivery.is_sent_on),
        if_met=not _is_recorded(delivery),
        heir=left.heir,
        heir_ttl=left.heir_ttl,
        heir_publication=left.heir_publication,
        floor=left.floor,
    )
    return ends


def completion_of(delivery: Delivery, ended: EndedBy) -> Completion | None:
    """Return the completion of a message that held no lease; `None`: nobody asks for it."""
    if delivery.is_eager or not is_completion(ended, delivery.task) or not _is_recorded(delivery):
        return None
    life = record_life(delivery.transport, sent_on=delivery.is_sent_on)
    return Completion(delivery.home, delivery.publication, life)


def _is_recorded(delivery: Delivery) -> bool:
    acks_late = bool(delivery.task.acks_late) or acknowledges_last(delivery.task.app)
    return is_recorded(
        delivery.request,
        delivery.header,
        delivery.transport,
        sent_on=delivery.is_sent_on,
        acks_late=acks_late,
        acknowledged=steady() if acks_late else delivery.began,
        connection_epoch=connection_epoch(),
        stopping=stopping(),
    )
