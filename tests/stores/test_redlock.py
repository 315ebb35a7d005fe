"""Five nodes of a Redlock: the contract while some are away, and what takes longer to try."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import ClassVar

import pytest

from celery_lock.errors import StoreError, StoreUnavailable
from celery_lock.model import Lease, LockStore, Outcome
from celery_lock.stores import open_store
from celery_lock.stores.redlock import RedlockStore
from tests.contract.by_entry_point import ByEntryPoint
from tests.contract.conftest import claim_of
from tests.services import Certificates, wait_for
from tests.services.redlock_nodes import RedlockNodes

GROWN = {"longest_ttl": 0.05}
"""The nodes are seconds old, and nobody loses a lease that they have forgotten."""


@pytest.fixture(scope="module")
def running(redis_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedlockNodes]:
    with RedlockNodes(redis_binary, tmp_path_factory.mktemp("five")) as nodes:
        nodes.wait_grown_up()
        yield nodes


@pytest.fixture
def five(running: RedlockNodes) -> RedlockNodes:
    running.empty()
    return running


class OfFive(ByEntryPoint):
    schemes = ("redlock",)
    away: ClassVar[tuple[int, ...]] = ()
    how: ClassVar[str] = "pause"

    @pytest.fixture(autouse=True)
    def _servers(self, five: RedlockNodes) -> Iterator[None]:
        self.urls = [five.url]
        for number in self.away:
            getattr(five.nodes[number], self.how)()
        yield
        for number in self.away:
            five.nodes[number].resume()

    def open_store(self, prefix: str) -> LockStore:
        return open_store(self.urls[0], options=GROWN, prefix=prefix, deadline=self.deadline)


class TestFiveNodes(OfFive): ...


class TestOneOfFiveHangs(OfFive):
    away = (2,)


class TestTwoOfFiveHang(OfFive):
    away = (0, 3)


@pytest.mark.parametrize("binary", ["valkey_binary", "redis_62_binary"])
def test_other_servers_will_do(binary: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    with RedlockNodes(request.getfixturevalue(binary), tmp_path, 3) as nodes:
        nodes.wait_grown_up()
        with closing(RedlockStore(nodes.url, options=GROWN, deadline=20.0)) as store:
            lease = store.acquire(claim_of())
            assert isinstance(lease, Lease)
            assert store.renew([(lease, 30.0)]) == [Outcome.RENEWED]
            assert store.release(lease)
            assert store.check() == []


def test_tls_and_passwords(redis_binary: str, tmp_path: Path, certificates: Certificates) -> None:
    secret = "p@ss,w/rd?"
    with RedlockNodes(redis_binary, tmp_path, 3, tls=certificates, password=secret) as nodes:
        wait_for(lambda: all(node.alive() for node in nodes.nodes), "servers with TLS")
        options = {**GROWN, "password": secret, "ssl": {"ssl_ca_certs": str(certificates.ca)}}
        with closing(RedlockStore(nodes.url, options=options, deadline=20.0)) as store:

            def got() -> object:
                try:
                    return store.acquire(claim_of())
                except StoreUnavailable:  # they are too young
                    return None

            lease = wait_for(got, "a lease")
            assert isinstance(lease, Lease)
            leases = [(store.acquire(claim_of()), 30.0) for _ in range(250)]
            assert store.renew(leases) == [Outcome.RENEWED] * 250  # type: ignore[arg-type]
            assert store.release(lease)
        with closing(RedlockStore(nodes.url, options={**GROWN, "ssl": True})) as stranger:
            with pytest.raises(StoreError, match="certificate of it was not accepted") as caught:
                stranger.acquire(claim_of())
            assert secret not in str(caught.value)


def test_ten_thousand_keys(five: RedlockNodes) -> None:
    with closing(RedlockStore(five.url, options=GROWN, deadline=20.0)) as store:
        leases = [store.acquire(claim_of(ttl=600.0)) for _ in range(10_000)]
        assert all(isinstance(lease, Lease) for lease in leases)

        renewals = [(lease, 600.0) for lease in leases if isinstance(lease, Lease)]
        assert set(store.renew(renewals)) == {Outcome.RENEWED}
        assert all(store.release(lease) for lease, _ in renewals)


def test_the_slowest_cycles_are_as_fast_while_one_node_hangs(five: RedlockNodes) -> None:
    with closing(RedlockStore(five.url, options=GROWN, deadline=20.0)) as store:

        def slowest() -> float:
            took = []
            for _ in range(400):
                claim = claim_of()
                began = time.perf_counter()
                lease = store.acquire(claim)
                assert isinstance(lease, Lease)
                assert store.release(lease)
                took.append(time.perf_counter() - began)
            return sorted(took)[-4]

        slowest()
        well, hung = [], []
        for number in range(20):
            well.append(slowest())
            five.nodes[number % 5].pause()
            hung.append(slowest())
            five.nodes[number % 5].resume()
            store.peek("whatever is next")

        assert median(hung) <= 1.5 * median(well)


def test_restarts_that_are_far_apart_end_no_lease(redis_binary: str, tmp_path: Path) -> None:
    """Each node is old enough to vote again before the next one is restarted."""
    with RedlockNodes(redis_binary, tmp_path, 3) as nodes:
        nodes.wait_grown_up()
        with closing(RedlockStore(nodes.url, options=GROWN, deadline=20.0)) as store:
            lease = store.acquire(claim_of())
            assert isinstance(lease, Lease)
            for number in range(3):
                nodes.nodes[number].kill()
                nodes.nodes[number].start()
                nodes.wait_grown_up()
                for _ in range(3):
                    assert store.renew([(lease, 30.0)]) == [Outcome.RENEWED]
                    store.peek("whatever is next")
            assert store.release(lease)


def test_four_nodes_that_forget_give_no_key_away_before_its_lease_has_ended(
    redis_binary: str, tmp_path: Path
) -> None:
    with RedlockNodes(redis_binary, tmp_path) as nodes:
        nodes.wait_grown_up(6)
        with closing(RedlockStore(nodes.url, options={"longest_ttl": 4.0})) as store:
            lease = store.acquire(claim_of("k", ttl=4.0))
            assert isinstance(lease, Lease)
            began = time.monotonic()
            for node in nodes.nodes[:4]:
                node.kill()
                node.start()

            def given() -> bool:
                try:
                    return isinstance(store.acquire(claim_of("k", ttl=4.0)), Lease)
                except StoreUnavailable:
                    return False

            wait_for(given, "the key for somebody else")
            assert time.monotonic() - began > 4.0
            assert store.renew([(lease, 4.0)]) == [Outcome.LOST]
