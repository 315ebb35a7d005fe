"""What a publisher took is free as its message ends, however that is, and whoever its worker is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import celery
import pytest

from tests.integration.apps import published_app
from tests.integration.apps.history import History
from tests.integration.apps.published_app import LOCKS, STARTED
from tests.integration.keys import Keys
from tests.services import RedisServer, Worker, sending, wait_for
from tests.services.fixtures import WorkerFactory

QUICK = 30
KNOWN = [name for name in LOCKS if name != "unknown"]
WAYS = ["return", "raise", "raise before", "retry", "replace", "ignore", "reject"]
DEATHS = ["kill", "die before"]


@dataclass
class Setup:
    """A worker that declares the locks of its side, and an app that publishes."""

    app: celery.Celery
    worker: Worker
    keys: Keys
    history: History

    def send(self, name: str, job: str, does: str = "return", **options: Any) -> Any:
        return self.app.tasks[f"published.{name}"].apply_async((job, does), **options)

    def holder(self, name: str, job: str) -> str | None:
        scopes = LOCKS[name][0] if isinstance(LOCKS[name][0], list) else [LOCKS[name][0]]
        names = [f"{name}:{job}{'%queued' if scope == STARTED else ''}" for scope in scopes]
        return next((held.holder for each in names if (held := self.keys.holder(each))), None)

    def all_free(self, sent: list[tuple[str, str]]) -> None:
        """Wait until nothing is taken for these any more."""

        def taken() -> list[tuple[str, str, str | None]]:
            return [
                (name, job, self.holder(name, job))
                for name, job in sent
                if self.holder(name, job) is not None
            ]

        wait_for(
            lambda: not taken(), "all keys are free", timeout=QUICK, explain=lambda: str(taken())
        )

    def move(self, queue: str, to: str, *, body: str | None = None, **changes: Any) -> None:
        """Let the one message of a queue come to a worker, with other facts of its delivery."""
        with self.app.connection_for_write() as connection:
            client = connection.channel().client
            message = json.loads(client.rpop(queue))
            message["properties"]["delivery_info"].update(changes)
            message["body"] = message["body"] if body is None else body
            client.lpush(to, json.dumps(message))


def a_setup(
    side: dict[str, str],
    redis: RedisServer,
    start: WorkerFactory,
    folder: Any,
    queues: Sequence[str] = (),
) -> Iterator[Setup]:
    url = redis.url_for(0)
    history = History(folder / "history")
    worker = start(
        "tests.integration.apps.published_app",
        broker=url,
        backend=url,
        concurrency=3,
        queues=queues,
        env={**history.env, "TEST_SIDE": "worker", **side},
    )
    with sending(published_app.make_app(broker_url=url, result_backend=url)) as app:
        yield Setup(app, worker, Keys(url), history)


@pytest.fixture(scope="module")
def setup(
    module_redis: RedisServer,
    module_worker_factory: WorkerFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Setup]:
    folder = tmp_path_factory.mktemp("published")
    yield from a_setup({}, module_redis, module_worker_factory, folder)


@pytest.fixture(scope="module")
def late(
    module_redis: RedisServer,
    module_worker_factory: WorkerFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Setup]:
    folder = tmp_path_factory.mktemp("late")
    yield from a_setup({"TEST_LATE": "1"}, module_redis, module_worker_factory, folder, ["late"])


def test_nothing_stays_taken_after_any_end(setup: Setup) -> None:
    sent = [(name, f"{name} {does}", does) for name in KNOWN for does in WAYS]
    sent += [("unknown", "1", "return")]
    for name, job, does in sent:
        setup.send(name, job, does)

    setup.all_free([(name, job) for name, job, _ in sent])

    runs = {"retry": 3, "replace": 2, "raise before": 0}
    expected = {(name, does): runs.get(does, 1) for name in KNOWN for does in WAYS}
    for (name, does), count in expected.items():
        # a place is free before the retry of its task has run
        found = setup.history.wait("start", f"{name} {does}", count=count) if count else []
        assert len(found) == count
    assert "could not be freed" not in setup.worker.logs()
    assert "another store" not in setup.worker.logs()


def test_nothing_stays_taken_after_a_death(setup: Setup) -> None:
    sent = [
        (name, f"{does}-2", does) for name in ("finished", "started", "none") for does in DEATHS
    ]
    for name, job, does in sent:
        setup.send(name, job, does)

    setup.all_free([(name, job) for name, job, _ in sent])


def test_nothing_stays_taken_of_a_message_that_is_revoked_or_has_expired(setup: Setup) -> None:
    for name in ("finished", "started", "none"):
        setup.app.control.revoke(f"revoked-{name}", reply=True)
        setup.send(name, "3", task_id=f"revoked-{name}")
        setup.send(name, "4", expires=1e-3)

    setup.all_free([(name, job) for name in ("finished", "started", "none") for job in "34"])

    assert setup.history.lines("start", "3") == setup.history.lines("start", "4") == []


def test_a_message_that_is_terminated_before_its_body_leaves_nothing(setup: Setup) -> None:
    results = [setup.send(name, f"{name}-5", "stand still before") for name in ("finished", "none")]
    for name in ("finished", "none"):
        setup.history.wait("before", f"{name}-5")

    for result in results:
        setup.app.control.revoke(result.id, terminate=True, signal="SIGKILL")

    setup.all_free([(name, f"{name}-5") for name in ("finished", "none")])


def test_the_key_is_taken_from_the_queue_to_the_end_and_the_place_to_the_start(
    setup: Setup,
) -> None:
    for name in ("finished", "none", "started", "place"):
        setup.send(name, f"{name}-6", "sleep")
    for name in ("finished", "none", "started", "place"):
        setup.history.wait("start", f"{name}-6")
        running = setup.holder(name, f"{name}-6")
        assert (running is None) is (name in ("started", "place"))

    setup.all_free([(name, f"{name}-6") for name in ("finished", "none", "started", "place")])


def test_a_message_that_cannot_be_read_leaves_nothing(setup: Setup) -> None:
    for name in ("finished", "started", "none"):
        setup.send(name, "15", queue="aside-15")
        setup.move("aside-15", "celery", body="bm90IGpzb24=")

    setup.all_free([(name, "15") for name in ("finished", "started", "none")])
    assert setup.history.lines("start", "15") == []


def test_one_message_waits_and_one_runs(setup: Setup) -> None:
    first = setup.send("both", "14", "sleep")
    setup.history.wait("start", "14")

    others = [setup.send("both", "14", "sleep") for _ in range(4)]

    assert {first.id, *(other.id for other in others)} == {first.id, others[0].id}
    assert others[0].get(timeout=QUICK) == "14"
    assert len(setup.history.lines("start", "14")) == 2
    assert setup.history.overlaps("14") == []


def test_a_message_that_celery_knows_as_done_leaves_nothing(late: Setup) -> None:
    late.send("finished", "7", task_id="done", queue="late").get(timeout=QUICK)
    late.all_free([("finished", "7")])
    late.send("finished", "7", task_id="done", queue="aside-7")
    assert late.holder("finished", "7") == "done/queued/0"

    late.move("aside-7", "late", redelivered=True)

    late.all_free([("finished", "7")])
    assert len(late.history.lines("start", "7")) == 1


def test_a_worker_that_is_killed_before_it_adopts_leaves_all_to_the_next(
    rabbit_url: str, redis_url: str, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Also what it has only fetched: the broker gives out again whatever was not acknowledged."""
    history = History(tmp_path / "history")
    env = {**history.env, "TEST_SIDE": "worker", "TEST_LATE": "1"}
    options = {"broker": rabbit_url, "backend": redis_url, "concurrency": 2, "env": env}
    worker = worker_factory("tests.integration.apps.published_app", **options)
    with sending(published_app.make_app(broker_url=rabbit_url, result_backend=redis_url)) as app:
        setup = Setup(app, worker, Keys(redis_url), history)
        stand = [("finished", "8"), ("started", "9")]
        fetched = [("finished", "10"), ("started", "11"), ("none", "12"), ("running", "13")]
        for name, job in stand:
            setup.send(name, job, "stand still before")
            setup.history.wait("before", job)
        for name, job in fetched:
            setup.send(name, job)
        worker.wait_for_log(r"published\.running\[.*received")

        worker.kill()

        assert all("/queued/0" in str(setup.holder(*each)) for each in stand + fetched)
        worker_factory("tests.integration.apps.published_app", **options)
        for _, job in stand + fetched:
            assert len(setup.history.wait("end", job)) == 1
        setup.all_free(stand + fetched)


def test_a_worker_of_another_prefix_runs_all_and_says_what_is_wrong_once(
    redis_url: str, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    history = History(tmp_path / "history")
    env = {**history.env, "TEST_SIDE": "worker", "TEST_PREFIX": "other:"}
    options = {"broker": redis_url, "backend": redis_url, "pool": "solo"}
    worker = worker_factory("tests.integration.apps.published_app", **options, env=env)
    with sending(published_app.make_app(broker_url=redis_url, result_backend=redis_url)) as app:
        setup = Setup(app, worker, Keys(redis_url), history)
        for name in KNOWN:
            setup.send(name, name)

        for name in KNOWN:
            assert len(history.wait("end", name)) == 1

        assert "/queued/0" in str(setup.holder("finished", "finished"))
        assert worker.logs().count("was taken in another store than redis://") == 1
