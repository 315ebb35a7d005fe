"""What a pool process has from its worker's main process, and leaves to it."""

from __future__ import annotations

import logging
import mmap
from typing import Any

from ..engine.completions import send_last
from ..engine.pending_calls import make_last
from . import flags, notes, pool_memory, stamping
from .locks import all_locks
from .observing import last_words

__all__ = ["begin_child", "end_child", "share_with"]

logger = logging.getLogger("celery_lock")


def share_with(worker: Any, processes: int) -> None:
    """Share memory with the processes that a worker's pool will have, so many at most."""
    size = notes.size_for(processes)
    if not pool_memory.is_spawned(worker):
        notes.begin(mmap.mmap(-1, size))  # an anonymous map is shared over a fork
        return
    memory = None
    try:
        memory = pool_memory.make(size)
    except OSError as error:
        logger.warning(
            "celery_lock cannot share a file with the processes that this worker will spawn (%s):"
            " the key of one that is killed stays taken until its lease has run out, and they do"
            " not know of a shutdown, of a lost connection or of events. Let $TMPDIR name a folder"
            " with room for %d KiB, or let the pool fork its processes",
            error,
            size >> 10,
        )
    else:
        flags.share(memory.flags)
    notes.begin(memory and memory.notes)
    pool_memory.let_inherit(worker.time_limit, worker.hostname, memory)


def begin_child(**_: Any) -> None:
    """This is a pool process, whose tasks are bound: a receiver of `worker_process_init`."""
    inherited = pool_memory.inherited()
    if inherited is not None:
        _do_as_if_forked(inherited)
    notes.sign_in()


def _do_as_if_forked(inherited: pool_memory.Inherited) -> None:
    """Do in a pool process that was spawned what a forked one has from the main process."""
    try:
        memory = inherited.memory()
    except OSError as error:
        logger.warning(
            "celery_lock cannot read the file that the worker shares with this process (%s): if the"
            " process is killed, its key stays taken until its lease has run out, and it does not"
            " know of a shutdown, of a lost connection or of events. Start the worker again, and"
            " let no program remove its files from $TMPDIR",
            error,
        )
        memory = None
    if memory is not None:
        flags.share(memory.flags)
        notes.join(memory.notes)
    stamping.come_last()
    for locks in all_locks():  # the app was copied, so there are two of it
        locks.in_worker(
            events=flags.sends_events, hostname=inherited.hostname, time_limit=inherited.time_limit
        )


def end_child(**_: Any) -> None:
    """This pool process leaves: a receiver of `worker_process_shutdown`."""
    make_last()  # a release without an answer: the key would stay taken for its ttl
    send_last()
    last_words()
