"""What happens to the locks of a real worker arrives at monitors, receivers and in the log."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import celery
import pytest

from celery_lock import is_skipped
from celery_lock.model import Holder
from tests.integration.apps import event_app
from tests.integration.apps.history import History
from tests.integration.keys import keys_at
from tests.services import sending, wait_for
from tests.services.fixtures import WorkerFactory
from tests.services.worker import Pool

APP = "tests.integration.apps.event_app"
BURST = 130


@pytest.fixture
def app(redis_url: str) -> Iterator[celery.Celery]:
    with sending(event_app.make_app(broker_url=redis_url, result_backend=redis_url)) as app:
        yield app


@contextmanager
def monitor(app: celery.Celery) -> Iterator[list[dict[str, Any]]]:
    """Receive as Flower does, in a thread; `until(app, events)` waits for all that was sent."""
    events: list[dict[str, Any]] = []
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": events.append})

        def receive() -> None:
            receiver.capture(limit=None, timeout=None, wakeup=False)

        thread = threading.Thread(target=receive, name="monitor", daemon=True)
        thread.start()
        try:
            arrived(app, events, "listens")
            yield events
        finally:
            receiver.should_stop = True
            wait_for(lambda: send(app, "ends") or not thread.is_alive(), "its end", poll=0.1)


def send(app: celery.Celery, word: str) -> None:
    """Send an event of the test's own."""
    with app.events.default_dispatcher() as dispatcher:
        dispatcher.send(f"test-{word}")


def arrived(app: celery.Celery, events: list[dict[str, Any]], word: str) -> list[dict[str, Any]]:
    """Wait until an event of the test's own has come through; return what came of ours before."""

    def send_and_look() -> bool:
        send(app, word)
        return any(event["type"] == f"test-{word}" for event in list(events))

    wait_for(send_and_look, f"the event test-{word}", poll=0.1)
    return [event for event in events if event["type"].startswith("task-lock-")]


ON: dict[str, tuple[Pool, list[str], dict[str, Any]]] = {
    "-E": ("prefork", ["-E"], {}),
    "worker_send_task_events": ("threads", [], {"worker_send_task_events": True}),
    "lock_send_events": ("solo", [], {"lock_send_events": True}),
}


@pytest.mark.parametrize("way", ON)
def test_a_monitor_receives_what_happened(
    app: celery.Celery, redis_url: str, worker_factory: WorkerFactory, tmp_path: Path, way: str
) -> None:
    pool, args, settings = ON[way]
    history = History(tmp_path / "history")
    with keys_at(redis_url) as keys, monitor(app) as events:
        worker = worker_factory(
            APP,
            broker=redis_url,
            backend=redis_url,
            pool=pool,
            args=args,
            env={"TEST_SETTINGS": json.dumps(settings), **history.env},
        )
        job = app.tasks["event.job"]
        free = job.delay(1)
        assert free.get(timeout=20) == 1  # though receivers of our signals raise
        holder = keys.take("job:2", task_id="somebody")
        taken = job.delay(2)
        assert is_skipped(taken.get(timeout=20))

        wait_for(lambda: sum(e["type"].startswith("task-lock-") for e in events) >= 3, "our events")
        ours = {event["type"]: event for event in events if "lock" in event["type"]}

    assert set(ours) == {"task-lock-acquired", "task-lock-released", "task-lock-conflicted"}
    assert {event["hostname"] for event in ours.values()} == {worker.hostname}
    acquired, released = ours["task-lock-acquired"], ours["task-lock-released"]
    assert (acquired["uuid"], acquired["key"]) == (free.id, "job:1")
    assert (released["uuid"], released["token"]) == (free.id, acquired["token"])
    assert Holder.parse(acquired["holder"]).node == worker.hostname
    conflicted = ours["task-lock-conflicted"]
    assert (conflicted["uuid"], conflicted["key"], conflicted["decision"]) == (
        taken.id,
        "job:2",
        "skip",
    )
    assert (conflicted["holder"], conflicted["holder_task"]) == (holder, "somebody")
    told = [(line["what"], line["job"], line["sender"]) for line in history.lines()]
    assert told == [
        ("Acquired", "job:1", "event.job"),
        ("Released", "job:1", "event.job"),
        ("Conflicted", "job:2", "event.job"),
    ]


def test_nothing_is_sent_to_monitors_before_they_switch_events_on(
    app: celery.Celery, redis_url: str, worker_factory: WorkerFactory
) -> None:
    with monitor(app) as events:
        worker = worker_factory(APP, broker=redis_url, backend=redis_url, concurrency=1)
        assert app.tasks["event.job"].delay(1).get(timeout=20) == 1
        (answer,) = app.control.enable_events(reply=True, timeout=20, limit=1)
        assert answer == {worker.hostname: {"ok": "task events enabled"}}
        heard = app.tasks["event.job"].delay(2)
        assert heard.get(timeout=20) == 2
        worker.stop()

        ours = [(e["uuid"], e["hostname"]) for e in arrived(app, events, "later")]
    assert ours == [(heard.id, worker.hostname)] * 2


def test_a_pool_process_has_its_last_word(
    app: celery.Celery, redis_url: str, worker_factory: WorkerFactory
) -> None:
    with keys_at(redis_url) as keys, monitor(app) as events:
        worker = worker_factory(
            APP, broker=redis_url, backend=redis_url, concurrency=1, args=["-E"]
        )
        keys.take("job:2", task_id="somebody")
        results = [app.tasks["event.job"].delay(2) for _ in range(BURST)]
        assert all(is_skipped(result.get(timeout=20)) for result in results)

        worker.stop()

        ours = Counter(event["uuid"] for event in arrived(app, events, "later"))
    assert ours == {result.id: 1 for result in results}
    lines = worker.logs().splitlines()
    assert (
        sum(": skipped, will not run: lock 'job:2' is held by" in line for line in lines) == 101
    )  # the sum quotes one
    (summary,) = [line for line in lines if "more lines like this one were left out" in line]
    assert re.search(rf"ForkPoolWorker-1\] {BURST - 100} more lines .* at most 100 a min", summary)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_receiver_that_raises_on_a_loss_leaves_the_body_and_the_other_leases_alone(
    app: celery.Celery,
    redis_url: str,
    worker_factory: WorkerFactory,
    tmp_path: Path,
    pool: Pool,
) -> None:
    history = History(tmp_path / "history")
    worker = worker_factory(
        APP, broker=redis_url, backend=redis_url, pool=pool, concurrency=1, env=history.env
    )
    until_lost = app.tasks["event.until_lost"]
    with keys_at(redis_url) as keys:
        robbed = until_lost.delay(1, 20.0)
        history.wait("Acquired", "lost:1")
        assert keys.store.free("lost:1", keys.holder("lost:1").holder)
        assert robbed.get(timeout=20)  # it went on, and saw its loss
        after = until_lost.delay(2, 2 * event_app.TTL)
        assert not after.get(timeout=20)  # renewed by the thread on which the receiver raised

    worker.wait_for_log(r"this receiver is broken \(Lost\)")
    told = [(line["what"], line["job"], line["sender"]) for line in history.lines()]
    assert told == [
        ("Acquired", "lost:1", "event.until_lost"),
        ("Lost", "lost:1", "event.until_lost"),
        ("Released", "lost:1", "event.until_lost"),
        ("Acquired", "lost:2", "event.until_lost"),
        ("Released", "lost:2", "event.until_lost"),
    ]
