"""What lives on which lease of etcd, and what is asked for it: on a cluster that is played."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from celery_lock.errors import StoreError
from celery_lock.model import (
    Change,
    Claim,
    Completion,
    End,
    Held,
    Holder,
    Lease,
    LockStore,
    Met,
    Outcome,
)
from celery_lock.stores.etcd.errors import Refusal
from celery_lock.stores.manual_clock import ManualClock
from tests.fake_etcd import FakeEtcd

pytestmark = pytest.mark.unit

GRANT, KEEP_ALIVE, TXN = "/v3/lease/grant", "/v3/lease/keepalive", "/v3/kv/txn"

_numbers = count(1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def fake(clock: ManualClock) -> FakeEtcd:
    return FakeEtcd(clock)


@pytest.fixture
def store(fake: FakeEtcd) -> LockStore:
    return fake.store()


def claim_of(key: str = "", ttl: float = 30.0, **options: Any) -> Claim:
    number = next(_numbers)
    options.setdefault("holder", f"task-{number}#node#1#{number:08x}")
    return Claim(key or f"key-{number}", ttl=ttl, **options)


def granted(store: LockStore, claim: Claim) -> Lease:
    lease = store.acquire(claim)
    assert isinstance(lease, Lease), lease
    return lease


def lived_on(fake: FakeEtcd, key: str, kind: str = "l") -> int:
    """The lease of etcd that the entry of this kind lives on."""
    found = [
        kv.lease for name, kv in fake.entries.items() if f"/lock/{key}/{kind}".encode() in name
    ]
    assert len(found) == 1, found
    return found[0]


# -- one lease for what is renewed -----------------------------------------------------------


def test_all_that_is_renewed_alike_lives_on_one_lease(fake: FakeEtcd, store: LockStore) -> None:
    leases = [granted(store, claim_of()) for _ in range(50)]

    assert len({lived_on(fake, lease.key) for lease in leases}) == 1
    assert fake.asked.count(GRANT) == 1


def test_a_free_key_costs_one_request_and_its_release_another(
    fake: FakeEtcd, store: LockStore
) -> None:
    store.release(granted(store, claim_of()))  # the leases are there
    fake.asked.clear()

    lease = granted(store, claim_of("order:1"))
    assert fake.asked == [TXN]
    store.release(lease)
    again = granted(store, claim_of("order:1"))

    assert fake.asked == [TXN] * 3
    assert again.token > lease.token


def test_a_hundred_leases_are_renewed_in_one_round_trip(fake: FakeEtcd, store: LockStore) -> None:
    leases = [granted(store, claim_of()) for _ in range(100)]
    fake.asked.clear()
    trips = fake.trips

    assert store.renew([(lease, 30.0) for lease in leases]) == [Outcome.RENEWED] * 100

    assert fake.trips - trips == 1
    assert fake.asked == [KEEP_ALIVE, TXN]


def test_a_claim_keeps_the_lease_alive_where_less_than_its_ttl_is_left(
    fake: FakeEtcd, store: LockStore, clock: ManualClock
) -> None:
    granted(store, claim_of())
    clock.move(6.0)  # it was granted for 35 s
    fake.asked.clear()

    lease = granted(store, claim_of())

    assert fake.asked == [KEEP_ALIVE, TXN]
    clock.move(29.9)
    assert store.peek(lease.key) is not None


def test_what_is_not_renewed_is_deleted_before_the_others_are_kept_alive(
    fake: FakeEtcd, store: LockStore, clock: ManualClock
) -> None:
    dead, neighbour = granted(store, claim_of()), granted(store, claim_of())
    for _ in range(3):
        clock.move(10.0)
        assert store.renew([(neighbour, 30.0)]) == [Outcome.RENEWED]
    clock.move(0.1)

    store.renew([(neighbour, 30.0)])

    assert store.peek(dead.key) is None
    assert store.peek(neighbour.key) is not None


def test_an_end_that_is_near_is_kept_though_the_neighbours_are_renewed(
    fake: FakeEtcd, store: LockStore, clock: ManualClock
) -> None:
    """Of a lease that may be held for so long at most the last renewal is for less."""
    last, neighbour = granted(store, claim_of()), granted(store, claim_of())

    assert store.renew([(last, 9.0), (neighbour, 30.0)]) == [Outcome.RENEWED] * 2
    clock.move(9.0)
    assert store.peek(last.key) is not None
    clock.move(3.0)
    store.renew([(neighbour, 30.0)])

    assert store.peek(last.key) is None
    assert store.peek(neighbour.key) is not None


def test_a_keep_alive_that_is_refused_leaves_its_leases_unknown_and_no_others(
    fake: FakeEtcd, store: LockStore
) -> None:
    mine, other = granted(store, claim_of(ttl=30.0)), granted(store, claim_of(ttl=60.0))
    refused = str(lived_on(fake, mine.key))
    answered = fake.ask_each

    def refusing(requests: Any, within: float | None = None) -> list[Any]:
        answers = answered(requests, within)
        for at, (path, asked) in enumerate(requests):
            if path == KEEP_ALIVE and asked["ID"] == refused:
                answers[at] = Refusal(8, "etcdserver: too many requests")
        return answers

    fake.ask_each = refusing  # type: ignore[method-assign]  # of this one

    outcomes = store.renew([(mine, 30.0), (other, 60.0)])

    assert outcomes == [Outcome.UNKNOWN, Outcome.RENEWED]
    with pytest.raises(StoreError, match="too many requests"):
        store.renew([(mine, 30.0)])
    fake.ask_each = answered  # type: ignore[method-assign]
    assert store.renew([(mine, 30.0), (other, 60.0)]) == [Outcome.RENEWED] * 2


def test_each_question_makes_another_lease_where_the_one_it_had_has_ended(
    fake: FakeEtcd, store: LockStore
) -> None:
    def ask_all(number: int) -> None:
        claim = claim_of(f"k{number}", at_least=5.0, publication="p")
        store.undo(claim_of(f"k{number}"))
        lease = granted(store, claim)
        for number_ in list(fake.leases):
            fake.end_lease(number_)
        store.undo(claim_of(f"k{number}"))
        store.complete([Completion(f"k{number}", "p", 30.0)])
        store.free(f"k{number}", claim.holder)
        store.release(lease, End(publication="p", remember=30.0, floor=3.0))
        store.change(Change("s", f"k{number}", None, "one", "value", 30.0))
        store.acquire_all([claim_of(f"{name}{number}") for name in "xy"])

    for number in range(3):
        ask_all(number)
        for ended in list(fake.leases):
            fake.end_lease(ended)


def test_an_undo_that_nothing_came_of_is_one_request(fake: FakeEtcd, store: LockStore) -> None:
    store.undo(claim_of("order:1"))
    fake.asked.clear()

    store.undo(claim_of("order:1"))

    assert fake.asked == [TXN]


@pytest.mark.parametrize("ttl", [30.0, 9.0])
def test_a_lease_whose_time_is_over_is_not_revived_though_etcd_still_has_it(
    store: LockStore, clock: ManualClock, ttl: float
) -> None:
    lease = granted(store, claim_of())
    clock.move(30.1)
    assert store.peek(lease.key) is not None

    assert store.renew([(lease, ttl)]) == [Outcome.LOST]


def test_a_lease_that_is_renewed_in_another_store_moves_there(
    fake: FakeEtcd, store: LockStore, clock: ManualClock
) -> None:
    lease = granted(store, claim_of())
    other = fake.store()
    before = lived_on(fake, lease.key)

    assert other.renew([(lease, 30.0)]) == [Outcome.RENEWED]

    assert lived_on(fake, lease.key) != before
    fake.end_lease(before)
    assert other.renew([(lease, 30.0)]) == [Outcome.RENEWED]
    assert store.release(lease)


def test_what_lived_on_a_lease_that_has_ended_is_lost_and_a_claim_makes_another(
    fake: FakeEtcd, store: LockStore
) -> None:
    lease = granted(store, claim_of())
    fake.end_lease(lived_on(fake, lease.key))

    assert store.renew([(lease, 30.0)]) == [Outcome.LOST]

    granted(store, claim_of(lease.key))


def test_a_claim_whose_lease_has_just_ended_is_made_on_another(
    fake: FakeEtcd, store: LockStore
) -> None:
    lease = granted(store, claim_of())
    fake.end_lease(lived_on(fake, lease.key))

    granted(store, claim_of(lease.key))


def test_the_same_lease_twice_in_one_call_is_renewed(store: LockStore) -> None:
    lease = granted(store, claim_of())

    outcomes = store.renew([(lease, 30.0), (lease, 60.0), (lease, 30.0)])

    assert outcomes == [Outcome.RENEWED] * 3


# -- claims that arrive late -----------------------------------------------------------------


def test_a_claim_that_is_executed_again_after_its_release_is_given_nothing(
    fake: FakeEtcd, store: LockStore
) -> None:
    """A server that was frozen executes what it was sent minutes ago."""
    granted(store, claim_of())
    sent: list[Any] = []
    fake.hears = lambda path, asked: sent.append((path, asked))
    claim = claim_of("order:1")
    lease = granted(store, claim)
    fake.hears = None
    store.release(lease)

    fake.ask_each(sent)

    assert store.peek("order:1") is None


def test_what_nobody_knows_of_is_found_and_deleted(
    fake: FakeEtcd, store: LockStore, clock: ManualClock
) -> None:
    """Also where even the mark of its end is gone: else it would be kept alive for ever."""
    neighbour = granted(store, claim_of())
    sent: list[Any] = []
    fake.hears = lambda path, asked: sent.append((path, asked))
    lease = granted(store, claim_of("order:1"))
    fake.hears = None
    store.release(lease)
    for _ in range(20):
        clock.move(10.0)
        store.renew([(neighbour, 30.0)])
    fake.ask_each(sent)
    assert store.peek("order:1") is not None

    for _ in range(7):
        clock.move(10.0)
        store.renew([(neighbour, 30.0)])

    assert store.peek("order:1") is None
    assert store.peek(neighbour.key) is not None


# -- what is only kept -----------------------------------------------------------------------


def test_what_a_publisher_leaves_lives_on_without_it(
    fake: FakeEtcd, store: LockStore, clock: ManualClock
) -> None:
    """A web process that goes takes no queued lease, no floor and no record with it."""
    mine = granted(store, claim_of("mine"))
    claim = claim_of("queued", holder="job#web#1#01", unconfirmed=True)
    heir = str(Holder.for_retry("job", 0))
    store.release(granted(store, claim), End(heir=heir, heir_ttl=600.0))
    granted(store, claim_of("sending", ttl=600.0, unconfirmed=True))
    store.release(granted(store, claim_of("floored", at_least=300.0)))
    store.complete([Completion("told", "p", 600.0)])

    fake.end_lease(lived_on(fake, mine.key))
    for renewed in list(fake.leases):
        if fake.leases[renewed][0] == 700:  # one for a ttl of 600, were there one
            fake.end_lease(renewed)

    other = fake.store()
    for key in ("queued", "sending", "floored"):
        assert other.peek(key) is not None, key
    copy = claim_of("told", publication="p", copy_since="")
    answer = other.acquire(copy)
    assert not isinstance(answer, Lease)
    assert answer.met is Met.DONE


def test_kept_things_of_about_the_same_life_share_a_lease(
    fake: FakeEtcd, store: LockStore, clock: ManualClock
) -> None:
    for number in range(100):
        store.complete([Completion(f"k{number}", "p", 3600.0)])
        clock.move(1.0)

    assert fake.asked.count(GRANT) == 1


def test_no_kept_thing_ends_before_its_time(
    fake: FakeEtcd, store: LockStore, clock: ManualClock
) -> None:
    for number in range(40):
        store.release(granted(store, claim_of(f"k{number}", at_least=20.0)))
        clock.move(0.7)
    clock.move(20.0 - 0.7)

    assert store.peek("k39") is not None
    clock.move(2.5)
    assert store.peek("k39") is None


def test_a_refused_claim_makes_no_lease_for_its_floor(fake: FakeEtcd, store: LockStore) -> None:
    granted(store, claim_of("order:1"))
    fake.asked.clear()

    store.acquire(claim_of("order:1", at_least=600.0))

    assert GRANT not in fake.asked


def test_a_completion_is_known_for_as_long_as_it_was_to_be(
    store: LockStore, clock: ManualClock
) -> None:
    store.complete([Completion("told", "p", 600.0)])

    store.complete([Completion("told", "p", 5.0)])

    clock.move(500.0)
    answer = store.acquire(claim_of("told", publication="p", copy_since=""))
    assert not isinstance(answer, Lease)
    assert answer.met is Met.DONE


def test_what_was_completed_in_the_last_step_before_a_conflict_is_another_message(
    store: LockStore,
) -> None:
    lease, copy = granted(store, claim_of("told")), claim_of("told", publication="p")
    store.complete([Completion("told", "p", 600.0)])
    met = store.acquire(copy)
    assert isinstance(met, Held)
    store.release(lease)

    granted(store, replace(copy, copy_since=met.mark))


def test_what_is_forgotten_is_nowhere(fake: FakeEtcd, store: LockStore, clock: ManualClock) -> None:
    for number in range(30):
        claim = claim_of(f"k{number}", at_least=5.0, publication=f"p{number}")
        end = End(publication=claim.publication, remember=30.0)
        store.release(granted(store, claim), end)
        store.complete([Completion(claim.key, claim.publication, 30.0)])
        store.undo(claim_of(f"k{number}"))
    clock.move(1000.0)
    store.peek("any")

    assert [json.loads(b64decode(kv.value)) for kv in fake.entries.values()] == []
    assert fake.leases == {}
