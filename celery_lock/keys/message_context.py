"""What a key can show of the message itself: its tick, a bucket of time, its headers, its queue.

`{beat[entry]}` and `{beat[due]}` are the entry of the schedule and the time at which it was due.
`{bucket:1h}` is the time of the first publication, rounded down to a multiple since 1970.
`{header[tenant]}` is what a header of the message says, `{queue}` the queue that it is in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from ..errors import LockConfigurationError

__all__ = [
    "BEAT",
    "BUCKET",
    "OF_MESSAGES",
    "QUEUE",
    "SENDERS",
    "UNKNOWN",
    "MessageContext",
    "NotInMessage",
    "bucket_reader",
    "bucket_seconds",
    "tick_reader",
    "time_text",
]

BEAT = "beat"
BUCKET = "bucket"
SENDERS = "header"
QUEUE = "queue"
OF_MESSAGES = (BEAT, BUCKET, SENDERS, QUEUE)
"""The heads of the fields that are no arguments."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class MessageContext:
    """The context of a message: why and when it was sent, as far as it says so."""

    entry: str | None = None
    """The entry of the schedule whose tick it is."""
    due: datetime | None = None
    """When that tick was due."""
    first_published: float | None = None
    """When it was first published: seconds since 1970 by the publisher's clock."""
    headers: Mapping[str, Any] = field(default_factory=dict)
    """Its headers: those of its sender, with whatever else stands among them."""
    queue: str | None = None
    """The queue that it is in, or is about to be sent to."""
    shown: Mapping[str, str] = field(default_factory=dict)
    """What the key of the run before showed of that one's headers and queue, by the field: a retry
    keeps it, though its own headers may have been lost, and though it is in another queue."""

    @property
    def is_known(self) -> bool:
        """The message says anything of this."""
        return self.entry is not None or self.first_published is not None


class NotInMessage(LockConfigurationError):
    """A message does not say what the key of its task shows of it."""


UNKNOWN = MessageContext()
"""The context of a message that says nothing of itself."""


def time_text(moment: datetime) -> str:
    """Return a time as a key shows it: in UTC, `20261123T140000Z`.

    No separators, so that none has to be escaped; six digits of microseconds where there are any.
    """
    moment = moment.astimezone(timezone.utc)
    fraction = f".{moment.microsecond:06d}" if moment.microsecond else ""
    return f"{moment:%Y%m%dT%H%M%S}{fraction}Z"


def bucket_seconds(spec: str | None) -> int | None:
    """Return the seconds that `1h`, `30s`, `15m` or `1d` stand for, `None` for anything else."""
    found = _DURATION.fullmatch(spec or "")
    return None if found is None else int(found.group(1)) * _UNITS[found.group(2)]


def tick_reader(path: tuple[str, ...]) -> Callable[[MessageContext], str]:
    """Return what reads a field of a tick from the context of a message.

    The reader raises `NotInMessage`, which says what to do, where the message is silent.
    """
    return _entry if path == ("entry",) else _due


def bucket_reader(every: int) -> Callable[[MessageContext], str]:
    """Return what reads the time of publication, rounded down to so many seconds."""
    return lambda context: _bucket(context, every)


def _entry(context: MessageContext) -> str:
    if context.entry is None:
        raise _no_tick()
    return context.entry


def _due(context: MessageContext) -> str:
    if context.due is None:
        raise _no_tick()
    return time_text(context.due)


def _bucket(context: MessageContext, every: int) -> str:
    if context.first_published is None:
        raise NotInMessage(
            "the message does not say when it was first published, for its publisher does not"
            " know the task; import the task where the message is published, or send"
            ' headers={"celery_lock": {"v": 1, "first_published": time.time()}} with it'
        )
    return time_text(_EPOCH + timedelta(seconds=context.first_published // every * every))


def _no_tick() -> NotInMessage:
    return NotInMessage(
        "the message was not sent by a scheduler of celery_lock, so it has no tick; for cron, by"
        " hand and for other schedulers write {bucket:1h}, the time of publication rounded down"
    )
