"""The one header of ours: `celery_lock`, a dict that any language can write and read.

`{"v": 1, "key": "order:7"}` is enough to name the key. What we add when a message is published or
sent again is kept by it through every hop; fields that we do not know are kept as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, ClassVar

from ..errors import LockError
from ..keys import UNKNOWN, MessageContext
from .carried import (
    HEADER,
    INNER,
    Survives,
    carried,
    count,
    flag,
    leased,
    met,
    moment,
    one_of,
    seconds,
    switch,
    text,
    texts,
    texts_by_name,
    tick,
)
from .times import read_moment

__all__ = ["HEADER", "NO_HEADER", "VERSION", "Header"]

VERSION = 1

_USUAL = {"v", "id", "publication"}
"""What the header of the usual message has: a name, as it was published."""

_MESSAGE, _ANEW = Survives.MESSAGE, Survives.ANEW
_SENDERS = Survives.MESSAGE | Survives.ANEW_IF_GIVEN | Survives.TICK
"""What a sender says of the key that it names, and the author of a schedule's entry too."""


@dataclass(frozen=True)
class Header:
    """What a message says about its lock. Each field says what it survives."""

    key: str | None = carried(survives=_SENDERS, read=text)
    """Never recomputed once a message carries one."""
    publication: str | None = carried(survives=_MESSAGE, read=text)
    """The act of publishing that this message goes back to: its nonce, the same in every queue."""
    attempt: int = carried(0, survives=_MESSAGE, read=count)
    """Conflicts with somebody else that were met so far."""
    first_conflict: float | None = carried(survives=_MESSAGE, read=seconds)
    """When the first was met: seconds since 1970 by the store's clock."""
    outages: int = carried(0, survives=_MESSAGE, read=count)
    """How often it was sent again because the store gave no answer."""
    retries: int = carried(0, survives=_MESSAGE, read=count)
    nesting: int = carried(0, survives=_MESSAGE, read=count)
    """`request.retries` and `replaced_task_nesting` for which all this was written. Headers are
    copied into a retry and a replacement: those are publications of their own."""
    extra: Mapping[str, Any] = carried(survives=_MESSAGE | _ANEW | Survives.TICK, make=dict)
    """Fields that we do not know."""
    given: bool = carried(False, survives=_SENDERS, read=flag)
    """Its sender named the key: it holds whenever the task is published anew."""
    beat: Mapping[str, Any] | None = carried(survives=_MESSAGE | _ANEW, read=tick)
    """The tick that it was sent for, `entry` and `due`; the retries of the task keep it."""
    first_published: float | None = carried(survives=_MESSAGE | _ANEW, read=moment)
    """When it was first published, for its tick or by whom; the retries of the task keep it.
    Seconds since 1970 by the publisher's clock."""
    first_mark: str | None = carried(survives=_MESSAGE, read=text)
    """The store's own mark of the first conflict: it tells a completion that came later."""
    id: str | None = carried(survives=_MESSAGE | _ANEW, read=text)
    """The task that it was written for; in a message of another task it is nobody's."""
    turns: int = carried(0, survives=_MESSAGE, read=count)
    """How often it was sent again to wait its turn, behind its own task."""
    deliveries: int = carried(0, survives=_MESSAGE, read=count)
    """What brokers counted of its deliveries before it was last sent again."""
    waited: float = carried(0.0, survives=_MESSAGE, read=seconds)
    """Seconds that its present `wait()` has blocked for, before it had to leave its process."""
    kept: str | None = carried(survives=_MESSAGE, read=text)
    """The key that the try before this retry has left to it, for whoever has to free that."""
    all_kept: Sequence[str] | None = carried(survives=_MESSAGE, read=texts)
    """The same of a task with several locks; a release that knows of one lock leaves it alone."""
    keys: Sequence[str] | None = carried(survives=_SENDERS, read=texts)
    """One key for each lock of a task that has several, in the order in which it declares them."""
    had: bool = carried(False, survives=_MESSAGE | _ANEW, read=flag)
    """Its publisher was given its lease: it is no duplicate, whatever it meets later."""
    lease: Mapping[str, Any] | None = carried(survives=_MESSAGE | _ANEW, read=leased)
    """That lease: the `names` in the store that it was taken under, and the `store`'s random id."""
    shown: Mapping[str, str] | None = carried(survives=_MESSAGE | _ANEW, read=texts_by_name)
    """What its key showed of the headers and the queue of the task's first message, by the field: a
    tool may take the headers of a retry away, and a retry may be sent to another queue."""
    published: Mapping[str, str] | None = carried(survives=_MESSAGE, read=texts_by_name)
    """What its body saw of how it was published, before we sent it again: see `as_published`."""
    others: Mapping[str, Any] | None = carried(survives=_MESSAGE)
    """The other headers of the message, where its key shows them: see `message.context`."""
    queue: str | None = carried(survives=_MESSAGE)
    """The queue that it is in, or goes to; the same."""
    unlocked: bool = carried(False, survives=_MESSAGE | _ANEW | Survives.TICK, read=switch)
    """Its call said `lock=None`: the task runs without its lock, and so do its retries."""
    verdict: str | None = carried(survives=_MESSAGE, read=one_of("skip", "fail"))
    """What its publisher found that is to become of it: its canvas goes on, without a body."""
    met: Mapping[str, Any] | None = carried(survives=_MESSAGE, read=met)
    """For that, whom its publisher has met, as `by`, and under which `key`."""
    wait: bool = carried(False, survives=_MESSAGE, read=flag)
    """It waits until its key is free, and no policy is asked: whom its publisher has met says
    nothing of what it is to do."""

    is_usual: ClassVar[bool] = False
    """It was just read, of the usual message or of one that has none of ours."""

    @classmethod
    def of(cls, request: Any) -> Header:
        """Read the header of a request, here or in the main process: see `read`.

        Celery shows the outer one as an attribute, and in `headers` the inner ones where there
        are any. Nobody but a worker makes this attribute: an eager call has `headers` alone.
        """
        outer, headers = getattr(request, HEADER, None), request.headers
        inner = headers.get(HEADER) if isinstance(headers, dict) else None
        retries, nesting = request.retries or 0, request.replaced_task_nesting or 0
        return cls._read(outer, inner, str(request.id), retries, nesting)

    @classmethod
    def read(
        cls, headers: Mapping[str, Any] | None, *, retries: int, nesting: int, id: str | None = None
    ) -> Header:
        """Read the header of a message; of one that is out of date, only what has survived.

        `id`: the task of the message; the header of another is as if it were not there.

        Raises `LockError` for a header that is no header of ours: to ignore it could lock
        another key than its sender meant.
        """
        outer, inner = (headers or {}).get(HEADER), (headers or {}).get(INNER)
        within = inner.get(HEADER) if isinstance(inner, Mapping) else None
        return cls._read(outer, within, id, retries, nesting)

    @classmethod
    def _read(cls, outer: Any, inner: Any, id: str | None, retries: int, nesting: int) -> Header:
        is_one = inner is None or inner is outer or inner == outer
        if is_one and not (retries or nesting):
            if outer is None:
                return NO_HEADER  # frozen
            if id is not None and type(outer) is dict and outer.keys() == _USUAL:
                name, version = outer["publication"], outer["v"]
                is_known = version == VERSION and version is not True
                if is_known and type(name) is str and name and outer["id"] == id:
                    usual = object.__new__(cls)
                    usual.__dict__.update(id=id, publication=name, is_usual=True)
                    return usual
        header = None if outer is None else _one(outer, id, retries, nesting)
        if not is_one:
            other = _one(inner, id, retries, nesting)
            if header is None or other is None:
                header = header or other
            elif other.attempt > header.attempt:
                header = _filled(other, header)
            else:
                header = _filled(header, other)
        if header is None and (retries or nesting):
            return _made({"retries": retries, "nesting": nesting})
        return NO_HEADER if header is None else header  # frozen

    def through(self, act: Survives, *, retries: int = 0, nesting: int = 0) -> Header:
        """Return what survives an act of publishing, in the message that it makes."""
        given = self.given and act is Survives.ANEW
        acts = act | Survives.ANEW_IF_GIVEN if given else act
        kept = {name: getattr(self, name) for name, by in _SURVIVES.items() if by & acts}
        return _made({**kept, "retries": retries, "nesting": nesting})

    def write(self) -> dict[str, Any]:
        """Return the form that travels; what is not known is left out, and what is naught."""
        written = {**self.extra, "v": VERSION}
        for name, default in _WRITTEN:
            value = getattr(self, name)
            if value != default:
                written[name] = value
        if self.id is None:  # they tell it from a sender's, which has no id either
            written.setdefault("retries", 0)
            written.setdefault("nesting", 0)
        return written

    @property
    def context(self) -> MessageContext:
        """What a key can show of this message."""
        if self.beat is None and self.first_published is None and self.others is None:
            return UNKNOWN
        tick = self.beat or {}
        due = read_moment(tick["due"]) if tick else None
        entry, others, shown = tick.get("entry"), self.others or {}, self.shown or {}
        return MessageContext(entry, due, self.first_published, others, self.queue, shown)

    @property
    def leased(self) -> Sequence[str]:
        """What the publisher's lease is called in the store: one name for each lock it took."""
        return () if self.lease is None else self.lease["names"]

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
        """Count that it is sent again once more to wait its turn."""
        return replace(self, turns=self.turns + 1)


_SURVIVES: dict[str, Survives] = {one.name: one.metadata["survives"] for one in fields(Header)}
_READERS = {one.name: read for one in fields(Header) if (read := one.metadata["read"])}
_WRITTEN = [(one.name, one.default) for one in fields(Header) if one.metadata["read"]]


# For those that `_made` makes: a dataclass keeps no default of its class that is made anew.
setattr(Header, "extra", MappingProxyType({}))  # noqa: B010  # not an assignment for mypy


def _made(values: dict[str, Any]) -> Header:
    """Return a header without the checks and defaults of its constructor, which cost ten times as
    much: what is not there, the class has."""
    header = object.__new__(Header)
    header.__dict__.update(values)
    return header


NO_HEADER = _made({"is_usual": True})
"""Of a message that says nothing of its lock yet."""


def _one(raw: Any, id: str | None, retries: int, nesting: int) -> Header | None:
    """Read one header; `None`: it is of another task."""
    if not isinstance(raw, Mapping):
        raise LockError(
            f"the message header {HEADER} is {type(raw).__name__}, not a dict;"
            ' send {"v": 1, "key": "..."} or nothing'
        )
    its = raw.get("id")
    if id is not None and its is not None and its != id:
        return None
    version = raw.get("v")
    if version != VERSION or version is True:
        has = "has no field 'v'" if version is None else f"has the version {version!r}"
        raise LockError(
            f"the message header {HEADER} {has}, and this release reads version {VERSION};"
            ' send {"v": 1, "key": "..."} or nothing'
        )
    values: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in raw.items():
        reader = _READERS.get(name)
        if reader is not None:
            if value is not None:
                values[name] = reader(name, value)
        elif name != "v":
            extra[name] = value
    if extra:
        values["extra"] = extra
    header = _made(values)
    if "retries" not in raw and "nesting" not in raw and (its is None or "publication" not in raw):
        # its sender's, not written by us
        if extra and its is None and header.key is None and header.keys is None:
            _refuse_what_is_close_to_key(extra)
        given = header.key is not None or header.keys is not None
        values.update(given=given, retries=retries, nesting=nesting)
        return _made(values)
    if header.nesting == nesting and header.retries == retries:
        return header
    return header.through(_ANEW, retries=retries, nesting=nesting)


def _filled(header: Header, other: Header) -> Header:
    """Return `header` with what only the other one, of the same message, says."""
    took_key = header.key is None
    values = {
        name: getattr(other, name)
        for name, default in _WRITTEN
        if getattr(header, name) == default and (name != "given" or took_key)
    }
    return replace(header, **values, extra={**other.extra, **header.extra})


def _refuse_what_is_close_to_key(names: Mapping[str, Any]) -> None:
    for name in names:
        if get_close_matches(str(name).lower().strip(), ("key",), cutoff=0.6):
            raise LockError(
                f"the message header {HEADER} has the field {name!r} and no 'key';"
                " did you mean 'key'? Send it so, or give the field another name"
            )
