"""A process that has too many files open: its stores say so, and the policy of an outage holds."""

from __future__ import annotations

import selectors
import socket

import pytest

from celery_lock.errors import StoreUnavailable
from celery_lock.stores import open_store
from celery_lock.stores.link.selecting import selector

from .forking import holds_in_a_child
from .too_many_files import too_many_files

STORES = [
    "redis://127.0.0.1:1",
    "rediss://127.0.0.1:1",
    "unix:///nowhere.sock",
    "sentinel://127.0.0.1:1/0?master_name=m",
    "sentinel://localhost:1/0?master_name=m",
    "redis+cluster://127.0.0.1:1",
    "redlock://127.0.0.1:1,127.0.0.1:2,127.0.0.1:3",
    "etcd://127.0.0.1:1",
    "zookeeper://127.0.0.1:1",
]


@pytest.mark.parametrize("url", STORES)
def test_a_store_that_cannot_be_connected_to_for_that_is_not_available(url: str) -> None:
    store = open_store(url)

    def is_said_so() -> bool:
        with too_many_files(), pytest.raises(StoreUnavailable):
            store.peek("k")
        return True

    assert holds_in_a_child(is_said_so)


def test_several_sockets_are_waited_for_all_the_same() -> None:
    def are_heard() -> bool:
        one, other = socket.socketpair()
        with too_many_files(), selector() as waits:
            waits.register(one, selectors.EVENT_READ)
            other.send(b"!")
            return [key.fileobj for key, _ in waits.select(5)] == [one]

    assert holds_in_a_child(are_heard)
