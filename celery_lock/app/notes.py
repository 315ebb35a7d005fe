"""What each pool process notes of its claims, for the main process to read after its death."""

from __future__ import annotations

import marshal
import mmap
import os
import struct
import zlib
from typing import Any, NamedTuple

from billiard.process import current_process

from ..errors import LockError
from ..model.per_process import PerProcess

__all__ = [
    "Noted",
    "begin",
    "claims_of",
    "given_back",
    "is_gone",
    "join",
    "note",
    "sign_in",
    "size_for",
]

_LONGEST = 20_480
"""Bytes of a note at most: a key may have 1,024, a task 16 of them, and a body may take others
(`apply()`)."""

_FEWEST = 64
"""Places at least, for a pool that grows by remote control. One that nobody used takes no memory
where the pool forks, and its part of a file where it spawns."""

_WORD = struct.Struct("=I")
_PLACE = 2 * (_WORD.size + _LONGEST)
"""Bytes of a place, and of the one behind it."""
_HEAD = struct.Struct("=II")
"""Of a note: its length, and a sum of it with the pid. A process may die as it writes."""


class Noted(NamedTuple):
    """One claim that a process was about to make."""

    task: str
    holder: str
    """The beginning of the holder's written form: all claims of one delivery have it."""
    keys: list[str] | None
    """What they are called in the store, first the one beside which the publication's record lies.
    `None`: they were too long for their place."""
    publication: str


class _Notes:
    """A map that the main process and its pool processes share.

    A place for each pool process, by the index that it has in the pool, and one behind it for the
    process that had the index before: the main process may hear of its death only after the next
    one's first claim. The pids stand together, before all notes, so that few pages are looked at.
    No lock guards it, which a killed process could leave held: each place has one writer.
    """

    def __init__(self, shared: mmap.mmap, main: int) -> None:
        self.places = len(shared) // _PLACE
        self.main = main
        self._begin = 2 * self.places * _WORD.size
        self._map = shared

    def pid(self, place: int) -> int:
        pid: int = _WORD.unpack_from(self._map, place * _WORD.size)[0]
        return pid

    def sign(self, place: int, pid: int) -> None:
        _WORD.pack_into(self._map, place * _WORD.size, pid)

    def raw(self, place: int) -> bytes:
        at = self._begin + place * _LONGEST
        return self._map[at : at + _LONGEST]

    def write(self, place: int, note: bytes) -> None:
        at = self._begin + place * _LONGEST
        self._map[at : at + len(note)] = note

    def take(self, index: int, pid: int) -> None:
        """Keep what the process before this one has left in the place."""
        before = self.pid(index)
        if before not in (0, pid):
            kept = self.places + index
            self.sign(kept, 0)
            self.write(kept, self.raw(index))
            self.sign(kept, before)
        self.sign(index, 0)
        self.write(index, _written([]))
        self.sign(index, pid)

    def place_of(self, pid: int) -> int | None:
        places = range(2 * self.places)
        return next((place for place in places if self.pid(place) == pid), None)


_notes: _Notes | None = None


class _Own:
    """The place of this process, if it has one, and what it holds at this moment."""

    def __init__(self) -> None:
        self.claims: list[tuple[str, str, list[str] | None, str]] = []
        self.place: int | None = None
        self.notes = _notes
        if self.notes is None or os.getppid() != self.notes.main:
            return  # no pool process, but a process that forks, or one that a body has forked
        index: Any = getattr(current_process(), "index", None)
        if not isinstance(index, int) or index >= self.notes.places:
            return
        self.notes.take(index, os.getpid())
        self.place = index

    def write(self) -> None:
        if self.place is None or self.notes is None:
            return
        note = _written(self.claims)
        if len(note) > _LONGEST:
            # the end of the holder names the delivery, whatever its task is called
            note = _written([("", self.claims[0][1][-200:], None, "")])
        self.notes.write(self.place, note)


_own = PerProcess(_Own)


def size_for(processes: int) -> int:
    """Return how many bytes the map of a pool of so many processes has."""
    return max(_FEWEST, 2 * processes) * _PLACE


def begin(shared: mmap.mmap | None) -> None:
    """Share a map with the pool processes of this process, before the first is there.

    Its size is that of `size_for`. `None`: there is none, so no process can note anything.
    """
    _take(None if shared is None else _Notes(shared, os.getpid()))


def join(shared: mmap.mmap) -> None:
    """Note in a map of the main process, which has spawned this one."""
    _take(_Notes(shared, os.getppid()))


def _take(notes: _Notes | None) -> None:
    global _notes
    _notes = notes
    _own.drop()


def sign_in() -> None:
    """Take the place of this pool process in the map, before its first task: one that has none can
    note nothing, and the main process knows that."""
    _ = _own.value


def note(task: str, holder: str, keys: list[str], publication: str) -> None:
    """Note what this process is about to claim; nothing, where it is no pool process."""
    own = _own.value
    if own.place is None:
        return
    if own.claims and own.claims[-1][1] == holder:  # the next claim of the same delivery
        own.claims.pop()
    own.claims.append((task, holder, keys, publication))
    own.write()


def given_back(holder: str) -> None:
    """Forget what was noted last. What stands in the map is nobody's from then on: it names a
    delivery that has ended."""
    own = _own.value
    if own.claims and own.claims[-1][1] == holder:
        own.claims.pop()
        if own.claims:  # the run around it goes on
            own.write()


def claims_of(pid: int) -> list[Noted]:
    """Return what a pool process noted last: the claim of its task first, then those of others
    that the body of that has called by `apply()`.

    Raises `LockError` for a process that could note nothing (the pool has grown beyond the map, or
    the process did not share it), and for a note that its process has not brought to its end.
    """
    place = None if _notes is None else _notes.place_of(pid)
    if _notes is None or place is None:
        raise LockError("it had no place where this process reads")
    return _read(_notes.raw(place), pid)


def is_gone(pid: int) -> bool:
    """Whether a process of this machine runs no more."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    try:  # a zombie runs no more, though Celery may take seconds to bury it
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except (OSError, IndexError):  # no such file on this system, or buried just now
        return False


def _written(claims: list[Any]) -> bytes:
    data = marshal.dumps(claims)
    return _HEAD.pack(len(data), zlib.crc32(data, os.getpid() & 0xFFFFFFFF)) + data


def _read(raw: bytes, pid: int) -> list[Noted]:
    length, total = _HEAD.unpack_from(raw)
    data = raw[_HEAD.size : _HEAD.size + length]
    if len(data) != length or zlib.crc32(data, pid & 0xFFFFFFFF) != total:
        raise LockError("the process died as it noted its claim")
    return [Noted(*claim) for claim in marshal.loads(data)]
