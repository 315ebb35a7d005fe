"""A key is kept for as long as its body runs, in every pool; and what the body sees of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, cast

import celery
import pytest

from celery_lock import LeaseLost, LockConflict
from tests.integration.apps import pool_app
from tests.integration.apps.history import History
from tests.integration.apps.pool_app import BODY, CLIENT, TTL
from tests.integration.keys import Keys, delete_keys, keys_at
from tests.services import RedisServer, Worker, sending, wait_for
from tests.services.fixtures import WorkerFactory
from tests.services.worker import Pool

APP = "tests.integration.apps.pool_app"
SLOTS: dict[Pool, int] = {"prefork": 2, "threads": 32, "gevent": 200, "solo": 1}
QUICK = 30


@dataclass
class OnePool:
    """A worker of one pool with a database of its own."""

    pool: Pool
    app: celery.Celery
    worker: Worker
    history: History
    keys: Keys

    def send(self, name: str, *args: Any, **options: Any) -> Any:
        return self.app.tasks[f"pool.{name}"].apply_async(args, **options)

    def connections(self) -> int:
        """How many its store has to the server."""
        with self.app.connection_for_write() as connection:
            client = connection.channel().client
            db = str(client.connection_pool.connection_kwargs["db"])
            return sum(c["name"] == CLIENT and c["db"] == db for c in client.client_list())

    def unacknowledged(self, result: Any) -> bool:
        """Whether the broker still keeps the message."""
        with self.app.connection_for_write() as connection:
            return any(
                result.id.encode() in m for m in connection.channel().client.hvals("unacked")
            )


class LongBody(threading.Thread):
    """Two messages with one key, and what is seen of the key while the first one's body runs.

    In a thread, and all pools at once, since it takes many seconds.
    """

    def __init__(self, setup: OnePool) -> None:
        super().__init__(name=f"watches {setup.pool}", daemon=True)
        self.setup = setup
        self.results = [setup.send("hold", "long", BODY)]
        self.looks: list[bool] = []
        """For each: whether the key was held."""
        self.over = threading.Event()
        """The tests are: nobody asks what is seen any more, and the servers will be gone."""

    def run(self) -> None:
        history = self.setup.history
        history.wait("start", "long", timeout=30)
        self.results.append(self.setup.send("hold", "long", 0.0))
        until = time.monotonic() + BODY + 30
        with keys_at(self.setup.keys.url) as keys:
            while time.monotonic() < until and not self.over.is_set():
                held = keys.holder("hold:long") is not None
                if history.lines("end", "long"):  # looked for after the key
                    return
                self.looks.append(held)
                time.sleep(0.05)

    def tokens(self) -> list[int]:
        self.join(60)
        return [result.get(timeout=QUICK) for result in self.results]


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def setups(
    module_redis: RedisServer,
    module_worker_factory: WorkerFactory,
    tmp_path_factory: pytest.TempPathFactory,
    stack: ExitStack,
) -> Iterator[dict[str, OnePool]]:
    folder = tmp_path_factory.mktemp("history")
    made = {}
    for db, (pool, slots) in enumerate(SLOTS.items()):
        url, history = module_redis.url_for(db), History(folder / pool)
        worker = module_worker_factory(
            APP,
            ready=False,
            broker=url,
            backend=url,
            pool=pool,
            concurrency=slots,
            env=history.env,
            args=["--prefetch-multiplier=1"],
        )
        app = stack.enter_context(sending(pool_app.make_app(broker_url=url, result_backend=url)))
        made[pool] = OnePool(pool, app, worker, history, Keys(url))
    for setup in made.values():
        setup.worker.wait_ready()
    yield made
    for setup in made.values():
        setup.keys.close()


@pytest.fixture(params=SLOTS)
def setup(setups: dict[str, OnePool], request: pytest.FixtureRequest) -> OnePool:
    return setups[request.param]


@pytest.fixture(scope="module", autouse=True)
def long_bodies(setups: dict[str, OnePool]) -> Iterator[dict[str, LongBody]]:
    """They run beside the other tests of this module; only the solo pool has nothing free."""
    bodies = {pool: LongBody(setup) for pool, setup in setups.items()}
    for body in bodies.values():
        body.start()
    yield bodies
    for body in bodies.values():
        body.over.set()
        body.join()


# -- renewal ------------------------------------------------------------------------------------


def test_children_renew_though_the_main_process_used_the_lock_before_the_fork(
    module_redis: RedisServer,
    worker_factory: WorkerFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    url, history = module_redis.url_for(10), History(tmp_path_factory.mktemp("touched") / "told")
    worker_factory(
        "tests.integration.apps.pool_touched",
        broker=url,
        backend=url,
        concurrency=2,
        args=["--max-tasks-per-child=1"],
        env=history.env,
    )
    # a child of the first generation, and those after it, forked while the parent renews
    with (
        sending(pool_app.make_app(broker_url=url, result_backend=url)) as app,
        keys_at(url) as keys,
    ):
        hold = app.tasks["pool.hold"]
        for generation in range(2):
            job = f"generation {generation}"
            sent = [hold.delay(job, 1.5 * TTL), hold.delay(job, 0.0)]
            first, second = (result.get(timeout=QUICK) for result in sent)
            assert first != second
            assert keys.holder("touched:when ready"), "the main process kept its own as well"
            assert keys.holder("touched:at import")

    assert history.overlaps() == []
    assert not [line for line in history.lines("end") if line["lost"]]
    assert not history.lines("lost")
    assert len({line["pid"] for line in history.lines("start")}) == 4


# -- what the body sees -------------------------------------------------------------------------


def test_a_body_sees_its_lease(setup: OnePool) -> None:
    before = setup.send("look", "a").get(timeout=QUICK)
    seen = setup.send("look", "a").get(timeout=QUICK)

    assert seen["key"] == "look:a"
    assert seen["holder"].startswith(f"{seen['id']}#{seen['node']}#{seen['pid']}#")
    assert seen["token"] > before["token"]
    assert seen["current"]
    assert not seen["lost"]
    assert 25 < seen["remaining"] <= 30
    assert setup.keys.holder("look:a") is None


def test_a_body_learns_that_its_key_was_deleted_by_hand(setup: OnePool) -> None:
    result = setup.send("until_lost", "by hand")
    setup.history.wait("start", "by hand")

    delete_keys(setup.app, "deleted:by hand")

    assert result.get(timeout=QUICK) == {
        "lost": True,
        "remaining": 0.0,
        "said": "LeaseLost('deleted:by hand', 'taken', None)",
    }
    # told on the thread that renews, where Celery knows of no request
    (lost,) = setup.history.wait("lost", "deleted:by hand")
    assert (lost["task_id"], lost["reason"]) == (result.id, "taken")
    assert (lost["sender"], lost["thread"]) == ("pool.until_lost", "celery-lock-renewal")


def test_a_lost_lease_fails_the_body_that_checks_and_the_message_is_acknowledged(
    setup: OnePool,
) -> None:
    result = setup.send("checks", "to fail")
    setup.history.wait("start", "to fail")

    delete_keys(setup.app, "deleted:to fail")

    with pytest.raises(LeaseLost) as raised:
        result.get(timeout=QUICK)
    assert (raised.value.key, raised.value.reason) == ("deleted:to fail", "taken")
    assert result.state == "FAILURE"
    wait_for(lambda: not setup.unacknowledged(result), "the acknowledgement")
    assert setup.send("look", "and it goes on").get(timeout=QUICK)


def test_a_conflict_arrives_whole_at_the_caller(setup: OnePool) -> None:
    setup.keys.take("hold:foreign", task_id="somebody-else")

    with pytest.raises(LockConflict) as raised:
        setup.send("refused", "foreign").get(timeout=QUICK)

    setup.keys.give_back("hold:foreign")
    assert (raised.value.key, raised.value.holder) == ("hold:foreign", "somebody-else")
    assert str(raised.value) == "lock 'hold:foreign' is held by somebody-else"


def test_a_task_may_call_itself(setup: OnePool) -> None:
    tokens = setup.send("again", 2).get(timeout=QUICK)

    assert len(tokens) == 3
    assert len(set(tokens)) == 1
    assert setup.keys.holder("again") is None


@pytest.mark.parametrize("pool", SLOTS)
def test_a_body_that_runs_ten_times_its_ttl_keeps_its_key(
    setups: dict[str, OnePool], long_bodies: dict[str, LongBody], pool: Pool
) -> None:
    tokens = long_bodies[pool].tokens()
    first, end, second, _ = setups[pool].history.lines(job="long")

    assert len(long_bodies[pool].looks) > 10
    assert all(long_bodies[pool].looks), "the key was free while its body ran"
    assert end["at"] - first["at"] >= 10 * TTL
    assert (end["what"], end["lost"]) == ("end", False)
    assert (second["what"], setups[pool].history.overlaps("long")) == ("start", [])
    assert first["token"] < second["token"]
    assert tokens == [first["token"], second["token"]]


def test_a_body_that_is_a_coroutine_has_its_key_until_it_ends(setup: OnePool) -> None:
    sent = [setup.send("awaits", "coroutine", 1.2 * TTL), setup.send("awaits", "coroutine", 0.0)]
    first, second = sorted(result.get(timeout=QUICK) for result in sent)

    assert first < second
    assert setup.history.overlaps("coroutine") == []
    assert len(setup.history.lines("end", "coroutine")) == 2
    assert setup.keys.holder("awaits:coroutine") is None


@pytest.mark.parametrize("pool", ["threads", "gevent"])
def test_many_leases_of_a_process_need_no_thread_each(
    setups: dict[str, OnePool], pool: str
) -> None:
    setup, count = setups[pool], SLOTS[cast(Pool, pool)]

    sent = [setup.send("together", job, count) for job in range(count)]
    connections = []
    while not all(result.ready() for result in sent[:: count // 4]):
        connections.append(setup.connections())
        time.sleep(0.05)

    # the bodies check that they kept theirs; whoever waited for the key is told to be done
    for result in sent:
        threads = set(result.get(timeout=40))
        assert threads - {"celery-lock-calls"} == {"celery-lock-clock", "celery-lock-renewal"}
    assert 1 <= max(connections) <= 11
