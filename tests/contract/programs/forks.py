"""A store is used before and after a fork: `forks.py URL`; exit status 0 if all is well."""

import sys
import threading
from ctypes import PyDLL
from time import monotonic

from celery_lock.engine.locker import Ask, Grant, Locker
from celery_lock.events import Subject
from celery_lock.model import Completion, Lease
from celery_lock.stores.link.deadline_socket import ConnectionLost
from celery_lock.stores.redis import RedisStore
from celery_lock.stores.redis.link.connection import Connection
from celery_lock.stores.redis.link.resp import command
from tests.contract.conftest import claim_of
from tests.unit.forking import holds_in_a_child

url = sys.argv[1]


def identity(store: RedisStore) -> object:
    return store._server.say("CLIENT", "ID")


def the_child_has_connections_of_its_own() -> None:
    store = RedisStore(url)
    lease = store.acquire(claim_of("fork:own"))
    assert isinstance(lease, Lease)
    mine = identity(store)

    assert holds_in_a_child(lambda: identity(store) != mine and store.peek("fork:own") is not None)

    assert identity(store) == mine, "the child has closed its parent's connection"
    assert store.release(lease)


def a_pool_that_was_locked_at_the_fork_hangs_no_child() -> None:
    store = RedisStore(url)
    lease = store.acquire(claim_of("fork:locked"))
    pool, watchers = store._server._own.value
    lent = [pool.take(0) for _ in range(pool.size)]
    hold, stop = threading.Event(), threading.Event()

    def keep_locked() -> None:
        with pool._returned, watchers._guard:
            hold.set()
            stop.wait(20)

    thread = threading.Thread(target=keep_locked)
    thread.start()
    hold.wait(5)

    assert holds_in_a_child(
        lambda: store.release(lease) and store.watch("fork:locked", 0.05) is None
    )

    stop.set()
    thread.join()
    for connection in lent:
        pool.give(connection)
    assert store.peek("fork:locked") is None


def a_reply_that_is_due_to_the_parent_is_not_read_by_the_child() -> None:
    store = RedisStore(url)
    pool, _ = store._server._own.value
    connection = pool.take(0)
    connection.begin(command("ECHO", "parent"), monotonic() + 10)

    assert holds_in_a_child(lambda: no_reply_is_due(connection))

    assert connection.finish() == b"parent"
    assert holds_in_a_child(
        lambda: connection.exchange(command("ECHO", "child"), monotonic() + 10) == b"child"
    )
    assert connection.exchange(command("ECHO", "again"), monotonic() + 10) == b"again"
    pool.give(connection)


def no_reply_is_due(connection: Connection) -> bool:
    try:
        connection.finish()
    except ConnectionLost:
        return True
    return False


def a_memory_store_that_was_locked_at_the_fork_hangs_no_child() -> None:
    from celery_lock.stores.memory import MemoryServer, MemoryStore

    server = MemoryServer()
    store = MemoryStore(server)
    hold, stop = threading.Event(), threading.Event()

    def keep_locked() -> None:
        with server.changed:
            hold.set()
            stop.wait(20)

    thread = threading.Thread(target=keep_locked)
    thread.start()
    hold.wait(5)

    assert holds_in_a_child(lambda: isinstance(store.acquire(claim_of("fork:memory")), Lease))

    stop.set()
    thread.join()
    assert store.peek("fork:memory") is None


def a_child_that_was_forked_in_c_begins_anew() -> None:
    """As those of uWSGI: Python is not told of the fork.

    The parent has no threads: one that waits for the interpreter at that moment may hang a child
    for ever, and nobody can help it.
    """
    if sys.platform != "linux":
        return
    store = RedisStore(url)
    locker = Locker(store, threads=False)
    grant = locker.claim(ask())
    assert isinstance(grant, Grant)
    mine = identity(store)
    locker.completions.add(Completion("fork:c", "p1", 30.0), SUBJECT)

    def begins_anew() -> bool:
        assert isinstance(locker.claim(ask()), Grant)
        assert identity(store) != mine
        return (len(locker.keeper), len(locker.completions)) == (1, 0)

    assert holds_in_a_child(begins_anew, PyDLL(None).fork)

    assert identity(store) == mine
    locker.release(grant)


def ask() -> Ask:
    return Ask(claim_of(), SUBJECT)


SUBJECT = Subject("t", "id", "k")

for test in (
    the_child_has_connections_of_its_own,
    a_pool_that_was_locked_at_the_fork_hangs_no_child,
    a_reply_that_is_due_to_the_parent_is_not_read_by_the_child,
    a_memory_store_that_was_locked_at_the_fork_hangs_no_child,
    a_child_that_was_forked_in_c_begins_anew,
):
    test()
    print(test.__name__)
