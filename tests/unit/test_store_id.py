"""The random id of a store, by which a worker knows that a lease lies in another one."""

from __future__ import annotations

import pytest

from celery_lock.engine.store_id import StoreId
from celery_lock.errors import StoreUnavailable
from celery_lock.model import Feature
from celery_lock.stores.memory import MemoryServer, MemoryStore

from .engine import Engine


class WithoutRecords(MemoryStore):
    """A store that has leases alone."""

    @property
    def features(self) -> frozenset[Feature]:
        return super().features - {Feature.RECORDS}


def a_store(server: MemoryServer, **options: str) -> MemoryStore:
    return MemoryStore(server, deadline=1.0, **options)


def test_all_who_use_one_store_know_it_by_one_id() -> None:
    server = MemoryServer()
    publisher, worker = StoreId(a_store(server)), StoreId(a_store(server))

    assert publisher.get() == worker.get() != ""


@pytest.mark.parametrize("prefix", ["celery-lock:", "shop:"])
def test_another_server_and_another_prefix_are_another_store(prefix: str) -> None:
    server = MemoryServer()
    one = StoreId(a_store(server, prefix="other:"))
    other = StoreId(a_store(MemoryServer() if prefix == "celery-lock:" else server, prefix=prefix))

    assert one.get() != other.get()


def test_it_is_asked_for_once() -> None:
    engine = Engine()
    first = engine.locker.store_id.get()

    with engine.store.down():
        again = engine.locker.store_id.get()

    assert again == first


def test_a_process_learns_within_a_minute_that_the_store_was_emptied() -> None:
    engine, fresh = Engine(), MemoryServer()
    first = engine.locker.store_id.get()
    engine.store.inner._server = fresh
    other = StoreId(a_store(fresh)).get()

    before = engine.locker.store_id.get()
    engine.clock.move(60.0)

    assert (before, engine.locker.store_id.get()) == (first, other)
    assert not engine.locker.store_id.is_of_another(first)


def test_a_store_that_is_as_it_was_before_has_the_id_that_it_had() -> None:
    engine = Engine()
    first, server = engine.locker.store_id.get(), engine.store.inner._server
    engine.store.inner._server = MemoryServer()
    engine.clock.move(60.0)
    between = engine.locker.store_id.get()
    engine.store.inner._server = server
    engine.clock.move(60.0)

    assert between != first
    assert engine.locker.store_id.get() == first
    assert not engine.locker.store_id.is_of_another(between)


def test_an_id_that_is_not_known_is_looked_for_before_it_is_called_another() -> None:
    engine, fresh = Engine(), MemoryServer()
    engine.locker.store_id.get()
    engine.store.inner._server = fresh
    other = StoreId(a_store(fresh)).get()

    assert not engine.locker.store_id.is_of_another(other)
    assert engine.locker.store_id.is_of_another("one more")


def test_the_known_id_stays_where_the_store_is_down_a_minute_later() -> None:
    engine = Engine()
    first = engine.locker.store_id.get()
    engine.clock.move(60.0)

    with engine.store.down():
        again = engine.locker.store_id.get()

    assert again == first


def test_a_store_that_gives_no_answer_is_asked_again() -> None:
    engine = Engine()

    with engine.store.down(), pytest.raises(StoreUnavailable):
        engine.locker.store_id.get()

    assert engine.locker.store_id.get()


def test_a_store_without_records_has_none() -> None:
    assert StoreId(WithoutRecords(MemoryServer(), deadline=1.0)).get() == ""
