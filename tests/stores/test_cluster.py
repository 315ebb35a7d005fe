"""A cluster of three masters: slots move, masters die and hang, and each key has one holder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from celery_lock.engine.locker import Ask, Grant, Locker
from celery_lock.errors import StoreError, StoreUnavailable
from celery_lock.events import Subject
from celery_lock.model import Change, Claim, Completion, End, Held, Lease, Outcome
from celery_lock.stores.redis.cluster import ClusterStore
from celery_lock.stores.redis.hash_tag import hash_tag
from celery_lock.stores.redis.link.slots import slot_of
from tests.contract.conftest import claim_of
from tests.contract.programs.running import run
from tests.services import Certificates, RedisCluster, RedisServer, find_redis, wait_for

Open = Callable[..., ClusterStore]


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """Three masters; nobody ends one of them."""
    with RedisCluster(_binary(), tmp_path_factory.mktemp("trio"), masters=3) as cluster:
        yield cluster


@pytest.fixture
def six(tmp_path: Path) -> Iterator[RedisCluster]:
    """Three masters and a replica of each, for one test."""
    with RedisCluster(_binary(), tmp_path / "six", masters=3, replicas=1) as cluster:
        yield cluster


@pytest.fixture
def partial(tmp_path: Path) -> Iterator[RedisCluster]:
    """Three masters without replicas; where one is dead the others go on."""
    args = ("--cluster-require-full-coverage", "no")
    with RedisCluster(_binary(), tmp_path / "partial", masters=3, args=args) as cluster:
        yield cluster


def _binary() -> str:
    found = find_redis()
    assert found is not None
    return found


@pytest.fixture
def open_store() -> Iterator[Open]:
    with ExitStack() as stack:

        def open_one(url: str, **options: Any) -> ClusterStore:
            store = ClusterStore(url, **options)
            stack.callback(store.close)
            return store

        yield open_one


def keys_of(cluster: RedisCluster, node: RedisServer, count: int, word: str = "k") -> list[str]:
    """Keys that a node keeps now."""
    shown = cluster.say(cluster.masters()[0], "CLUSTER", "SLOTS")
    kept = [range(row[0], row[1] + 1) for row in shown if row[2][1] == node.port]
    found: list[str] = []
    for number in range(100_000):
        slot = slot_of(hash_tag(key := f"{word}{number}"))
        if any(slot in part for part in kept):
            found.append(key)
            if len(found) == count:
                return found
    raise AssertionError("no such key")


def slot(key: str) -> int:
    return slot_of(hash_tag(key))


def granted(store: ClusterStore, claim: Claim) -> Lease:
    lease = store.acquire(claim)
    assert isinstance(lease, Lease), lease
    return lease


# -- a slot on its way -------------------------------------------------------------------------


def test_every_call_works_while_a_slot_is_on_its_way(trio: RedisCluster, open_store: Open) -> None:
    """What lies on neither of the two nodes whole is refused until it has moved: TRYAGAIN."""
    store = open_store(trio.url, deadline=20.0)
    source, target, _ = trio.nodes
    key = keys_of(trio, source, 1, "moving")[0]
    first = granted(store, claim_of(key, publication="p"))
    trio.begin_move(slot(key), source, target)

    assert store.renew([(first, 30.0)]) == [Outcome.RENEWED]
    refused = store.acquire(claim_of(key))
    assert isinstance(refused, Held)
    assert refused.holder == first.holder
    moves = threading.Timer(0.3, trio.move_keys, (slot(key), source, target))
    moves.start()
    released: list[object] = []
    release = threading.Thread(
        target=lambda: released.append(store.release(first, End(publication="p", remember=30.0)))
    )
    release.start()
    moves.join()
    assert store.renew([(first, 30.0)]) in ([Outcome.RENEWED], [Outcome.LOST])
    trio.end_move(slot(key), source, target)
    release.join(30)

    assert [bool(one) for one in released] == [True]
    store.complete([Completion(key, "p", 30.0)])
    copy = claim_of(key, publication="p", copy_since="")
    again = store.acquire(copy)
    assert isinstance(again, Held)
    assert again.done
    second = granted(store, claim_of(key))
    assert second.token > first.token
    trio.move(slot(key), target, source)
    assert store.release(second)


def test_records_of_a_space_move_together(trio: RedisCluster, open_store: Open) -> None:
    store = open_store(trio.url, deadline=20.0)
    source, target, _ = trio.nodes
    space = keys_of(trio, source, 1, "space")[0]
    for number in range(50):
        assert store.change(Change(space, f"n{number}", None, "1", "v", 60.0)).done
    trio.move(slot(space), source, target)

    records, now = store.records(space, [f"n{number}" for number in range(50)])

    assert all(record is not None and record.written <= now for record in records)
    assert len(store.names(space)) == 50
    assert store.records(space, [])[0] == []
    trio.move(slot(space), target, source)


def test_keys_are_listed_while_slots_move(trio: RedisCluster, open_store: Open) -> None:
    store = open_store(trio.url)
    source, target, _ = trio.nodes
    keys = [f"list:{number}" for number in range(1500)]
    for key in keys:
        granted(store, claim_of(key, ttl=120.0))
    slots = sorted({slot(key) for key in keys if trio.keeper(hash_tag(key)) is source})[:100]
    stop = threading.Event()

    def move() -> None:
        for number in slots:
            if not stop.is_set():
                trio.move(number, source, target)

    mover = threading.Thread(target=move)
    mover.start()
    try:
        while mover.is_alive():
            assert store.keys("list:") == sorted(keys)
    finally:
        stop.set()
        mover.join()
    assert store.keys("list:") == sorted(keys)


def test_a_watch_is_woken_though_its_slot_moves(trio: RedisCluster, open_store: Open) -> None:
    store = open_store(trio.url, deadline=20.0)
    source, target, _ = trio.nodes
    key = keys_of(trio, source, 1, "watched")[0]
    lease = granted(store, claim_of(key))
    store.acquire(claim_of(key, watching=True))
    woken: list[float] = []
    began = monotonic()
    waits = threading.Thread(target=lambda: (store.watch(key, 10.0), woken.append(monotonic())))
    waits.start()

    trio.move(slot(key), source, target)
    assert store.release(lease)
    waits.join(20)

    assert woken
    assert woken[0] - began < 9.0
    trio.move(slot(key), target, source)


# -- a master that is dead or hangs ------------------------------------------------------------


def test_a_dead_master_loses_its_own_leases_alone(partial: RedisCluster, open_store: Open) -> None:
    store = open_store(partial.url)
    locker = Locker(store)
    grants: dict[int, list[Grant]] = {}
    for number, node in enumerate(partial.nodes):
        claims = [claim_of(key, ttl=3.0) for key in keys_of(partial, node, 3)]
        asks = [Ask(claim, Subject("t", "t", "t")) for claim in claims]
        grants[number] = [g for ask in asks if isinstance(g := locker.claim(ask), Grant)]
        assert len(grants[number]) == 3

    partial.nodes[0].kill()
    wait_for(lambda: all(g.lease.lost for g in grants[0]), "the loss of three leases", timeout=20)
    until = monotonic() + 3.0
    wait_for(lambda: monotonic() > until, "another ttl")

    assert [g.lease.reason for n in (1, 2) for g in grants[n]] == [None] * 6
    for number in (1, 2):
        for grant in grants[number]:
            locker.release(grant)


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_a_fail_over_is_found_by_all_calls(six: RedisCluster, open_store: Open, fault: str) -> None:
    store = open_store(six.url, deadline=3.0)
    master = six.nodes[0]
    keys = keys_of(six, master, 5)
    leases = [granted(store, claim_of(key, ttl=60.0)) for key in keys]
    tokens = [lease.token for lease in leases]
    offset = six.say(master, "WAIT", 1, 1000)
    assert offset == 1

    getattr(master, fault)()
    six.wait_failed_over(master)

    def renewed() -> bool:
        with suppress(StoreUnavailable):  # the first one waits for the node that hangs
            return set(store.renew([(lease, 60.0) for lease in leases])) == {Outcome.RENEWED}
        return False

    assert wait_for(renewed, "renewals on the new master", timeout=20)
    for lease in leases:
        assert store.release(lease)
    again = [granted(store, claim_of(key)) for key in keys]
    assert all(new.token > old for new, old in zip(again, tokens, strict=True))
    if fault == "pause":
        master.resume()
        wait_for(lambda: six.say(master, "ROLE")[0] == b"slave", "a master that is a replica")
        assert [store.acquire(claim_of(key)).key for key in keys] == keys
        held = [store.peek(key) for key in keys]
        assert [one.holder for one in held if one] == [lease.holder for lease in again]


def test_a_claim_waits_for_a_fail_over_within_its_deadline(
    six: RedisCluster, open_store: Open
) -> None:
    store = open_store(six.url, deadline=30.0)
    master = six.nodes[1]
    key = keys_of(six, master, 1)[0]
    store.release(granted(store, claim_of(key)))

    master.kill()

    assert isinstance(store.acquire(claim_of(key)), Lease)


def test_a_hung_master_holds_up_no_renewal_of_others(
    partial: RedisCluster, open_store: Open
) -> None:
    store = open_store(partial.url)
    leases = [
        granted(store, claim_of(key)) for node in partial.nodes for key in keys_of(partial, node, 3)
    ]
    partial.nodes[0].pause()

    outcomes = store.renew([(lease, 30.0) for lease in leases], within=0.5)

    partial.nodes[0].resume()
    assert outcomes == [Outcome.UNKNOWN] * 3 + [Outcome.RENEWED] * 6


def test_a_master_that_does_not_accept_holds_up_no_renewal_of_others(
    partial: RedisCluster, open_store: Open
) -> None:
    """No connection to the frozen one is there, and its kernel accepts as many as it likes."""
    warm = open_store(partial.url)
    leases = [
        granted(warm, claim_of(key)) for node in partial.nodes for key in keys_of(partial, node, 3)
    ]
    store = open_store(partial.url)
    assert store.peek("nobody") is None  # it knows the map
    partial.nodes[0].pause()

    outcomes = store.renew([(lease, 30.0) for lease in leases], within=1.0)

    partial.nodes[0].resume()
    assert outcomes == [Outcome.UNKNOWN] * 3 + [Outcome.RENEWED] * 6


def test_a_listing_is_whole_or_an_error(partial: RedisCluster, open_store: Open) -> None:
    store = open_store(partial.url, deadline=1.0)
    for node in partial.nodes:
        for key in keys_of(partial, node, 5, "x"):
            granted(store, claim_of(key))
    assert len(store.keys("x")) == 15
    partial.nodes[2].kill()

    with pytest.raises(StoreUnavailable):
        store.keys("x")


def test_a_check_finds_a_master_that_is_dead(partial: RedisCluster, open_store: Open) -> None:
    store = open_store(partial.url, deadline=1.0)
    assert store.check() == []
    partial.nodes[2].kill()

    with pytest.raises(StoreError):
        store.check()


# -- login -------------------------------------------------------------------------------------


def test_a_password_is_given_to_each_node_and_shown_by_none(
    tmp_path: Path, open_store: Open
) -> None:
    secret = "s3 cret/@,;"
    with RedisCluster(_binary(), tmp_path / "pw", masters=2, password=secret) as cluster:
        store = open_store(cluster.url)
        for number in range(20):
            granted(store, claim_of(f"k{number}"))
        wrong = open_store(cluster.url.replace("s3%20cret", "wr0ng"), deadline=20.0)

        with pytest.raises(StoreError, match="does not know this password") as raised:
            wrong.acquire(claim_of("k"))

    assert "cret" not in f"{store!r}{store.url}{raised.value}"
    assert "wr0ng" not in str(raised.value)


def test_nodes_that_speak_tls_are_renewed_beside_one_that_hangs(
    tmp_path: Path, certificates: Certificates, open_store: Open
) -> None:
    args = ("--cluster-require-full-coverage", "no")
    with RedisCluster(
        _binary(), tmp_path / "tls", masters=3, args=args, tls=certificates
    ) as cluster:
        store = open_store(cluster.url, deadline=10.0)
        leases = [
            granted(store, claim_of(key))
            for node in cluster.nodes
            for key in keys_of(cluster, node, 30)
        ]
        assert set(store.renew([(lease, 30.0) for lease in leases])) == {Outcome.RENEWED}
        assert len(store.keys("k")) == 90
        cluster.nodes[0].pause()

        outcomes = store.renew([(lease, 30.0) for lease in leases], within=2.0)

        cluster.nodes[0].resume()
    assert outcomes == [Outcome.UNKNOWN] * 30 + [Outcome.RENEWED] * 60


# -- many ----------------------------------------------------------------------------------------


def test_ten_thousand_keys_are_held_listed_and_renewed(
    trio: RedisCluster, open_store: Open
) -> None:
    store = open_store(trio.url, deadline=30.0)
    leases = [granted(store, claim_of(f"many:{number}", ttl=300.0)) for number in range(10_000)]

    assert len(store.keys("many:")) == 10_000
    assert set(store.renew([(lease, 300.0) for lease in leases])) == {Outcome.RENEWED}
    assert len({store.part_of(lease.key) for lease in leases}) == 3


def test_greenlets_renew_leases_of_several_nodes(trio: RedisCluster) -> None:
    assert run("cluster_greenlets", trio.url) == "well\n"
