"""The one header of ours: `celery_lock`, a dict that any language can write and read.

`{"v": 1, "key": "order:7"}` is enough to name the key. What we add when we send a message again
is kept by it through every hop; fields that we do not know are kept as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ..errors import LockError
from ..keys import UNKNOWN, MessageContext
from .carried import HEADER, Survives, carried, count, flag, moment, seconds, text, tick
from .times import read_moment

__all__ = ["HEADER", "Header"]

VERSION = 1

_MESSAGE, _RETRY, _REPLACEMENT = Survives.MESSAGE, Survives.RETRY, Survives.REPLACEMENT
_SENDERS = Survives.MESSAGE | Survives.RETRY_IF_GIVEN | Survives.TICK
"""What a sender says of the key that it names, and the author of a schedule's entry too."""


@dataclass(frozen=True)
class Header:
    """What a message says about its lock. Each field says what it survives."""

    key: str | None = carried(survives=_SENDERS, read=text)
    """Never recomputed once a message carries one."""
    publication: str | None = carried(survives=_MESSAGE, read=text)
    """The act of publishing that this message goes back to."""
    attempt: int = carried(0, survives=_MESSAGE, read=count)
    """Conflicts met so far."""
    first_conflict: float | None = carried(survives=_MESSAGE, read=seconds)
    """When the first was met: seconds since 1970 by the store's clock."""
    outages: int = carried(0, survives=_MESSAGE, read=count)
    """How often it was sent again because the store gave no answer."""
    retries: int = carried(0, survives=_MESSAGE, read=count)
    nesting: int = carried(0, survives=_MESSAGE, read=count)
    """`request.retries` and `replaced_task_nesting` for which all this was written. Celery copies
    headers into a retry and a replacement: those are publications of their own."""
    extra: Mapping[str, Any] = carried(survives=_SENDERS, make=dict)
    """Fields that we do not know."""
    given: bool = carried(False, survives=_SENDERS, read=flag)
    """Its sender named the key: it holds for the retries of the task as well."""
    beat: Mapping[str, Any] | None = carried(survives=_MESSAGE | _RETRY, read=tick)
    """The tick that it was sent for, `entry` and `due`; the retries of the task keep it."""
    first_published: float | None = carried(survives=_MESSAGE | _RETRY, read=moment)
    """When it was first published, for its tick or by whom; the retries of the task keep it.
    Seconds since 1970 by the publisher's clock."""
    first_mark: str | None = carried(survives=_MESSAGE, read=text)
    """The store's own mark of the first conflict: it tells a completion that came later."""
    turns: int = carried(0, survives=_MESSAGE, read=count)
    """How often it waited its turn: for its own first delivery, or an earlier try of its task."""
    deliveries: int = carried(0, survives=_MESSAGE, read=count)
    """What brokers counted of its deliveries before it was last sent again."""

    @classmethod
    def of(cls, request: Any) -> Header:
        """Read the header of a request, here or in the main process: see `read`."""
        return cls.read(
            request.headers,
            retries=request.retries or 0,
            nesting=request.replaced_task_nesting or 0,
        )

    @classmethod
    def read(cls, headers: Mapping[str, Any] | None, *, retries: int, nesting: int) -> Header:
        """Read the header of a request; of one that is out of date, only what has survived.

        Raises `LockError` for a header that is no header of ours: to ignore it could lock
        another key than its sender meant.
        """
        raw = headers.get(HEADER) if headers else None
        if raw is None and not retries and not nesting:
            return _FIRST  # frozen, and the usual case
        if raw is None:
            return cls(retries=retries, nesting=nesting)
        if not isinstance(raw, Mapping):
            raise LockError(
                f"the message header {HEADER} is {type(raw).__name__}, not a dict;"
                ' send {"v": 1, "key": "..."} or nothing'
            )
        header = cls(
            **{n: read(n, raw[n]) for n, read in _READERS.items() if raw.get(n) is not None},
            extra={name: value for name, value in raw.items() if name not in _OURS},
        )
        if "retries" not in raw and "nesting" not in raw:  # its sender's, not written by us
            header = replace(header, given=header.key is not None, retries=retries)
        if header.nesting == nesting and header.retries == retries:
            return header
        act = _RETRY if header.nesting == nesting else _REPLACEMENT
        return header.through(act, retries=retries, nesting=nesting)

    def through(self, act: Survives, *, retries: int = 0, nesting: int = 0) -> Header:
        """Return what survives an act of publishing, in the message that it makes."""
        given = self.given and act is Survives.RETRY
        acts = act | Survives.RETRY_IF_GIVEN if given else act
        kept = {name: getattr(self, name) for name, by in _SURVIVES.items() if by & acts}
        return Header(**{**kept, "retries": retries, "nesting": nesting})

    def write(self) -> dict[str, Any]:
        """Return the form that travels; what is not known is left out."""
        own = {name: getattr(self, name) for name in _READERS}
        return {
            **self.extra,
            "v": VERSION,
            # (`given` is written where it is true; the zeros of the others count)
            **{n: value for n, value in own.items() if value is not None and value is not False},
        }

    @property
    def context(self) -> MessageContext:
        """What a key can show of this message."""
        if self.beat is None and self.first_published is None:
            return UNKNOWN
        tick = self.beat or {}
        due = read_moment(tick["due"]) if tick else None
        return MessageContext(tick.get("entry"), due, self.first_published)

    @property
    def was_sent_again(self) -> bool:
        """The message is not the one that was published: we have sent it again since."""
        return bool(self.attempt or self.turns or self.outages)

    def conflicted(self, now: float, mark: str = "") -> Header:
        """Count one more conflict, met at `now` by the store's clock; `mark` is the store's own."""
        if self.first_conflict is not None:
            return replace(self, attempt=self.attempt + 1)
        return replace(self, attempt=self.attempt + 1, first_conflict=now, first_mark=mark or None)

    def turned(self) -> Header:
        """Count one more turn that it waits."""
        return replace(self, turns=self.turns + 1)


_FIRST = Header()
"""Of a message that says nothing of its lock yet."""
_SURVIVES: dict[str, Survives] = {one.name: one.metadata["survives"] for one in fields(Header)}
_READERS = {one.name: read for one in fields(Header) if (read := one.metadata["read"])}
_OURS = {"v", *_READERS}
