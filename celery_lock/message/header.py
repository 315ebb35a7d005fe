"""The one header of ours: `celery_lock`, a dict that any language can write and read.

`{"v": 1, "key": "order:7"}` is enough to name the key. What we add when we send a message again
is kept by it through every hop; fields that we do not know are kept as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import LockError
from ..keys import UNKNOWN, MessageContext
from .times import moment_of, read_moment

__all__ = ["HEADER", "Header"]

HEADER = "celery_lock"
VERSION = 1
_OWN = (
    "v",
    "key",
    "given",
    "publication",
    "attempt",
    "first_conflict",
    "outages",
    "retries",
    "nesting",
    "beat",
    "first_published",
)


@dataclass(frozen=True)
class Header:
    """What a message says about its lock."""

    key: str | None = None
    """Never recomputed once a message carries one."""
    publication: str | None = None
    """The act of publishing that this message goes back to."""
    attempt: int = 0
    """Conflicts met so far."""
    first_conflict: float | None = None
    """When the first was met: seconds since 1970 by the store's clock."""
    outages: int = 0
    """How often it was sent again because the store gave no answer."""
    retries: int = 0
    nesting: int = 0
    """`request.retries` and `replaced_task_nesting` for which all this was written. Celery copies
    headers into a retry and a replacement: those are publications of their own."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    given: bool = False
    """Its sender named the key: it holds for the retries of the task as well."""
    beat: Mapping[str, Any] | None = None
    """The tick that it was sent for, `entry` and `due`; the retries of the task keep it."""
    first_published: float | None = None
    """When it was first published, for its tick or by whom; the retries of the task keep it.
    Seconds since 1970 by the publisher's clock."""

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
        """Read the header of a request; an empty one if there is none, or it is out of date.

        Raises `LockError` for a header that is no header of ours: to ignore it could lock
        another key than its sender meant.
        """
        raw = headers.get(HEADER) if headers else None
        if raw is None and not retries and not nesting:
            return _FIRST  # frozen, and the usual case
        fresh = cls(retries=retries, nesting=nesting)
        if raw is None:
            return fresh
        if not isinstance(raw, Mapping):
            raise LockError(
                f"the message header {HEADER} is {type(raw).__name__}, not a dict;"
                ' send {"v": 1, "key": "..."} or nothing'
            )
        header = cls(
            key=_field(raw, "key", str, None),
            given=raw.get("given") is True,
            publication=_field(raw, "publication", str, None),
            attempt=_field(raw, "attempt", int, 0),
            first_conflict=_field(raw, "first_conflict", (int, float), None),
            outages=_field(raw, "outages", int, 0),
            retries=_field(raw, "retries", int, 0),
            nesting=_field(raw, "nesting", int, 0),
            beat=_beat(raw),
            first_published=_published(raw),
            extra={name: value for name, value in raw.items() if name not in _OWN},
        )
        if "retries" not in raw and "nesting" not in raw:  # its sender's, not written by us
            header = replace(header, given=header.key is not None, retries=retries)
        if header.nesting == nesting and header.retries == retries:
            return header
        if header.nesting != nesting:
            return fresh
        fresh = replace(fresh, beat=header.beat, first_published=header.first_published)
        return (
            replace(fresh, key=header.key, given=True, extra=header.extra)
            if header.given
            else fresh
        )

    def write(self) -> dict[str, Any]:
        """Return the form that travels; what is not known is left out."""
        own = {name: getattr(self, name) for name in _OWN if name != "v"}
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

    def conflicted(self, now: float) -> Header:
        """Count one more conflict, met at `now` by the store's clock."""
        first = now if self.first_conflict is None else self.first_conflict
        return replace(self, attempt=self.attempt + 1, first_conflict=first)


_FIRST = Header()
"""Of a first attempt that nobody has told anything yet."""


def _field(raw: Mapping[str, Any], name: str, type_: Any, default: Any) -> Any:
    value = raw.get(name)
    if value is None:
        return default
    if not isinstance(value, type_) or isinstance(value, bool) or value == "":
        raise LockError(
            f"the field {name!r} of the message header {HEADER} is {value!r},"
            f" which is no {getattr(type_, '__name__', 'number')}; send it right or leave it out"
        )
    return value


def _beat(raw: Mapping[str, Any]) -> Mapping[str, Any] | None:
    tick = raw.get("beat")
    if tick is None:
        return None
    entry = tick.get("entry") if isinstance(tick, Mapping) else None
    if isinstance(entry, str) and entry and read_moment(tick.get("due")) is not None:
        return dict(tick)
    raise LockError(
        f"the field 'beat' of the message header {HEADER} is {tick!r}, which is no tick; send"
        ' {"entry": "...", "due": "2026-11-23T14:00:00+00:00"} or leave it out'
    )


def _published(raw: Mapping[str, Any]) -> float | None:
    seconds: float | None = _field(raw, "first_published", (int, float), None)
    if seconds is None or moment_of(seconds) is not None:
        return seconds
    raise LockError(
        f"the field 'first_published' of the message header {HEADER} is {seconds!r}, which is no"
        " time; send seconds since 1970 or leave it out"
    )
