"""`on_lost="interrupt"`: the body of a lost lease ends, in every pool, and nothing else does."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import celery
import pytest

from celery_lock import LeaseLost
from tests.integration.apps import lost_app
from tests.integration.apps.history import History
from tests.integration.keys import delete_keys
from tests.services import STALL, RedisServer, Worker, sending, wait_for
from tests.services.fixtures import WorkerFactory
from tests.services.worker import Pool

APP = "tests.integration.apps.lost_app"
CONCURRENCY: dict[Pool, int] = {"prefork": 4, "threads": 16, "gevent": 16, "solo": 1}
BRIEF: dict[Pool, int] = {"prefork": 200, "threads": 200, "gevent": 60, "solo": 40}
"""Bodies that end with their lease: five hundred in all."""
QUICK = 30
BOTH = ["LeaseLost", "SoftTimeLimitExceeded"]
ENDED_BY_ITS_LOSS = re.compile(r"lost\.brief\[\S+\] raised unexpected: LeaseLost")


def entries(log: str) -> list[str]:
    """What was logged, one by one, each with its traceback."""
    return re.split(r"^(?=\[\d{4}-\d\d-)", log, flags=re.MULTILINE)


@dataclass
class OnePool:
    """A worker of one pool with a database of its own."""

    pool: Pool
    app: celery.Celery
    worker: Worker
    history: History

    def send(self, name: str, *args: Any, **options: Any) -> Any:
        return self.app.tasks[f"lost.{name}"].apply_async(args, **options)

    def unacknowledged(self) -> list[str]:
        """Their ids and names."""
        with self.app.connection_for_write() as connection:
            kept = connection.channel().client.hvals("unacked")
        headers = [json.loads(message)[0]["headers"] for message in kept]
        return [f"{each['task']}[{each['id']}]" for each in headers]

    def goes_on(self) -> None:
        """It acknowledges what it had and runs the next tasks, in all that it has of its pool."""
        sent = [self.send("look", n) for n in range(2 * CONCURRENCY[self.pool])]
        assert [result.get(timeout=QUICK) for result in sent] == list(range(len(sent)))
        wait_for(
            lambda: not self.unacknowledged(),
            "the acknowledgements",
            explain=lambda: "\n".join(self.unacknowledged()),
        )


@pytest.fixture(scope="module")
def setups(
    module_redis: RedisServer,
    module_worker_factory: WorkerFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, OnePool]]:
    folder = tmp_path_factory.mktemp("history")
    made = {}
    with ExitStack() as stack:
        for db, (pool, concurrency) in enumerate(CONCURRENCY.items()):
            url, history = module_redis.url_for(db), History(folder / pool)
            worker = module_worker_factory(
                APP,
                ready=False,
                broker=url,
                backend=url,
                pool=pool,
                concurrency=concurrency,
                env=history.env,
                args=["--prefetch-multiplier=1"],
            )
            app = stack.enter_context(
                sending(lost_app.make_app(broker_url=url, result_backend=url))
            )
            made[pool] = OnePool(pool, app, worker, history)
        for setup in made.values():
            setup.worker.wait_ready()
        yield made


@pytest.fixture(params=CONCURRENCY)
def setup(setups: dict[str, OnePool], request: pytest.FixtureRequest) -> OnePool:
    return setups[request.param]


@pytest.mark.parametrize("how", ["loop", "sleep", "recv"])
def test_a_lost_lease_ends_the_body_and_the_worker_goes_on(setup: OnePool, how: str) -> None:
    if setup.pool == "threads" and how != "loop":
        pytest.skip("a thread that waits in C is interrupted at the end of its wait only")
    job = f"by hand {how}"
    result = setup.send("wait", job, how)
    setup.history.wait("start", job)

    delete_keys(setup.app, f"wait:{job}")

    with pytest.raises(LeaseLost) as raised:
        result.get(timeout=QUICK)
    assert raised.value.args == (f"wait:{job}", "taken", None)
    assert result.state == "FAILURE"
    (lost,) = setup.history.wait("lost", f"wait:{job}")
    (end,) = setup.history.lines("end", job)
    print(f"{setup.pool} {how}: interrupted {(end['seen'] - lost['at_clock']) * 1000:+.1f} ms")
    assert end["seen"] - lost["at_clock"] < STALL
    setup.goes_on()


def test_the_ceiling_ends_a_hung_body(setup: OnePool) -> None:
    result = setup.send("stopped", "ceiling")

    with pytest.raises(LeaseLost) as raised:
        result.get(timeout=QUICK)

    assert raised.value.reason == "at_most"
    assert len(setup.history.wait("lost", "stopped:ceiling")) == 1
    setup.goes_on()


def test_a_body_that_catches_it_and_goes_on_hears_of_it_once(setup: OnePool) -> None:
    caught = setup.send("stubborn", "once").get(timeout=QUICK)

    assert caught == ["LeaseLost('stubborn:once', 'at_most', None)"]


def test_a_task_that_retries_everything_retries_its_loss(setup: OnePool) -> None:
    assert setup.send("again", "twice").get(timeout=QUICK) == 1

    assert [line["retries"] for line in setup.history.lines("start", "twice")] == [0, 1]


def test_a_soft_time_limit_in_the_same_moment_comes_beside_it_and_each_once(
    setups: dict[str, OnePool],
) -> None:
    setup = setups["prefork"]

    for sent in [setup.send("limited", n) for n in range(4)]:
        ended = sent.get(timeout=QUICK, propagate=False)
        if isinstance(ended, Exception):  # the second fell into the catching of the first
            assert type(ended).__name__ in BOTH
        else:
            assert sorted(ended) == BOTH

    setup.goes_on()


def test_bodies_that_end_with_their_lease_end_once_and_nothing_else_is_hit(
    setup: OnePool,
) -> None:
    """In Celery's own code, in the next task of the slot, in the giving back of the key."""
    before = len(setup.worker.logs())
    sent = [setup.send("brief", n) for n in range(BRIEF[setup.pool])]

    ended = Counter(type(r.get(timeout=QUICK, propagate=False)).__name__ for r in sent)

    print(f"{setup.pool}: {dict(ended)}")
    assert set(ended) <= {"str", "LeaseLost"}
    setup.goes_on()
    log = setup.worker.logs()[before:]
    raised = [entry for entry in entries(log) if ENDED_BY_ITS_LOSS.search(entry)]
    assert len(raised) == ended["LeaseLost"]
    others = [entry for entry in entries(log) if entry not in raised and "Traceback" in entry]
    assert others == []
    assert [entry for entry in raised if entry.count("Traceback") > 1] == []
    assert not re.search(r"CRITICAL|Unrecoverable|pool object|unraisable|Exception ignored", log)
