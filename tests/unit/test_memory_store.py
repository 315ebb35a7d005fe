"""What the memory store has beyond the contract: spaces, and a clock that a test moves."""

from __future__ import annotations

import threading

import pytest

from celery_lock.model import Change, Claim, Held, HeldPermit, Lease
from celery_lock.stores import open_store
from celery_lock.stores.entries import read_state
from celery_lock.stores.manual_clock import ManualClock
from celery_lock.stores.memory import MemoryServer, MemoryStore

pytestmark = pytest.mark.unit

FIRST = Claim("order:7", "task-1#node@a#1#0a", 30.0)
SECOND = Claim("order:7", "task-2#node@b#2#0b", 30.0)


def on(clock: ManualClock) -> MemoryStore:
    return MemoryStore(MemoryServer(clock, epoch=1_000_000.0))


def started(target: object) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread


# -- time ------------------------------------------------------------------------------------


def test_a_lease_ends_exactly_when_the_clock_says_so() -> None:
    clock = ManualClock()
    store = on(clock)
    store.acquire(FIRST)

    clock.move(29.999)
    assert isinstance(store.acquire(SECOND), Held)

    clock.move(0.001)
    assert isinstance(store.acquire(SECOND), Lease)


def test_the_times_of_a_refusal_are_the_stores() -> None:
    clock = ManualClock(start=500.0)
    store = on(clock)
    store.acquire(FIRST)
    clock.move(12.5)

    held = store.acquire(SECOND)

    assert held == Held(
        key="order:7",
        holder=FIRST.holder,
        since=1_000_500.0,
        now=1_000_512.5,
        expires_in=17.5,
        live=True,
        token=1_000_500_000_000,
        mark="1000512500000",
        holders=(HeldPermit(FIRST.holder, 1_000_500.0, 17.5, token=1_000_500_000_000),),
    )


def test_a_clock_that_steps_back_makes_no_token_smaller() -> None:
    clock = ManualClock()
    store = on(clock)
    first = store.acquire(FIRST)
    assert isinstance(first, Lease)
    store.release(first)

    clock.move(-50)
    second = store.acquire(SECOND)

    assert isinstance(second, Lease)
    assert second.token == first.token + 1


def test_what_is_long_over_is_forgotten_and_tokens_grow_all_the_same() -> None:
    clock = ManualClock()
    server = MemoryServer(clock)
    store = MemoryStore(server)
    first = store.acquire(FIRST)
    assert isinstance(first, Lease)

    clock.move(30 + 60)
    assert store.peek("order:7") is None

    assert server.entries == {}
    second = store.acquire(SECOND)
    assert isinstance(second, Lease)
    assert second.token > first.token


def test_many_forgotten_keys_take_no_memory() -> None:
    clock = ManualClock()
    server = MemoryServer(clock)
    store = MemoryStore(server)

    for number in range(5000):
        store.acquire(Claim(f"order:{number}", FIRST.holder, 1.0))
        clock.move(1.0)

    assert len(server.entries) < 1100


def test_many_records_that_have_ended_take_no_memory() -> None:
    clock = ManualClock()
    server = MemoryServer(clock)
    store = MemoryStore(server)

    for number in range(5000):
        store.change(Change("beat:shop", f"entry {number}", None, "first", "", 1.0))
        clock.move(1.0)

    assert len(server.entries) < 1100


def test_a_record_ends_exactly_when_the_clock_says_so() -> None:
    clock = ManualClock()
    store = on(clock)
    store.change(Change("beat:shop", "nightly", None, "first", "", 30.0))

    clock.move(29.999)
    assert store.names("beat:shop") == ["nightly"]

    clock.move(0.001)
    assert store.names("beat:shop") == []
    assert store.records("beat:shop", ["nightly"]) == ([None], 1_000_030.0)


# -- marks -----------------------------------------------------------------------------------


def test_an_undone_claim_is_refused_for_one_deadline() -> None:
    clock = ManualClock()
    store = on(clock)
    store.undo(FIRST)

    clock.move(1.999)
    assert isinstance(store.acquire(FIRST), Held)
    store.undo(SECOND)  # a mark that lives for longer
    clock.move(0.001)

    assert isinstance(store.acquire(FIRST), Lease)


def test_the_marks_of_undone_claims_do_not_pile_up() -> None:
    clock = ManualClock()
    server = MemoryServer(clock, epoch=0.0)
    store = MemoryStore(server)
    for number in range(50):
        store.undo(Claim("order:7", f"task-{number}#node#1#0a", 30.0))
    clock.move(2.0)

    store.undo(FIRST)

    (entry,) = server.entries.values()
    assert read_state(entry.text).undone == ((FIRST.holder, 4_000_000),)


def test_permits_that_are_long_free_are_forgotten() -> None:
    clock = ManualClock()
    server = MemoryServer(clock, epoch=0.0)
    store = MemoryStore(server)
    claims = [Claim("order:7", f"task-{n}#node#1#0a", 30.0, limit=5) for n in range(5)]
    for lease in [store.acquire(claim) for claim in claims]:
        assert isinstance(lease, Lease)
        store.release(lease)

    clock.move(1.0)
    store.acquire(FIRST)
    (entry,) = server.entries.values()
    assert len(read_state(entry.text).permits) == 5  # one of these releases may come again
    clock.move(31.0)
    store.acquire(SECOND)

    (entry,) = server.entries.values()
    assert len(read_state(entry.text).permits) == 1


# -- watching, without a second of real waiting ------------------------------------------------


def test_a_moved_clock_ends_a_watch() -> None:
    clock = ManualClock()
    store = on(clock)
    store.acquire(FIRST)
    watcher = started(lambda: store.watch("order:7", 10.0))

    for _ in range(1000):
        clock.move(1.0)
        watcher.join(0.005)
        if not watcher.is_alive():
            break

    assert not watcher.is_alive()


def test_a_watch_ends_when_the_lease_does() -> None:
    clock = ManualClock(jumps=True)
    store = on(clock)
    store.acquire(FIRST)

    store.watch("order:7", 100.0)

    assert clock() == pytest.approx(30.0)
    assert isinstance(store.acquire(SECOND), Lease)


def test_a_jumping_clock_is_moved_by_the_watcher_itself() -> None:
    clock = ManualClock(jumps=True)
    store = on(clock)
    store.acquire(FIRST)

    store.watch("order:7", 10.0)

    assert clock() == pytest.approx(10.0)
    assert store.peek("order:7") is not None


def test_a_watch_of_a_free_key_returns_at_once() -> None:
    clock = ManualClock()

    on(clock).watch("order:7", 10.0)

    assert clock() == 0.0


def test_a_release_under_a_floor_does_not_end_a_watch() -> None:
    clock = ManualClock(jumps=True)
    store = on(clock)
    lease = store.acquire(Claim("order:7", FIRST.holder, 30.0, at_least=20.0))
    assert isinstance(lease, Lease)
    store.release(lease)

    store.watch("order:7", 100.0)

    assert clock() == pytest.approx(20.0)


# -- spaces ----------------------------------------------------------------------------------


def test_stores_of_one_url_share_their_leases() -> None:
    one, other = open_store("memory://shared"), open_store("memory://shared")

    lease = one.acquire(FIRST)

    assert isinstance(lease, Lease)
    assert isinstance(other.acquire(SECOND), Held)
    assert other.release(lease)


def test_stores_of_different_names_or_prefixes_do_not_meet() -> None:
    stores = [
        open_store("memory://left"),
        open_store("memory://right"),
        open_store("memory://right", prefix="another:"),
    ]

    assert all(isinstance(store.acquire(FIRST), Lease) for store in stores)


def test_two_stores_made_directly_do_not_meet() -> None:
    assert isinstance(MemoryStore().acquire(FIRST), Lease)
    assert isinstance(MemoryStore().acquire(SECOND), Lease)


def test_the_check_says_that_nobody_else_sees_the_locks() -> None:
    [warning] = open_store("memory://").check()

    assert "one process alone" in warning
