"""What only ZooKeeper can do to a register: versions that come again, sweeps, odd names, limits."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from celery_lock.errors import StoreError, StoreUnavailable
from celery_lock.model import Change, Held, Lease, Outcome, Record
from celery_lock.model.clock import monotonic
from celery_lock.stores.key_state import Interval
from celery_lock.stores.steps import Entry
from celery_lock.stores.zookeeper import ZooKeeperStore, sweeping
from celery_lock.stores.zookeeper.registers import Registers
from celery_lock.stores.zookeeper.requests import Children, Look
from tests.contract.conftest import claim_of
from tests.services import Process, Proxy, ZooKeeperServer, wait_for

pytestmark = pytest.mark.contract

PROGRAM = Path(__file__).parent / "programs" / "zookeeper_client.py"
ROOT = Path(__file__).parents[2]

Open = Callable[..., ZooKeeperStore]


@pytest.fixture
def opened(zookeeper_server: ZooKeeperServer) -> Iterator[Open]:
    """`opened()`: a store that is closed with the test; all of a test see each other."""
    path = f"/{uuid4().hex}"
    with ExitStack() as stack:

        def open_one(url: str = "", **options: Any) -> ZooKeeperStore:
            options.setdefault("deadline", 10.0)
            store = ZooKeeperStore(url or zookeeper_server.url_for(path), **options)
            stack.callback(store.close)
            return store

        yield open_one


def registers_of(store: ZooKeeperStore) -> Registers:
    return store._own.value.registers


def granted(store: ZooKeeperStore, key: str, **options: Any) -> Lease:
    lease = store.acquire(claim_of(key, **options))
    assert isinstance(lease, Lease)
    return lease


def nodes(store: ZooKeeperStore) -> set[str]:
    """The paths of all entries."""
    shards = registers_of(store).paths.shards
    [found] = registers_of(store).look([Children(shards)], monotonic() + 10)
    return {f"{shard}/{name}" for shard, names in zip(shards, found, strict=True) for name in names}


def node_of(store: ZooKeeperStore, key: str) -> tuple[str, str]:
    """The shard of a key's state, and its path."""
    return registers_of(store).paths.entry(f"lock:{key}")


def version_of(store: ZooKeeperStore, key: str) -> int:
    look = Look([node_of(store, key)[1]])
    [[found]] = registers_of(store).look([look], monotonic() + 10)
    version: int = found[1].version
    return version


def swept(store: ZooKeeperStore, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let another store delete the node of a key, whose time is over."""
    shard, path = node_of(store, key)
    with monkeypatch.context() as patched:
        patched.setattr(sweeping, "GRACE", -120_000_000)
        registers_of(store).sweeper.sweep(shard)
        wait_for(lambda: path not in nodes(store), "the end of the node")


# -- a node that was deleted and made again --------------------------------------------------


def test_what_is_remembered_of_a_deleted_node_overwrites_no_later_one(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = opened(), opened()
    mine.release(granted(mine, "order:7"))
    before = version_of(mine, "order:7")
    other.peek("order:7")
    swept(other, "order:7", monkeypatch)
    theirs = granted(other, "order:7")
    while version_of(other, "order:7") < before:
        other.renew([(theirs, 30.0)])
    assert version_of(other, "order:7") == before, "the version has come again"

    answer = mine.acquire(claim_of("order:7"))

    assert isinstance(answer, Held)
    assert other.renew([(theirs, 30.0)]) == [Outcome.RENEWED]


def test_what_is_remembered_is_not_made_newer_by_a_look_at_its_neighbour(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = opened(), opened()
    shard, _ = node_of(mine, "order:7")
    near = next(key for n in range(10_000) if node_of(mine, key := f"near:{n}")[0] == shard)
    mine.release(granted(mine, near))
    mine.release(granted(mine, "order:7"))
    before = version_of(mine, "order:7")
    other.peek("order:7")
    swept(other, "order:7", monkeypatch)
    theirs = granted(other, "order:7")
    while version_of(other, "order:7") < before:
        other.renew([(theirs, 30.0)])
    granted(other, near)
    assert isinstance(mine.acquire(claim_of(near)), Held)  # it has read the shard anew

    assert isinstance(mine.acquire(claim_of("order:7")), Held)


def test_a_step_that_reads_before_a_sweep_does_not_write_after_it(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, other = opened(), opened()
    other.release(granted(other, "order:7"))
    seen = list[str | None]()

    def move(texts: Sequence[str | None], clock: Interval) -> tuple[int, Mapping[str, Entry]]:
        seen.append(texts[0])
        if len(seen) == 1:
            swept(other, "order:7", monkeypatch)
            granted(other, "order:7")
        return len(seen), {"lock:order:7": Entry(texts[0] or "{}", clock[1] + 60_000_000)}

    answer = slow.step(["lock:order:7"], move, 10.0)

    assert answer == 2
    assert seen[0] != seen[1], "it has read what came after the sweep"


# -- what is swept ---------------------------------------------------------------------------


def test_what_a_killed_process_leaves_is_swept_by_others(
    opened: Open, zookeeper_server: ZooKeeperServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    mine = granted(store, "mine")
    process = Process(
        [sys.executable, "-W", "ignore", str(PROGRAM), store.url, "leave"],
        cwd=ROOT,
        log=tmp_path / "leave.log",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    process.start()
    assert process.wait(60) == -signal.SIGKILL, process.logs()
    left = nodes(store)
    assert len(left) == 51
    monkeypatch.setattr(sweeping, "GRACE", 0)

    for shard in {path.rpartition("/")[0] for path in left}:
        registers_of(store).sweeper.sweep(shard)

    wait_for(lambda: len(nodes(store)) == 1, "the end of all but one entry", timeout=60.0)
    assert store.renew([(mine, 30.0)]) == [Outcome.RENEWED]


def test_what_somebody_still_counts_on_is_not_swept(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    held, freed = granted(store, "held"), granted(store, "freed")
    store.release(freed)
    done = store.change(Change("space", "name", None, "stamp", "value", 30.0))

    for shard in registers_of(store).paths.shards:
        registers_of(store).sweeper.sweep(shard)
    store.peek("anything")  # after all of that

    assert done.done
    assert store.renew([(held, 30.0)]) == [Outcome.RENEWED]
    assert store.release(freed), "the mark that it was given back is kept for a minute"
    [record], _ = store.records("space", ["name"])
    assert isinstance(record, Record)


def test_a_sweep_begins_by_itself_with_every_hundredth_write(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    lease = granted(store, "order:7")
    begun = list[str]()
    monkeypatch.setattr(registers_of(store).sweeper, "sweep", begun.append)

    for _ in range(250):
        store.renew([(lease, 30.0)])

    assert len(begun) == 2


# -- answers that are lost -------------------------------------------------------------------


@pytest.fixture
def proxy(zookeeper_server: ZooKeeperServer) -> Iterator[Proxy]:
    with Proxy(zookeeper_server.port) as proxy:
        yield proxy


def through(opened: Open, proxy: Proxy, store: ZooKeeperStore, **options: Any) -> ZooKeeperStore:
    """A store on the same entries, through the proxy."""
    path = store.url.rpartition("/")[2]
    return opened(f"zookeeper://{proxy.host}:{proxy.port}/{path}", **options)


def test_an_acquire_whose_answer_is_lost_gets_its_lease(opened: Open, proxy: Proxy) -> None:
    witness = opened()
    store, claim = through(opened, proxy, witness), claim_of("order:7", at_least=5.0)
    store.peek("order:7")
    proxy.lose_reply(claim.holder.encode())

    lease = store.acquire(claim)

    proxy.wait_lost()
    assert isinstance(lease, Lease)
    held = witness.peek("order:7")
    assert held is not None
    assert (held.holder, held.token) == (claim.holder, lease.token)


def test_a_release_whose_answer_is_lost_says_yes(opened: Open, proxy: Proxy) -> None:
    store = through(opened, proxy, opened())
    lease = granted(store, "order:7")
    proxy.lose_reply(lease.holder.encode())

    assert store.release(lease)

    proxy.wait_lost()


def test_a_free_whose_answer_is_lost_names_who_had_the_key(opened: Open, proxy: Proxy) -> None:
    witness = opened()
    store, lease = through(opened, proxy, witness), granted(witness, "order:7")
    store.peek("order:7")
    proxy.lose_reply(lease.holder.encode())

    had = store.free("order:7", lease.holder)

    proxy.wait_lost()
    assert had is not None
    assert had.holder == lease.holder
    assert witness.peek("order:7") is None


def test_a_change_whose_answer_is_lost_is_done_once(opened: Open, proxy: Proxy) -> None:
    store = through(opened, proxy, opened())
    change = Change("space", "name", None, "stamp-1", "value", 30.0)
    store.peek("order:7")
    proxy.lose_reply(b"stamp-1")

    assert store.change(change).done

    proxy.wait_lost()
    assert not store.change(Change("space", "name", None, "stamp-2", "value", 30.0)).done


# -- many at once ----------------------------------------------------------------------------


def test_a_batch_of_renewals_is_one_round_trip(opened: Open) -> None:
    store = opened()
    leases = [granted(store, f"order:{n}") for n in range(100)]
    link = registers_of(store).link
    asked = list[int]()
    ask = link.ask

    def counted(requests: Sequence[Any], ends: float) -> list[Any]:
        asked.append(len(requests))
        return ask(requests, ends)

    link.ask = counted  # type: ignore[method-assign]
    outcomes = store.renew([(lease, 30.0) for lease in leases])

    assert outcomes == [Outcome.RENEWED] * 100
    assert asked == [1]


def test_a_lease_that_was_lost_takes_no_other_of_its_batch_along(opened: Open) -> None:
    store, other = opened(), opened()
    leases = [granted(store, f"order:{n}") for n in range(20)]
    other.free("order:7", leases[7].holder)

    outcomes = store.renew([(lease, 30.0) for lease in leases])

    assert [n for n, outcome in enumerate(outcomes) if outcome is Outcome.LOST] == [7]
    assert set(outcomes) == {Outcome.RENEWED, Outcome.LOST}


def test_a_key_that_others_keep_writing_does_not_hold_up_its_batch(opened: Open) -> None:
    store, other = opened(), opened()
    leases = [granted(store, f"order:{n}", limit=100) for n in range(5)]
    registers, write = registers_of(store), registers_of(store)._write
    busy = list[int]()

    def interrupted(sight: Any, data: Any, ends: float) -> None:
        if len(data) > 1:  # whenever the batch is about to be written
            busy.append(len(data))
            granted(other, "order:3", limit=100)
            assert len(busy) < 10
        write(sight, data, ends)

    registers._write = interrupted  # type: ignore[method-assign]

    outcomes = store.renew([(lease, 30.0) for lease in leases])

    assert outcomes == [Outcome.RENEWED] * 5
    assert len(busy) <= 2


def test_more_than_the_servers_take_at_once_is_refused_and_said(opened: Open) -> None:
    store = opened()

    with pytest.raises(StoreError, match=r"jute\.maxbuffer"):
        store.change(Change("space", "name", None, "stamp", "x" * 1_100_000, 30.0))

    assert store.change(Change("space", "name", None, "stamp", "x" * 900_000, 30.0)).done


# -- names -----------------------------------------------------------------------------------

EVERY = "".join(map(chr, range(256)))
ODD = [
    EVERY,
    "/",
    "//",
    ".",
    "..",
    "a/../b",
    "zookeeper",
    "\x00",
    "\ud800",
    "\u20ac" * 341,
    "%2F",
    " ",
    "\n",
    "x" * 1024,
    "\x00" * 1024,
    "\U0001f512" * 256,
]


def test_keys_of_any_characters_are_kept_apart_and_named(opened: Open) -> None:
    store, other = opened(), opened()
    leases = [granted(store, key) for key in ODD]

    assert [held.key for key in ODD if (held := other.peek(key))] == ODD
    assert other.keys("") == sorted(ODD)
    assert other.keys("a/..") == ["a/../b"]
    assert store.renew([(lease, 30.0) for lease in leases]) == [Outcome.RENEWED] * len(ODD)
    assert all(store.release(lease) for lease in leases)


@pytest.mark.parametrize("prefix", ["", "/", "..", "a/b", "shop:", EVERY, "\u20ac", "%2F"])
def test_any_prefix_is_a_world_of_its_own(opened: Open, prefix: str) -> None:
    store, other = opened(prefix=prefix), opened(prefix=f"{prefix}x")
    granted(store, "order:7")

    assert other.peek("order:7") is None
    assert other.keys("") == []
    assert opened(prefix=prefix).keys("") == ["order:7"]


def test_another_path_is_a_world_of_its_own(
    opened: Open, zookeeper_server: ZooKeeperServer
) -> None:
    first, top = opened(), opened(zookeeper_server.url_for(), prefix=uuid4().hex)
    deep = opened(f"{first.url}/a/b/c")
    granted(first, "order:7")

    assert deep.peek("order:7") is None
    assert top.peek("order:7") is None
    assert isinstance(deep.acquire(claim_of("order:7")), Lease)
    assert isinstance(top.acquire(claim_of("order:7")), Lease)


# -- who may ---------------------------------------------------------------------------------


def test_what_one_user_has_made_is_refused_to_another(
    opened: Open, zookeeper_server: ZooKeeperServer
) -> None:
    path = f"/{uuid4().hex}"
    password = "p%3Ass%2Fw%40rd%25"
    store = opened(zookeeper_server.url_for(path, login=f"shop:{password}@"))
    lease = granted(store, "order:7")
    same = opened(
        zookeeper_server.url_for(path), options={"username": "shop", "password": "p:ss/w@rd%"}
    )
    assert same.peek("order:7") is not None

    for login in ("", "shop:wrong-one@", f"other:{password}@"):
        stranger = opened(zookeeper_server.url_for(path, login=login))
        for call in (
            lambda: stranger.acquire(claim_of("order:8")),  # noqa: B023
            lambda: stranger.peek("order:7"),  # noqa: B023
            lambda: stranger.renew([(lease, 30.0)]),  # noqa: B023
            lambda: stranger.keys(""),  # noqa: B023
            stranger.check,
        ):
            with pytest.raises(StoreError, match="does not permit") as raised:
                call()
            assert not isinstance(raised.value, StoreUnavailable)
            assert "wrong-one" not in str(raised.value)
            assert "ss/w" not in f"{raised.value}{stranger!r}{stranger.url}"

    assert store.renew([(lease, 30.0)]) == [Outcome.RENEWED]


def test_a_used_up_quota_is_a_store_that_is_not_available(
    opened: Open, zookeeper_server: ZooKeeperServer
) -> None:
    path = f"/{uuid4().hex}"
    store = opened(zookeeper_server.url_for(path))
    lease = granted(store, "order:7")
    zookeeper_server.set_quota(path, most=300)

    errors = list[StoreError]()
    for n in range(100):
        try:
            store.acquire(claim_of(f"order:{n}"))
        except StoreError as error:
            errors.append(error)

    assert errors
    assert all(isinstance(error, StoreUnavailable) for error in errors)
    assert "setquota" in str(errors[0])
    assert store.renew([(lease, 30.0)]) == [Outcome.RENEWED]
    assert store.release(lease)


def test_a_path_that_was_removed_by_hand_is_made_again(
    opened: Open, zookeeper_server: ZooKeeperServer
) -> None:
    store = opened()
    lease = granted(store, "order:7")
    zookeeper_server.remove(registers_of(store).paths.root)

    assert store.renew([(lease, 30.0)]) == [Outcome.LOST]
    assert isinstance(store.acquire(claim_of("order:7")), Lease)


def test_a_check_of_a_good_server_warns_of_nothing(opened: Open) -> None:
    assert opened().check() == []


def test_a_check_says_by_how_much_the_clocks_differ(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    store.peek("order:7")
    clock = registers_of(store).clock
    interval = clock.interval
    monkeypatch.setattr(
        clock, "interval", lambda: tuple(at + 90_000_000 for at in interval() or ())
    )

    [warning] = store.check()

    assert "differ by 90.0 s" in warning or "differ by 89.9 s" in warning
