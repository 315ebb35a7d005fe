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
SLOTS: dict[Pool, int] = {"prefork": 4, "threads": 16, "gevent": 16, "solo": 1}
BRIEF: dict[Pool, int] = {"prefork": 200, "threads": 200, "gevent": 60, "solo": 40}
"""Bodies that end with their lease: five hundred in all."""
QUICK = 30


@dataclass
class Ground:
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
        """It acknowledges what it had and runs the next tasks, in all of its slots."""
        sent = [self.send("look", n) for n in range(2 * SLOTS[self.pool])]
        assert [result.get(timeout=QUICK) for result in sent] == list(range(len(sent)))
        wait_for(
            lambda: not self.unacknowledged(),
            "the acknowledgements",
            explain=lambda: "\n".join(self.unacknowledged()),
        )


@pytest.fixture(scope="module")
def grounds(
    module_redis: RedisServer,
    module_worker_factory: WorkerFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Ground]]:
    folder = tmp_path_factory.mktemp("history")
    made = {}
    with ExitStack() as stack:
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
            app = stack.enter_context(
                sending(lost_app.make_app(broker_url=url, result_backend=url))
            )
            made[pool] = Ground(pool, app, worker, history)
        for ground in made.values():
            ground.worker.wait_ready()
        yield made


@pytest.fixture(params=SLOTS)
def ground(grounds: dict[str, Ground], request: pytest.FixtureRequest) -> Ground:
    return grounds[request.param]


@pytest.mark.parametrize("how", ["loop", "sleep", "recv"])
def test_a_lost_lease_ends_the_body_and_the_worker_goes_on(ground: Ground, how: str) -> None:
    if ground.pool == "threads" and how != "loop":
        pytest.skip("a thread that waits in C is interrupted at the end of its wait only")
    job = f"by hand {how}"
    result = ground.send("wait", job, how)
    ground.history.wait("start", job)

    delete_keys(ground.app, f"wait:{job}")

    with pytest.raises(LeaseLost) as raised:
        result.get(timeout=QUICK)
    assert raised.value.args == (f"wait:{job}", "taken", None)
    assert result.state == "FAILURE"
    (lost,) = ground.history.wait("lost", f"wait:{job}")
    (end,) = ground.history.lines("end", job)
    print(f"{ground.pool} {how}: interrupted {(end['seen'] - lost['at_clock']) * 1000:+.1f} ms")
    assert end["seen"] - lost["at_clock"] < STALL
    ground.goes_on()


def test_the_ceiling_ends_a_hung_body(ground: Ground) -> None:
    result = ground.send("stopped", "ceiling")

    with pytest.raises(LeaseLost) as raised:
        result.get(timeout=QUICK)

    assert raised.value.reason == "at_most"
    assert len(ground.history.wait("lost", "stopped:ceiling")) == 1
    ground.goes_on()


def test_a_body_that_catches_it_and_goes_on_hears_of_it_once(ground: Ground) -> None:
    caught = ground.send("stubborn", "once").get(timeout=QUICK)

    assert caught == ["LeaseLost('stubborn:once', 'at_most', None)"]


def test_a_task_that_retries_everything_retries_its_loss(ground: Ground) -> None:
    assert ground.send("again", "twice").get(timeout=QUICK) == 1

    assert [line["retries"] for line in ground.history.lines("start", "twice")] == [0, 1]


def test_a_soft_time_limit_in_the_same_moment_is_one_end(grounds: dict[str, Ground]) -> None:
    ground = grounds["prefork"]

    for sent in [ground.send("limited", n) for n in range(4)]:
        with pytest.raises((LeaseLost, Exception), match=r"at_most|SoftTimeLimitExceeded"):
            sent.get(timeout=QUICK)

    ground.goes_on()


def test_bodies_that_end_with_their_lease_end_once_and_nothing_else_is_hit(
    ground: Ground,
) -> None:
    """In Celery's own code, in the next task of the slot, in the giving back of the key."""
    before = len(ground.worker.logs())
    sent = [ground.send("brief", n) for n in range(BRIEF[ground.pool])]

    ended = Counter(type(r.get(timeout=QUICK, propagate=False)).__name__ for r in sent)

    print(f"{ground.pool}: {dict(ended)}")
    assert set(ended) <= {"str", "LeaseLost"}
    ground.goes_on()
    log = ground.worker.logs()[before:]
    raised = re.findall(r"lost\.brief\[\S+\] raised unexpected: LeaseLost", log)
    assert len(raised) == ended["LeaseLost"]
    assert log.count("Traceback") == len(raised)
    assert not re.search(r"CRITICAL|Unrecoverable|pool object|unraisable|Exception ignored", log)
