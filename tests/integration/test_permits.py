"""Real workers under locks of several permits: never more at once, through deaths and deploys."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import celery
import pytest

from celery_lock import LockError, is_skipped
from tests.integration.apps import permits_app
from tests.integration.apps.history import History
from tests.integration.apps.permits_app import FLOOR
from tests.integration.keys import keys_at
from tests.services import RedisServer, Worker, sending
from tests.services.fixtures import WorkerFactory

APP = "tests.integration.apps.permits_app"
QUICK = 40


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history")


class Place:
    """Workers of one broker, and who sends to them."""

    def __init__(self, url: str, factory: WorkerFactory, history: History, app: Any) -> None:
        self.app: celery.Celery = app
        self.url, self.history, self._factory = url, history, factory

    def worker(self, limit: int) -> Worker:
        """Deploy a worker that lets so many run at once."""
        env = {**self.history.env, "TEST_LIMIT": str(limit)}
        return self._factory(
            APP, broker=self.url, backend=self.url, concurrency=4, env=env, ready=False
        )

    def send(self, name: str, *args: Any, **options: Any) -> Any:
        return self.app.tasks[f"permits.{name}"].apply_async(args, **options)

    def send_twice(self, name: str, host: str, job: str, seconds: float) -> Any:
        """Let the broker give out one message again while its task runs."""
        result = self.send(name, host, job, seconds, queue="aside")
        with self.app.connection_for_write() as connection:
            channel: Any = connection.channel()  # of Redis, as its own stubs do not say
            client = channel.client
            message = client.rpop("aside")
            client.lpush("celery", message)
            self.history.wait("start", job)
            client.lpush("celery", message)
        return result


@contextmanager
def a_place(url: str, factory: WorkerFactory, history: History) -> Iterator[Place]:
    app = permits_app.make_app(broker_url=url, result_backend=url)
    with sending(app) as sender:
        yield Place(url, factory, history, sender)


@pytest.fixture
def place(redis_url: str, worker_factory: WorkerFactory, history: History) -> Iterator[Place]:
    with a_place(redis_url, worker_factory, history) as made:
        yield made


@pytest.fixture(scope="module")
def settled(
    module_redis: RedisServer,
    module_worker_factory: WorkerFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    """One with a worker of its own, which stays."""
    history = History(tmp_path_factory.mktemp("settled") / "history")
    with a_place(module_redis.url, module_worker_factory, history) as made:
        made.worker(3).wait_ready()
        yield made


def judged(history: History) -> list[str]:
    """Return each breach: more companions than a run's limit, a slot that two have, a token of a
    slot that does not grow."""
    breaches = []
    alive: dict[str, dict[str, Any]] = {}
    highest: dict[tuple[str, int], int] = {}
    for line in history.lines():
        job = line["job"]
        if line["what"] == "end":
            alive.pop(job, None)
        if line["what"] != "start":
            continue  # one that is kept for its retry is alive too
        before = alive.pop(job, None)
        # a retry keeps the limit of the run before
        limit = line["limit"] if before is None else before["limit"]
        others = [one for one in alive.values() if one["key"] == line["key"]]
        smallest = min([limit, *(one["limit"] for one in others)])
        if len(others) + 1 > smallest:
            breaches.append(f"{len(others) + 1} with a limit of {smallest}: {others} and {line}")
        if line["slot"] in [one["slot"] for one in others]:
            breaches.append(f"two have the slot: {others} and {line}")
        if line["token"] <= highest.get((line["key"], line["slot"]), 0):
            breaches.append(f"the token of a slot does not grow: {line}")
        highest[line["key"], line["slot"]] = line["token"]
        alive[job] = {**line, "limit": limit}
    return breaches


def lines_of(history: History, host: str, what: str | None = None) -> list[dict[str, Any]]:
    return [line for line in history.lines(what) if line["job"].startswith(f"{host}-")]


def at_once(history: History, host: str) -> int:
    """The most that ran at once."""
    running, most = 0, 0
    for line in lines_of(history, host):
        running += {"start": 1, "end": -1, "kept": -1}[line["what"]]
        most = max(most, running)
    return most


def test_never_more_than_the_limit_at_once_through_deaths_copies_retries_and_deploys(
    place: Place, history: History
) -> None:
    chance = random.Random(13)
    old = place.worker(5)
    sent = {job: place.send_twice("work", "w", job, 1.0) for job in ("w-copied", "w-twice")}
    for number in range(40):
        job, seconds = f"w-{number}", chance.uniform(0.02, 0.15)
        sent[job] = place.send("work", "w", job, seconds, number % 10 == 7)
        if number % 5 == 0:
            sent[f"a-{number}"] = place.send("again", "a", f"a-{number}", seconds)
    history.wait("end", count=12)
    few = place.worker(2)
    few.wait_ready()
    history.wait("end", count=30)
    old.kill(signal.SIGTERM)  # it ends what it runs
    many = place.worker(4)
    results = {job: result.get(timeout=QUICK) for job, result in sent.items()}
    many.wait_ready()
    few.kill(signal.SIGTERM)

    assert results == {job: job for job in sent}
    assert judged(history) == []
    assert at_once(history, "w") >= 3
    runs = {job: len(history.lines("start", job)) for job in sent}
    for number in range(40):
        dies = number % 10 == 7
        assert runs[f"w-{number}"] == (2 if dies else 1), f"w-{number}"
    assert {runs[job] for job in sent if job.startswith("a-")} == {3}
    assert (runs["w-copied"], runs["w-twice"]) == (1, 1)
    with keys_at(place.url) as keys:
        assert keys.holder("work:w") is None
        assert keys.holder("again:a") is None


def test_each_permit_rests_for_its_floor(settled: Place) -> None:
    sent = [settled.send("rests", "r", f"r-{number}") for number in range(6)]
    for result in sent:
        result.get(timeout=QUICK)

    began = lines_of(settled.history, "r", "start")
    starts = [line["at"] for line in began]
    pairs = list(zip(starts, starts[2:], strict=False))
    assert min(later - start for start, later in pairs) > FLOOR - 0.2
    assert {line["slot"] for line in began} == {0, 1}


def test_one_success_an_hour_whatever_fails_before(settled: Place) -> None:
    with pytest.raises(ValueError, match="o-1"):
        settled.send("once", "o", "o-1", "failed").get(timeout=QUICK)
    with pytest.raises(ValueError, match="o-2"):  # its process was killed before
        settled.send("once", "o", "o-2", "killed").get(timeout=QUICK)
    third = settled.send("once", "o", "o-3", "well").get(timeout=QUICK)
    fourth = settled.send("once", "o", "o-4", "well").get(timeout=QUICK)
    with pytest.raises(LockError, match="its call said lock=None"):  # it runs, and asks for it
        settled.send("once", "o", "o-5", "well", lock=None).get(timeout=QUICK)

    assert third == "o-3"
    assert is_skipped(fourth)
    began = lines_of(settled.history, "o", "start")
    assert [line["job"] for line in began] == ["o-1", "o-2", "o-2", "o-3"]
