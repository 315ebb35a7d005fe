"""Requests that kazoo has no words for: several reads, and several writes, as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kazoo.exceptions import EXCEPTIONS, RolledBackError, RuntimeInconsistency
from kazoo.protocol.serialization import (
    CheckVersion,
    Create,
    Delete,
    GetChildren,
    GetData,
    MultiHeader,
    SetData,
    Sync,
    int_struct,
    read_string,
    stat_struct,
    write_string,
)
from kazoo.protocol.states import ZnodeStat

__all__ = [
    "Change",
    "CheckVersion",
    "Children",
    "Create",
    "Delete",
    "GetChildren",
    "GetData",
    "Look",
    "SetData",
    "Sync",
    "first_error",
]

_END = MultiHeader(-1, True, -1).serialize()
_ERROR = -1


class Look:
    """Read the data of several nodes, all as they stand at one moment; ZooKeeper 3.6 or later.

    The answer has a pair of data and status for each, `None` for one that is not there, or an
    exception.
    """

    type = 22
    of = GetData.type

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths

    def serialize(self) -> bytes:
        """Return what is sent."""
        head = MultiHeader(self.of, False, -1).serialize()
        written = bytearray()
        for path in self.paths:
            written += head + write_string(path) + b"\0"  # and no watch
        return bytes(written + _END)

    def deserialize(self, buffer: bytes, offset: int) -> list[Any]:
        """Return the answer."""
        found: list[Any] = []
        header, offset = MultiHeader.deserialize(buffer, offset)
        while not header.done:
            if header.type == _ERROR:
                code = int_struct.unpack_from(buffer, offset)[0]
                offset += int_struct.size
                error = EXCEPTIONS[code]()
                found.append(None if code == _NO_NODE else error)
            else:
                one, offset = self._read(buffer, offset)
                found.append(one)
            header, offset = MultiHeader.deserialize(buffer, offset)
        return found

    def _read(self, buffer: bytes, offset: int) -> tuple[Any, int]:
        size = int_struct.unpack_from(buffer, offset)[0]
        offset += int_struct.size
        data = bytes(buffer[offset : offset + max(size, 0)])
        offset += max(size, 0)
        return (data, _status(buffer, offset)), offset + stat_struct.size


class Children(Look):
    """Name the children of several nodes, in the same way."""

    of = GetChildren.type

    def _read(self, buffer: bytes, offset: int) -> tuple[Any, int]:
        names = []
        count = int_struct.unpack_from(buffer, offset)[0]
        offset += int_struct.size
        for _ in range(count):
            name, offset = read_string(buffer, offset)
            names.append(name)
        return names, offset


class Change:
    """Do several operations, all or none of them.

    The answer has for each of them: the status of a node that was written, or `True`. Where one
    failed it has exceptions alone: see `first_error`.
    """

    type = 14

    def __init__(self, operations: Sequence[Any]) -> None:
        self.operations = operations

    def serialize(self) -> bytes:
        """Return what is sent."""
        written = bytearray()
        for one in self.operations:
            written += MultiHeader(one.type, False, -1).serialize() + one.serialize()
        return bytes(written + _END)

    def deserialize(self, buffer: bytes, offset: int) -> list[Any]:
        """Return the answer."""
        done: list[Any] = []
        header, offset = MultiHeader.deserialize(buffer, offset)
        while not header.done:
            if header.type == _ERROR:
                done.append(EXCEPTIONS[int_struct.unpack_from(buffer, offset)[0]]())
                offset += int_struct.size
            elif header.type == SetData.type:
                done.append(_status(buffer, offset))
                offset += stat_struct.size
            elif header.type == Create.type:
                _, offset = read_string(buffer, offset)
                done.append(True)
            else:
                done.append(True)
            header, offset = MultiHeader.deserialize(buffer, offset)
        return done


def first_error(answer: Any) -> Exception | None:
    """Return why nothing of a `Change` was done; `None`: it was."""
    if isinstance(answer, Exception):
        return answer
    errors = [one for one in answer if isinstance(one, Exception)]
    real = [one for one in errors if not isinstance(one, (RolledBackError, RuntimeInconsistency))]
    return next(iter(real or errors), None)


_NO_NODE = -101


def _status(buffer: bytes, offset: int) -> Any:
    return ZnodeStat._make(stat_struct.unpack_from(buffer, offset))
