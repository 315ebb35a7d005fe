"""What a worker's main process shares with pool processes that it spawns: memory, and a few facts.

A process that is forked has what its parent has. One that is spawned (`worker_pool_start_method`,
and billiard's own way on macOS) begins with nothing: it finds the memory in a file, and the name of
that in its environment.
"""

from __future__ import annotations

import atexit
import json
import mmap
import os
import tempfile
from contextlib import suppress
from glob import escape, glob
from typing import Any, NamedTuple

from billiard import get_start_method
from billiard.process import current_process

from ..model.per_process import this_process

__all__ = ["Inherited", "PoolMemory", "forget", "inherited", "is_spawned", "let_inherit", "make"]

_VARIABLE = "_CELERY_LOCK_POOL"
_PREFIX = "celery-lock-pool-"
_FLAGS = mmap.ALLOCATIONGRANULARITY
"""Bytes before the notes: a map can begin at multiples of it only."""


class PoolMemory(NamedTuple):
    """Memory that the processes of a worker share."""

    flags: mmap.mmap
    notes: mmap.mmap
    path: str


class Inherited(NamedTuple):
    """What a spawned process has of its worker."""

    main: int
    """The pid of the main process."""
    path: str | None
    """Of the file that they share; `None`: there was no room for one."""
    time_limit: float | None
    """Seconds: the worker's own for tasks that have none."""
    hostname: str | None
    """The worker's, by which monitors know it."""

    def memory(self) -> PoolMemory | None:
        """Return the memory that they share, if there is any. Raises `OSError` if it is gone."""
        if self.path is None:
            return None
        with open(self.path, "r+b") as file:
            return _of_a_file(file.fileno(), self.path)


def is_spawned(worker: Any) -> bool:
    """Whether the processes of a worker's pool are spawned, and not forked."""
    asked = getattr(worker, "pool_start_method", "fork")  # since Celery 5.7
    return asked != "fork" or get_start_method() != "fork"


def make(size: int) -> PoolMemory:
    """Make memory with so many bytes for notes, for the processes that this one will spawn.

    Its file is removed as this process ends; where this one is killed, by the next worker. Raises
    `OSError` where it cannot be written or locked.
    """
    descriptor, path = -1, ""
    try:
        _remove_those_of_the_dead()
        descriptor, path = _locked_file()
        # written, and not only made so long: a map of what the disk has no room for kills who
        # writes to it
        with open(descriptor, "r+b", closefd=False) as file:
            file.write(bytes(_FLAGS + size))
        made = _of_a_file(descriptor, path)
    except ImportError as error:
        raise OSError(str(error)) from error  # a system without such locks
    except OSError:
        if path:
            os.unlink(path)
            os.close(descriptor)
        raise
    atexit.register(_remove, path, this_process.value)
    return made


def let_inherit(time_limit: float | None, hostname: str | None, memory: PoolMemory | None) -> None:
    """Let the processes that this one will spawn know this of their worker."""
    path = None if memory is None else memory.path
    os.environ[_VARIABLE] = json.dumps(Inherited(os.getpid(), path, time_limit, hostname))


def forget() -> None:
    """This process spawns no pool process, whatever a worker before it or around it did."""
    os.environ.pop(_VARIABLE, None)


def inherited() -> Inherited | None:
    """Return what this process was spawned with, `None` where it was not spawned."""
    about = os.environ.get(_VARIABLE)
    if not about or not isinstance(getattr(current_process(), "index", None), int):
        return None
    it = Inherited(*json.loads(about))
    return it if it.main == os.getppid() else None  # else it was forked


def _of_a_file(descriptor: int, path: str) -> PoolMemory:
    size = os.fstat(descriptor).st_size - _FLAGS
    if size <= 0:
        raise OSError(f"{path} is shorter than it was")
    notes = mmap.mmap(descriptor, size, offset=_FLAGS)
    return PoolMemory(mmap.mmap(descriptor, _FLAGS), notes, path)


def _locked_file() -> tuple[int, str]:
    """Return the descriptor of a new file, and its path. A lock is on it as long as this process
    lives, and the descriptor stays open."""
    import fcntl  # not on Windows

    while True:
        descriptor, path = tempfile.mkstemp(prefix=_PREFIX)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        except OSError:  # a file system that has no locks
            os.close(descriptor)
            os.unlink(path)
            raise
        if os.fstat(descriptor).st_nlink:  # else another worker has just taken it for a dead one's
            return descriptor, path
        os.close(descriptor)


def _remove_those_of_the_dead() -> None:
    import fcntl

    for path in glob(os.path.join(escape(tempfile.gettempdir()), f"{_PREFIX}*")):
        with suppress(OSError), open(path, "r+b") as file:  # another user's, or one in use
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)


def _remove(path: str, main: object) -> None:
    if this_process.value is main:  # and in none that it has forked
        with suppress(OSError):
            os.unlink(path)
