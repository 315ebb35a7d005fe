"""When a message may be a copy of one that was completed, and when to remember a completion.

Brokers deliver a message again when they doubt that its worker lives: kombu's Redis transport
after the visibility timeout, RabbitMQ when a connection breaks. A copy that comes too late would
run what has been done. So a release records the completion wherever a copy may be on its way,
and a message that may be one asks. Both cost nothing for the usual message, which is neither.
"""

from __future__ import annotations

from typing import Any

from ..model.clock import Clock, steady
from .delivery import redelivered
from .header import Header
from .pauses import longest, visibility

__all__ = ["asks_since", "note_arrival", "remembered_for"]

_ARRIVAL = "celery_lock_arrival"
_SPARE = 60.0
"""Seconds that a completion is remembered after the last moment at which a copy is expected."""


def note_arrival(request_dict: dict[str, Any], era: int, clock: Clock = steady) -> None:
    """Note in the main process when the message came, and how often the worker had connected."""
    properties = request_dict.get("properties") or {}
    request_dict["properties"] = {**properties, _ARRIVAL: (clock(), era)}


def asks_since(request: Any, header: Header) -> float | None:
    """Return since when a completion would be this message's own; `None`: it is no copy.

    In seconds since 1970 by the store's clock. A message that met a conflict had not been
    completed by then: an older record is of another message, sent with the same task id.
    """
    if request.is_eager or not (redelivered(request) or header.publication is not None):
        return None
    return header.first_conflict or 0.0


def remembered_for(
    request: Any,
    header: Header,
    *,
    app: Any,
    acks_late: bool,
    at_once: bool,
    began: float,
    era: int,
    clock: Clock = steady,
) -> float:
    """Return for how many seconds the completion of this message is to be remembered; 0: no copy
    of it can exist.

    Args:
        acks_late: it is acknowledged now, not when its run `began` (by `clock`).
        at_once: its broker delivers it again as soon as a connection is lost.
        era: how often the worker has connected by now.
    """
    if not (redelivered(request) or header.publication is not None or (acks_late and at_once)):
        came, first_era = (request.properties or {}).get(_ARRIVAL) or (None, era)
        if came is None:  # a request that is not of our class
            return 0.0
        unacknowledged = (clock() if acks_late else began) - came
        reconnected = acks_late and era != first_era
        if not reconnected and unacknowledged <= visibility(app) / 2:
            return 0.0
    return visibility(app) + longest(app) + _SPARE
