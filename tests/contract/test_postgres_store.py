"""The store of `how-to/write-a-store.md`: the contract, random plays, and a server that fails."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import EntryPoint, EntryPoints
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest

from celery_lock.errors import LockConfigurationError, StoreError, StoreUnavailable
from celery_lock.model import Feature, Lease, Outcome
from celery_lock.stores import open_store, registry, stores_with
from celery_lock.stores.steps import Entry
from examples.postgres_store import store as example
from examples.postgres_store import test_store
from examples.postgres_store.store import PostgresStore, open_postgres
from tests.contract.conftest import claim_of
from tests.services.postgres_server import PostgresServer
from tests.services.process import Process
from tests.services.waiting import STALL, wait_for

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "postgres_store"
PROGRAM = Path(__file__).parent / "programs" / "postgres_client.py"
DEADLINE = 0.5
PASSWORD = "p%ssw/rd: 's3cret'"

Open = Callable[..., PostgresStore]
Start = Callable[[str], Process]


@pytest.fixture(scope="module")
def table(postgres_server: PostgresServer) -> PostgresServer:
    """The table, and somebody who may do no more than lock."""
    quoted = PASSWORD.replace("'", "''")
    postgres_server.ask(
        f"{(FOLDER / 'table.sql').read_text()}"
        f"CREATE ROLE app LOGIN PASSWORD '{quoted}';"
        "GRANT SELECT, INSERT, UPDATE, DELETE ON celery_lock TO app;"
        "CREATE TABLE counted (number bigint); GRANT SELECT, UPDATE ON counted TO app;"
    )
    return postgres_server


@pytest.fixture
def server(table: PostgresServer) -> PostgresServer:
    """The same, emptied."""
    if not table.alive():
        table.start()
    table.ask("TRUNCATE celery_lock, counted; INSERT INTO counted VALUES (0);")
    return table


@pytest.fixture
def url(server: PostgresServer) -> str:
    return server.url_for("app", PASSWORD)


@pytest.fixture
def opened(url: str) -> Iterator[Open]:
    """`opened(deadline=0.5)`: a store that is closed with the test."""
    with ExitStack() as stack:

        def open_one(address: str = url, deadline: float = 5.0) -> PostgresStore:
            store = open_postgres(address, options={}, deadline=deadline, prefix="test:")
            stack.callback(store.close)
            return store

        yield open_one


def granted(store: PostgresStore, key: str | None = None, **options: Any) -> Lease:
    lease = store.acquire(claim_of(key, **options))
    assert isinstance(lease, Lease)
    return lease


def sessions(server: PostgresServer) -> int:
    """How many connections the server has with the stores of this test."""
    return int(server.ask("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app';"))


@pytest.fixture
def start(url: str, tmp_path: Path) -> Iterator[Start]:
    """`start("add")`: another process that uses the store; it ends with the test."""
    with ExitStack() as stack:
        numbers = count(1)

        def start_one(part: str) -> Process:
            process = Process(
                [sys.executable, "-W", "ignore", str(PROGRAM), url, part],
                cwd=ROOT,
                log=tmp_path / f"{part}-{next(numbers)}.log",
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            process.start()
            stack.callback(process.kill)
            return process

        yield start_one


def ended(process: Process) -> str:
    """Wait for the end of another process, which has to be a good one; return what it said."""
    assert process.wait(60) == 0, process.logs()
    return process.logs()


# -- what the page promises ------------------------------------------------------------------


class TestPostgres(test_store.TestPostgresStore):
    @pytest.fixture(autouse=True)
    def _url(self, table: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("POSTGRES_URL", table.url_for("app", PASSWORD))


def test_random_plays_on_postgres(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_URL", url)

    test_store.test_random_plays()


def test_the_store_is_as_long_as_a_third_partys_may_be() -> None:
    assert len((FOLDER / "store.py").read_text(encoding="utf-8").splitlines()) <= 120


def test_it_is_opened_by_its_entry_point(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("postgresql", "examples.postgres_store.store:open_postgres", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: EntryPoints([entry]))

    store = open_store(url)

    assert isinstance(store, PostgresStore)
    assert store.check() == []
    assert "postgresql://" in stores_with(Feature.RECORDS)
    assert "postgresql://" not in stores_with(Feature.WATCH)
    store.close()


# -- one after the other ---------------------------------------------------------------------


def test_two_processes_add_to_one_number(server: PostgresServer, start: Start) -> None:
    adding = [start("add") for _ in range(2)]

    for process in adding:
        ended(process)

    assert server.ask("SELECT number FROM counted;") == "120"


def test_forty_threads_share_ten_connections(server: PostgresServer, opened: Open) -> None:
    store, together, done = opened(deadline=20.0), threading.Barrier(40), list[bool]()

    def work() -> None:
        together.wait()
        for _ in range(3):
            done.append(store.release(granted(store)))

    threads = [threading.Thread(target=work) for _ in range(40)]
    for thread in threads:
        thread.start()
    most = max(sessions(server) for _ in range(3))
    for thread in threads:
        thread.join()

    assert len(done) == 120
    assert all(done)
    assert 1 <= most <= 10


def test_steps_that_name_the_same_keys_in_any_order_wait_for_no_circle(opened: Open) -> None:
    stores = [opened(deadline=20.0) for _ in range(2)]
    leases = [granted(stores[0]) for _ in range(20)]
    outcomes: list[Outcome] = []

    def renew(number: int) -> None:
        for n in range(8):
            mine = leases[:: -1 if (n + number) % 2 else 1]
            outcomes.extend(stores[number % 2].renew([(lease, 30) for lease in mine]))

    threads = [threading.Thread(target=renew, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes == [Outcome.RENEWED] * 6 * 8 * 20


def test_the_time_of_a_step_is_that_after_its_wait_for_others(opened: Open) -> None:
    """A claim that had to wait for the entry must see that a lease has ended meanwhile."""
    first, second = opened(), opened()
    lease = granted(first, "order:7", ttl=0.2)
    inside, times = threading.Event(), list[int]()

    def slow(
        texts: Sequence[str | None], clock: tuple[int, int]
    ) -> tuple[None, Mapping[str, Entry]]:
        times.append(clock[0])
        inside.set()
        time.sleep(0.5)
        return None, {}

    names = ["test:lock:order:7"]
    holding = threading.Thread(target=lambda: first.step(names, slow, 5.0))
    holding.start()
    inside.wait(5)

    next_one = granted(second, "order:7")

    holding.join()
    assert next_one.token > times[0] + 500_000
    assert first.renew([(lease, 30)]) == [Outcome.LOST]


def test_rows_whose_time_is_over_are_deleted(
    server: PostgresServer, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    lease = granted(store)
    server.ask("INSERT INTO celery_lock SELECT 'old:' || n, '', n FROM generate_series(1, 2500) n;")

    left = []
    for luck in (1.0, 0.0, 0.0, 0.0):
        monkeypatch.setattr(example, "random", lambda luck=luck: luck)
        store.peek("any")
        left.append(int(server.ask("SELECT count(*) FROM celery_lock;")))

    assert left == [2501, 1501, 501, 1]
    assert store.release(lease)


def test_a_row_of_a_newer_release_is_refused_and_keeps_nobody_waiting(
    server: PostgresServer, opened: Open
) -> None:
    store, other = opened(), opened()
    server.ask("""INSERT INTO celery_lock VALUES ('test:lock:order:7', '{"v":99}', 0);""")

    for _ in range(2):
        with pytest.raises(StoreError, match="update this process"):
            store.peek("order:7")

    began = time.monotonic()
    with pytest.raises(StoreError, match="update this process"):
        other.peek("order:7")
    assert time.monotonic() - began < STALL
    assert isinstance(store.acquire(claim_of("order:8")), Lease)


# -- processes that end or stand still -------------------------------------------------------


def test_a_client_that_is_killed_in_the_middle_of_a_step_leaves_nothing(
    start: Start, opened: Open
) -> None:
    store, dying = opened(), start("die")
    assert dying.wait() == -signal.SIGKILL

    began = time.monotonic()
    lease = granted(store, "order:7")

    assert "in the middle" in dying.logs()
    assert time.monotonic() - began < STALL
    assert store.release(lease)


def test_a_client_that_stands_still_in_the_middle_of_a_step_is_given_up(
    start: Start, opened: Open
) -> None:
    """Its own deadline, which is 1 s, ends the step for the others."""
    store, stalled = opened(), start("stall")
    stalled.wait_for_log("in the middle")

    began = time.monotonic()
    lease = granted(store, "order:7")
    waited = time.monotonic() - began
    stalled.resume()

    assert waited < 1.0 + STALL
    assert "is not available" in ended(stalled)
    assert store.release(lease)


def test_a_child_that_was_forked_has_connections_of_its_own(start: Start) -> None:
    ended(start("fork"))


def test_a_closed_store_has_no_connection_and_works_again(
    server: PostgresServer, opened: Open
) -> None:
    store = opened()
    lease = granted(store)
    assert sessions(server) == 1

    store.close()

    wait_for(lambda: sessions(server) == 0, "the end of the connection")
    assert store.release(lease)


# -- a server that fails ---------------------------------------------------------------------


def test_a_hung_server_costs_one_deadline(server: PostgresServer, opened: Open) -> None:
    store, unconnected = opened(deadline=DEADLINE), opened(deadline=DEADLINE)
    lease, claim = granted(store), claim_of()
    waited = []
    server.pause()
    try:
        for call in (
            lambda: store.acquire(claim),
            lambda: unconnected.peek("order:7"),
            lambda: store.renew([(lease, 30)], within=0.2),
        ):
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match="no answer in time"):
                call()
            waited.append(time.monotonic() - began)
    finally:
        server.resume()

    assert [DEADLINE * 0.9 < seconds < DEADLINE + STALL for seconds in waited[:2]] == [True, True]
    assert 0.18 < waited[2] < 0.2 + STALL
    patient = opened()
    assert patient.renew([(lease, 30)]) == [Outcome.RENEWED]
    assert patient.peek(claim.key) is None, "a claim that was given up has been granted later"


def test_a_renewal_without_any_time_left_is_given_up_at_once(opened: Open) -> None:
    store = opened()
    lease = granted(store)

    with pytest.raises(StoreUnavailable):
        store.renew([(lease, 30)], within=-1.0)


def test_a_server_that_is_killed_in_the_middle_has_lost_nothing(
    server: PostgresServer, opened: Open
) -> None:
    store, before = opened(deadline=2.0), granted(opened())
    tokens: dict[str, list[int]] = {f"order:{number}": [] for number in range(4)}
    stop, failures, wrong = threading.Event(), list[StoreError](), list[object]()

    def until_answered(call: Callable[..., Any], *asked: object) -> Any:
        while True:
            try:
                return call(*asked)
            except StoreError as error:
                failures.append(error)
                time.sleep(0.02)

    def work(key: str) -> None:
        while not stop.is_set():
            claim = claim_of(key)
            answer = until_answered(store.acquire, claim)
            if not isinstance(answer, Lease) or not until_answered(store.release, answer):
                wrong.append(answer)
                return
            tokens[key].append(answer.token)

    def so_many() -> int:
        return min(map(len, tokens.values()))

    threads = [threading.Thread(target=work, args=(key,)) for key in tokens]
    for thread in threads:
        thread.start()
    wait_for(lambda: so_many() > 5, "some leases")
    crash_a_backend(server)  # all others end with it
    wait_for(lambda: failures, "a call that fails")
    server.kill()
    server.start()
    seen = so_many()
    wait_for(lambda: so_many() > seen + 5 or wrong, "leases after the restart")
    stop.set()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert all(isinstance(error, StoreUnavailable) for error in failures), failures
    assert store.renew([(before, 30)]) == [Outcome.RENEWED]
    assert all(given == sorted(set(given)) for given in tokens.values())


def crash_a_backend(server: PostgresServer) -> None:
    [first, *_] = server.ask(
        "SELECT pid FROM pg_stat_activity WHERE usename = 'app' AND state IS NOT NULL;"
    ).split()
    psutil.Process(int(first)).kill()


def test_idle_connections_that_have_died_are_replaced_within_the_call(
    server: PostgresServer, opened: Open
) -> None:
    store = opened()
    lease = granted(store)
    server.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app';")

    assert store.release(lease)


# -- errors ----------------------------------------------------------------------------------


def test_a_wrong_password_is_not_repeated(server: PostgresServer, opened: Open) -> None:
    store = opened(server.url_for("app", "s3cret/wrong"))

    with pytest.raises(StoreError, match="password authentication failed") as raised:
        store.peek("order:7")

    assert raised.value.__cause__ is not None
    shown = f"{raised.value!r} {raised.value.__cause__!r} {store!r} {store.url}"
    assert "s3cret" not in shown
    assert "app" not in store.url


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("postgresql://app:s3cret@127.0.0.1/postgres?pasword=s3cret", {}),
        ("postgresql://app:s3%zzcret@127.0.0.1/postgres", {}),
        ("postgresql://app:s3cret@127.0.0.1/postgres", {"pasword": "s3cret"}),
    ],
    ids=["no parameter", "no escape", "no option"],
)
def test_a_url_that_cannot_be_is_refused_and_not_repeated(
    url: str, options: dict[str, Any]
) -> None:
    with pytest.raises(LockConfigurationError) as raised:
        open_postgres(url, options=options, deadline=1.0, prefix="")

    assert "s3" not in f"{raised.value!r} {raised.value.__cause__!r}"


def test_a_password_may_come_as_an_option(server: PostgresServer) -> None:
    store = open_postgres(
        server.url_for("app"), options={"password": PASSWORD}, deadline=5.0, prefix="test:"
    )

    assert store.peek("order:7") is None
    store.close()


def test_a_server_that_is_gone_is_named(opened: Open) -> None:
    store = opened("postgresql://app:s3cret@127.0.0.1:1/postgres")

    with pytest.raises(StoreUnavailable, match="onnection refused"):
        store.peek("order:7")


def test_a_table_that_is_not_there_is_a_refusal(server: PostgresServer, opened: Open) -> None:
    store = opened(server.url_for("app", PASSWORD) + "?options=-csearch_path%3Dpg_temp")

    with pytest.raises(StoreError, match='relation "celery_lock" does not exist') as raised:
        store.peek("order:7")

    assert not isinstance(raised.value, StoreUnavailable)
