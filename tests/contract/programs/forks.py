"""A store is used before and after a fork: `forks.py URL`; exit status 0 if all is well."""

import os
import signal
import sys
import threading
from collections.abc import Callable

from celery_lock.model import Lease
from celery_lock.stores.redis import RedisStore
from tests.contract.conftest import claim_of

url = sys.argv[1]


def in_a_child(check: Callable[[], object]) -> None:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(10)  # a child that hangs is ended
            assert check()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0, check.__name__


def identity(store: RedisStore) -> object:
    return store._server.say("CLIENT", "ID")


def the_child_has_connections_of_its_own() -> None:
    store = RedisStore(url)
    lease = store.acquire(claim_of("fork:own"))
    assert isinstance(lease, Lease)
    mine = identity(store)

    in_a_child(lambda: identity(store) != mine and store.peek("fork:own") is not None)

    assert identity(store) == mine, "the child has closed its parent's connection"
    assert store.release(lease)


def a_pool_that_was_locked_at_the_fork_hangs_no_child() -> None:
    store = RedisStore(url)
    lease = store.acquire(claim_of("fork:locked"))
    pool, turns = store._server._of_process()
    lent = [pool.take(0) for _ in range(pool.size)]
    hold, stop = threading.Event(), threading.Event()

    def keep_locked() -> None:
        with pool._returned, turns._guard:
            hold.set()
            stop.wait(20)

    thread = threading.Thread(target=keep_locked)
    thread.start()
    hold.wait(5)

    in_a_child(lambda: store.release(lease) and store.watch("fork:locked", 0.05) is None)

    stop.set()
    thread.join()
    for wire in lent:
        pool.give(wire)
    assert store.peek("fork:locked") is None


def a_memory_store_that_was_locked_at_the_fork_hangs_no_child() -> None:
    from celery_lock.stores.memory import MemoryStore
    from celery_lock.stores.space import Space

    space = Space()
    store = MemoryStore(space)
    hold, stop = threading.Event(), threading.Event()

    def keep_locked() -> None:
        with space.changed:
            hold.set()
            stop.wait(20)

    thread = threading.Thread(target=keep_locked)
    thread.start()
    hold.wait(5)

    in_a_child(lambda: isinstance(store.acquire(claim_of("fork:memory")), Lease))

    stop.set()
    thread.join()
    assert store.peek("fork:memory") is None


for test in (
    the_child_has_connections_of_its_own,
    a_pool_that_was_locked_at_the_fork_hangs_no_child,
    a_memory_store_that_was_locked_at_the_fork_hangs_no_child,
):
    test()
    print(test.__name__)
