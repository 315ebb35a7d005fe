"""A store is used before and after a fork: `zookeeper_forks.py URL`; status 0 if all is well."""

import os
import signal
import sys
import threading
from ctypes import PyDLL

from celery_lock.model import Lease, Outcome
from celery_lock.stores.zookeeper import ZooKeeperStore
from tests.contract.conftest import claim_of
from tests.unit.forking import holds_in_a_child

url = sys.argv[1]


def session(store: ZooKeeperStore) -> object:
    store.peek("any")
    return store._own.value.registers.link._client.client_id


def the_child_has_a_session_of_its_own() -> None:
    store = ZooKeeperStore(url, deadline=10.0)
    lease = store.acquire(claim_of("fork:own"))
    assert isinstance(lease, Lease)
    mine = session(store)

    assert holds_in_a_child(lambda: session(store) != mine and store.peek("fork:own") is not None)

    assert session(store) == mine
    assert store.renew([(lease, 30.0)]) == [Outcome.RENEWED]
    assert store.release(lease)


def a_child_that_leaves_politely_waits_for_no_thread_of_its_parent() -> None:
    store = ZooKeeperStore(url, deadline=10.0)
    store.peek("any")
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        store.peek("any")
        sys.exit(0)  # with all that was registered for the end
    assert os.waitpid(child, 0)[1] == 0

    assert store.check() == []


def locks_that_were_held_at_the_fork_hang_no_child() -> None:
    store = ZooKeeperStore(url, deadline=10.0)
    lease = store.acquire(claim_of("fork:locked"))
    assert isinstance(lease, Lease)
    own = store._own.value
    hold, stop = threading.Event(), threading.Event()

    def keep_locked() -> None:
        link = own.registers.link
        with link._guard, link._changed, own.registers.memory._guard, own.watches._guard:
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
    assert store.peek("fork:locked") is None


def a_child_that_was_forked_in_c_begins_anew() -> None:
    """As those of uWSGI: Python is not told of the fork."""
    if sys.platform != "linux":
        return
    store = ZooKeeperStore(url, deadline=10.0)
    mine = session(store)

    assert holds_in_a_child(lambda: session(store) != mine, PyDLL(None).fork)

    assert session(store) == mine


for test in (
    the_child_has_a_session_of_its_own,
    a_child_that_leaves_politely_waits_for_no_thread_of_its_parent,
    locks_that_were_held_at_the_fork_hang_no_child,
    a_child_that_was_forked_in_c_begins_anew,
):
    test()
    print(test.__name__, flush=True)
