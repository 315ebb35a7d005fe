"""Processes that hold keys outside of tasks: `python -m tests.integration.apps.hold_app PLAY`.

Each play prints what came of it as one line of JSON. The store is `$CELERY_LOCK_TEST_STORE`.
"""

from __future__ import annotations

import sys

if sys.argv[1:] == ["greenlets"]:
    from gevent import monkey

    monkey.patch_all()

import asyncio
import ctypes
import json
import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import Celery

from celery_lock import LockConflict, hold, peek
from celery_lock.app.locks import locks_of

app = Celery("holds", broker="memory://")
app.conf.lock_store = os.environ.get("CELERY_LOCK_TEST_STORE", "memory://")

SOON = 3.0
"""Seconds within which what was interrupted has given its key back: a tenth of the ttl."""


class Account:
    """A number that is read and written in two steps, with a switch of threads in between."""

    def __init__(self) -> None:
        self.points = 0

    @hold("account", max_wait=60)
    def add(self) -> None:
        """Add one point."""
        points = self.points
        time.sleep(0.0005)
        self.points = points + 1

    def add_without(self) -> None:
        """The same without the key."""
        points = self.points
        time.sleep(0.0005)
        self.points = points + 1


def is_free_soon(key: str) -> bool:
    until = time.monotonic() + SOON
    while time.monotonic() < until:
        if peek(key) is None:
            return True
        time.sleep(0.02)
    return False


def threads() -> dict[str, Any]:
    def play(add: Callable[[], None]) -> None:
        workers = [threading.Thread(target=lambda: [add() for _ in range(15)]) for _ in range(8)]
        for each in workers:
            each.start()
        for each in workers:
            each.join()

    one, two = Account(), Account()
    play(one.add)
    play(two.add_without)
    return {"with": one.points, "without": two.points, "free": peek("account") is None}


def greenlets() -> dict[str, Any]:
    import gevent

    one = Account()
    gevent.joinall([gevent.spawn(one.add) for _ in range(60)])
    chance, hits = random.Random(5), 0
    for _ in range(150):
        try:
            with gevent.Timeout(chance.uniform(0.0002, 0.004)):
                with hold("stopped", max_wait=1):
                    gevent.sleep(0.0005)
                gevent.sleep(1)
        except gevent.Timeout:
            hits += 1
    return {"with": one.points, "hits": hits, "free": is_free_soon("stopped")}


def coroutines() -> dict[str, Any]:
    one = Account()

    async def main() -> None:
        await asyncio.gather(*(asyncio.to_thread(one.add) for _ in range(40)))

    asyncio.run(main())
    return {"with": one.points, "free": peek("account") is None}


def forks() -> dict[str, Any]:
    """A server that was preloaded: its first process has held a key, and forks its workers."""
    with hold("preloaded", max_wait=0):
        pass
    account = Path(tempfile.mkdtemp(), "points")
    account.write_text("0")

    @hold("file", max_wait=60)
    def add() -> None:
        points = int(account.read_text())
        time.sleep(0.0005)
        account.write_text(str(points + 1))

    with hold("parents", max_wait=0) as lease:
        children = [child(lambda: [add() for _ in range(15)]) for _ in range(3)]
        children.append(child(lambda: _is_kept_out("parents")))
        failed = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
        held = peek("parents")
        mine = held is not None and held.holder.pid == os.getpid() and not lease.lost
    points = int(account.read_text())
    account.unlink()
    account.parent.rmdir()
    return {"with": points, "failed": failed, "mine": mine, "free": peek("parents") is None}


def child(work: Callable[[], Any]) -> int:
    """Fork a child that does this, leaves the blocks around it as any code does, and exits."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


def _is_kept_out(key: str) -> None:
    try:
        with hold(key, max_wait=0):
            raise AssertionError("the key is its parent's")
    except LockConflict:
        pass


class Stop(BaseException):
    """What a signal or another thread raises here."""


def signals() -> dict[str, Any]:
    def stop(*_: object) -> None:
        raise Stop

    signal.signal(signal.SIGALRM, stop)
    chance, hits, ends = random.Random(7), 0, 0
    longest = _length_of_a_hold() * 2.5
    for _ in range(300):
        try:
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00005, longest))
            with hold("stopped", max_wait=1):
                ends += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
        except (Stop, UnboundLocalError):  # redis-py 5.2 makes the second of the first
            hits += 1
    return {"hits": hits, "ends": ends, "free": is_free_soon("stopped")}


def _length_of_a_hold() -> float:
    """Seconds that a block without anything in it takes at the moment."""
    lengths = []
    for _ in range(21):
        began = time.monotonic()
        with hold("stopped", max_wait=1):
            pass
        lengths.append(time.monotonic() - began)
    return sorted(lengths)[10]


def exceptions() -> dict[str, Any]:
    """Another thread raises in this one, at any step, as time limits of a threads pool do."""
    chance, hits = random.Random(9), 0
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    go = threading.Event()

    longest = _length_of_a_hold() * 1.3

    def work() -> None:
        nonlocal hits
        for _ in range(200):
            try:
                go.set()
                with hold("stopped", max_wait=1):
                    pass
                time.sleep(longest)
            except Stop:
                hits += 1

    worker = threading.Thread(target=work)
    worker.start()
    while worker.is_alive():
        go.wait(1)
        go.clear()
        time.sleep(chance.uniform(0.0, longest))
        if worker.is_alive() and worker.ident:
            raise_in(ctypes.c_ulong(worker.ident), ctypes.py_object(Stop))
    return {"hits": hits, "free": is_free_soon("stopped")}


def leaves() -> dict[str, Any]:
    """A script that never leaves its block."""
    never_left = hold("script", max_wait=0)
    never_left.__enter__()
    globals()["kept"] = never_left
    return {"held": peek("script") is not None}


PLAYS = {
    play.__name__: play
    for play in (threads, greenlets, coroutines, forks, signals, exceptions, leaves)
}


def main() -> None:
    print(json.dumps(PLAYS[sys.argv[1]]()), flush=True)
    assert locks_of(app).settings.ttl >= 10 * SOON


if __name__ == "__main__":
    main()
