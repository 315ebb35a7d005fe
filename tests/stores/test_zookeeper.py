"""An ensemble of three: the contract, what one server lags behind, and leaders that go."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from celery_lock.errors import StoreError
from celery_lock.model import Claim, Lease, Outcome
from celery_lock.model.clock import monotonic
from celery_lock.stores.zookeeper import ZooKeeperStore
from tests.contract.conftest import claim_of
from tests.contract.on_zookeeper import OnZooKeeper
from tests.services import STALL, ZooKeeperEnsemble, wait_for


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeperEnsemble]:
    """Three servers; nobody ends one of them."""
    with ZooKeeperEnsemble(tmp_path_factory.mktemp("trio")) as ensemble:
        yield ensemble


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[ZooKeeperEnsemble]:
    """Three servers for one test."""
    with ZooKeeperEnsemble(tmp_path / "fresh") as ensemble:
        yield ensemble


class TestZooKeeperOnThree(OnZooKeeper):
    @pytest.fixture(autouse=True)
    def _server(self, trio: ZooKeeperEnsemble) -> None:
        self.urls = [trio.url_for("/contract")]


def granted(store: ZooKeeperStore, key: str, ttl: float = 30.0) -> Lease:
    answer = store.acquire(claim_of(key, ttl))
    assert isinstance(answer, Lease)
    return answer


def test_a_look_through_another_server_is_never_behind(trio: ZooKeeperEnsemble) -> None:
    writer = ZooKeeperStore(trio.leader().url_for("/behind"), deadline=10.0)
    reader = ZooKeeperStore(trio.followers()[0].url_for("/behind"), deadline=10.0)
    stale = 0
    for _ in range(500):
        lease = granted(writer, "order:7")
        held = reader.peek("order:7")
        stale += held is None or held.holder != lease.holder
        assert writer.release(lease)
    writer.close()
    reader.close()

    assert stale == 0


def test_no_request_is_left_lying_for_seconds(trio: ZooKeeperEnsemble) -> None:
    """Of some ten thousand one is, by the servers: what comes next wakes them."""
    writer = ZooKeeperStore(trio.leader().url_for("/lying"), deadline=10.0)
    reader = ZooKeeperStore(trio.followers()[0].url_for("/lying"), deadline=10.0)
    lease = granted(writer, "order:7")
    longest, until = 0.0, monotonic() + 20.0
    while monotonic() < until:
        began = monotonic()
        assert writer.renew([(lease, 30.0)]) == [Outcome.RENEWED]
        assert reader.peek("order:7") is not None
        longest = max(longest, monotonic() - began)
    writer.close()
    reader.close()

    assert longest < 2.0 + STALL


class Load:
    """Threads that take keys, each with a store of its own, while something happens."""

    def __init__(self, ensemble: ZooKeeperEnsemble, *, threads: int = 6, keys: int = 4) -> None:
        self._url = ensemble.url_for("/load")
        self._keys = keys
        self.grants: list[tuple[float, str, int]] = []
        self.wrong: list[str] = []
        self.errors: list[StoreError] = []
        self._inside: dict[str, Lease] = {}
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(n,)) for n in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        wait_for(lambda: len(self.grants) > 20, "some grants")
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, seconds: float) -> None:
        """Wait until there are grants after this moment."""
        seen = len(self.grants)
        wait_for(lambda: len(self.grants) > seen + 5, "grants", timeout=seconds)

    def _work(self, number: int) -> None:
        store = ZooKeeperStore(self._url, deadline=2.0)
        turn = number
        while not self._ended.is_set():
            turn += 1
            claim = claim_of(f"key:{turn % self._keys}", 8.0)
            try:
                lease = store.acquire(claim)
            except StoreError as error:
                self.errors.append(error)
                with suppress(StoreError):
                    store.undo(claim)
                continue
            if not isinstance(lease, Lease):
                time.sleep(0.005)
                continue
            self._hold(store, claim, lease)
        store.close()

    def _hold(self, store: ZooKeeperStore, claim: Claim, lease: Lease) -> None:
        until = monotonic() + 7.5
        if claim.key in self._inside:
            self.wrong.append(f"{claim.key} has two holders")
        tokens = [token for _, key, token in self.grants if key == claim.key]
        if tokens and lease.token <= max(tokens):
            self.wrong.append(f"a token of {claim.key} did not rise")
        self._inside[claim.key] = lease
        self.grants.append((monotonic(), claim.key, lease.token))
        time.sleep(0.01)
        self._inside.pop(claim.key, None)
        while monotonic() < until:
            try:
                if not store.release(lease):
                    self.wrong.append(f"{claim.key} was not held any more")
                return
            except StoreError as error:
                self.errors.append(error)


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_a_leader_that_goes_under_load_loses_nothing(fresh: ZooKeeperEnsemble, fault: str) -> None:
    with Load(fresh) as load:
        leader = fresh.leader()
        getattr(leader, fault)()
        load.wait_for_more(20.0)
        if fault == "kill":
            leader.start()
        else:
            leader.resume()
        load.wait_for_more(20.0)

    assert load.wrong == []
    assert len(load.grants) > 30


def test_two_of_three_that_are_gone_stop_all_grants_until_one_is_back(
    fresh: ZooKeeperEnsemble,
) -> None:
    patient = ZooKeeperStore(fresh.url_for("/quorum"), deadline=20.0)
    lease = granted(patient, "order:7", ttl=60.0)
    patient.close()
    store = ZooKeeperStore(fresh.url_for("/quorum"), deadline=2.0)
    gone = [fresh.leader(), fresh.followers()[0]]
    for server in gone:
        server.kill()

    began = monotonic()
    with pytest.raises(StoreError):
        store.acquire(claim_of("order:8"))
    assert monotonic() - began < 2.0 + STALL

    gone[0].start()
    began = monotonic()
    wait_for(lambda: _renewed(store, lease), "the first answer")
    assert monotonic() - began < 2.0 + STALL
    store.close()


def _renewed(store: ZooKeeperStore, lease: Lease) -> bool:
    with suppress(StoreError):
        return store.renew([(lease, 60.0)]) == [Outcome.RENEWED]
    return False


def test_a_server_that_hangs_costs_no_call_its_whole_deadline(fresh: ZooKeeperEnsemble) -> None:
    with ExitStack() as stack:
        stores = []
        for _ in range(6):
            store = ZooKeeperStore(fresh.url_for("/hangs"), deadline=4.0)
            stack.callback(store.close)
            granted(store, claim_of().key)
            stores.append(store)
        follower = fresh.followers()[0]
        follower.pause()
        stack.callback(follower.resume)

        took = []
        for store in stores:
            began = monotonic()
            granted(store, claim_of().key)
            took.append(monotonic() - began)

    assert max(took) < 4.0, took
