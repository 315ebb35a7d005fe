"""Records on one Redis or Valkey server: each call is one script and one round trip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...model import Change, Changed, Record
from .hash_tag import hash_tag
from .link.linking import Link
from .scripts import CHANGE, NAMES, RECORDS

__all__ = ["Records"]


class Records:
    """The records under one prefix. A space has its own hash tag: all of it is in one place."""

    def __init__(self, server: Link, prefix: str) -> None:
        self._server = server
        self._prefix = prefix

    def change(self, change: Change) -> Changed:
        """Write a record if it is as expected, and say how it stands."""
        index = self._index(change.space)
        args: list[str | int] = [change.name, change.stamp, change.value]
        args += (_micro(change.ttl), _micro(change.not_before))
        if change.expected is not None:
            args.append(change.expected)
        keys = [_record(index, change.name), index]
        done, now, *standing = self._server.run(CHANGE, keys, args)
        if done == 1:
            record = Record(change.stamp, change.value, standing[0] / 1e6)
            return Changed(True, record, now / 1e6)
        return Changed(False, _read(standing), now / 1e6)

    def records(self, space: str, names: Sequence[str]) -> tuple[list[Record | None], float]:
        """Return these records in this order, and the server's time."""
        index = self._index(space)
        # the index alone, if no record is asked for: it says where the clock is to be read
        keys = [_record(index, name) for name in names] or [index]
        now, *answers = self._server.run(RECORDS, keys, ())
        return [_read(answer) for answer in answers[: len(names)]], now / 1e6

    def names(self, space: str) -> list[str]:
        """Name all that are alive, in order."""
        return sorted(_text(name) for name in self._server.run(NAMES, [self._index(space)], ()))

    def _index(self, space: str) -> str:
        """Name the index of a space. No lock has such a name: there a brace comes first."""
        return f"{self._prefix}r:{hash_tag(space)}"


def _record(index: str, name: str) -> str:
    return f"{index}:{name}"


def _read(answer: list[Any] | None) -> Record | None:
    if not answer:
        return None
    written, stamp, value = answer
    return Record(_text(stamp), _text(value), written / 1e6)


def _text(said: bytes) -> str:
    return said.decode("utf-8", "surrogatepass")


def _micro(seconds: float) -> int:
    return round(seconds * 1e6)
