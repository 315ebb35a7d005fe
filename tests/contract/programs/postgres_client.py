"""Another process that uses the lock store in PostgreSQL: `postgres_client.py URL PART`."""

import os
import signal
import sys
import time
from itertools import count
from typing import Any

import psycopg

from celery_lock.errors import StoreUnavailable
from celery_lock.model import Claim, Held, Lease
from examples.postgres_store.store import open_postgres

url, part = sys.argv[1:]
deadline = 1.0 if part == "stall" else 10.0
store = open_postgres(url, options={}, deadline=deadline, prefix="test:")
numbers = count(1)


def a_claim(key: str) -> Claim:
    """A claim by a new holder, of this process and no other."""
    return Claim(key, f"task-{os.getpid()}-{next(numbers)}#node@host#{os.getpid()}#1", 30.0)


def interrupted_by(number: int) -> Any:
    """Send itself a signal between BEGIN and COMMIT of an acquire, which then goes on."""
    step = store.step

    def stepping(names: Any, move: Any, within: float) -> Any:
        def moving(texts: Any, clock: Any) -> Any:
            print("in the middle", flush=True)
            os.kill(os.getpid(), number)
            return move(texts, clock)

        return step(names, moving, within)

    store.step = stepping  # type: ignore[method-assign]
    return store.acquire(a_claim("order:7"))


def die() -> None:
    """Be killed in the middle of a step."""
    interrupted_by(signal.SIGKILL)


def stall() -> None:
    """Be stopped in the middle of a step, and go on later: by then the step is undone."""
    try:
        interrupted_by(signal.SIGSTOP)
    except StoreUnavailable as error:
        print(error)
    else:
        raise AssertionError("a step that was away for so long has been done")


def add() -> None:
    """Add 60 to a number, one by one, with the key each time; by reading, pausing, and writing."""
    with psycopg.connect(url, autocommit=True) as database:
        for _ in range(60):
            while isinstance(lease := store.acquire(a_claim("order:7")), Held):
                time.sleep(0.001)
            [number] = database.execute("SELECT number FROM counted").fetchone() or [0]
            time.sleep(0.001)
            database.execute("UPDATE counted SET number = %s", [number + 1])
            assert store.release(lease)


def connections() -> set[int]:
    """Name the connections of this process, by their processes in the server."""
    return {one.conn.backend_pid for one in store._own.value[1] if one.conn is not None}


def fork() -> None:
    """Use one store before and after a fork, in the parent and in the child."""
    lease = store.acquire(a_claim("order:7"))
    assert isinstance(lease, Lease)
    mine = connections()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(10)  # a child that hangs is ended
            assert store.peek("order:7") is not None
            assert isinstance(store.acquire(a_claim("order:8")), Lease)
            assert connections().isdisjoint(mine), "the child uses its parent's connection"
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert store.release(lease), "the child has ended its parent's connection"


{"die": die, "stall": stall, "add": add, "fork": fork}[part]()
print("done", flush=True)
