"""A body learns of its loss in time: server hung, network gone, worker paused, key deleted.

The store is apart from the broker, behind a wire that can be cut.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import celery
import pytest

from celery_lock import LeaseLost
from tests.integration.apps import lost_app
from tests.integration.apps.history import History
from tests.integration.apps.lost_app import AT_MOST, TTL
from tests.integration.keys import keys_at
from tests.integration.test_events import monitor
from tests.services import STALL, Proxy, RedisServer, Worker, sending, wait_for
from tests.services.fixtures import WorkerFactory

APP = "tests.integration.apps.lost_app"
QUICK = 30
SOON = 0.05
"""Seconds after its deadline at which a loss is known at the latest."""


@dataclass
class DistantStore:
    """A worker, and the store of its locks behind a wire."""

    app: celery.Celery
    worker: Worker
    store: RedisServer
    wire: Proxy
    history: History

    def send(self, name: str, *args: Any) -> Any:
        return self.app.tasks[f"lost.{name}"].apply_async(args)


@pytest.fixture(scope="module")
def module_setup(
    module_redis: RedisServer,
    redis_binary: str,
    module_worker_factory: WorkerFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[DistantStore]:
    folder, url = tmp_path_factory.mktemp("lost"), module_redis.url
    history = History(folder / "told")
    with RedisServer(redis_binary, folder / "store") as store, Proxy(store.port) as wire:
        options = {"lock_store": f"redis://{wire.host}:{wire.port}/0"}
        env = history.env | {"TEST_SETTINGS": json.dumps(options)}
        worker = module_worker_factory(APP, broker=url, backend=url, concurrency=2, env=env)
        with sending(lost_app.make_app(broker_url=url, result_backend=url, **options)) as app:
            yield DistantStore(app, worker, store, wire, history)


@pytest.fixture
def setup(module_setup: DistantStore) -> Iterator[DistantStore]:
    """All is well before a test and after it."""
    yield module_setup
    module_setup.store.resume()
    module_setup.wire.forward()
    module_setup.wire.cut()  # what was swallowed stays lost
    module_setup.store.wait_ready()


def hang(setup: DistantStore, child: int) -> None:
    setup.store.pause()


def cut_off(setup: DistantStore, child: int) -> None:
    setup.wire.swallow()


def delete(setup: DistantStore, child: int) -> None:
    with setup.store.client() as client:
        assert client.delete(*client.keys("celery-lock:*watch*"))


def pause_all(setup: DistantStore, child: int) -> None:
    setup.worker.pause()
    time.sleep(1.6 * TTL)
    setup.worker.resume()


def pause_child(setup: DistantStore, child: int) -> None:
    os.kill(child, signal.SIGSTOP)
    time.sleep(1.6 * TTL)
    os.kill(child, signal.SIGCONT)


FAULTS: list[tuple[Callable[[DistantStore, int], None], str]] = [
    (hang, "expired"),
    (cut_off, "expired"),
    (delete, "taken"),
    (pause_all, "expired"),
    (pause_child, "expired"),
]


def is_a_loss(event: dict[str, Any]) -> bool:
    """The lease has ended under its body."""
    return bool(event["type"] == "task-lock-lost")


def is_the_end(event: dict[str, Any]) -> bool:
    """The holder has given its key back, or has tried to with no answer."""
    failed = event["type"] == "task-lock-store-failed" and event["call"] == "release"
    return failed or event["type"] == "task-lock-released"


@pytest.mark.parametrize(
    ("fault", "reason"), FAULTS, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_loss_is_known_at_the_deadline_and_told_once(
    setup: DistantStore, fault: Callable[[DistantStore, int], None], reason: str
) -> None:
    job = fault.__name__
    with monitor(setup.app) as events:
        result = setup.send("watch", job)
        (start,) = setup.history.wait("start", job)
        time.sleep(TTL / 2)  # it has been renewed

        fault(setup, start["pid"])

        seen = result.get(timeout=QUICK)
        # another thread tells of the loss than of the end, so either may be the first one
        # (and those of the play before may still be on their way)
        for kind in (is_a_loss, is_the_end):
            wait_for(
                lambda kind=kind: any(kind(e) for e in events if e.get("uuid") == result.id),
                "the events of the lease's loss and end",
            )
        told = [e for e in events if is_a_loss(e) and e["uuid"] == result.id]
    lost = setup.history.wait("lost", f"watch:{job}")
    print(
        f"{job}: {seen['reason']}, check() raised {seen['late'] * 1000:+.1f} ms"
        f" after the deadline; last passed {seen['passed'] * 1000:+.1f} ms;"
        f" signal {(lost[0]['at_clock'] - seen['at']) * 1000:+.1f} ms after that"
    )
    assert seen["reason"] == reason
    assert seen["lost"] is True
    # the body was not let run for longer than a step of its loop: what it could not see, it did not
    assert seen["passed"] <= SOON
    assert len(lost) == len(told) == 1
    if fault in (pause_all, pause_child):
        assert seen["pause"] > TTL, "it was not paused"
        assert seen["passed"] <= 0, "a check after the pause raised nothing"


def test_the_ceiling_ends_the_hold_of_a_hung_body(setup: DistantStore) -> None:
    hung = setup.send("hung", "job", 2.5)
    (first,) = setup.history.wait("start", "job")
    second = setup.send("hung", "job", 0.0)

    token = second.get(timeout=QUICK)

    assert hung.get(timeout=QUICK) == first["token"] < token
    ends = setup.history.lines("end", "job")
    # a token is the time of its grant; the ceiling counts from the claim, which was sent before
    held = (token - first["token"]) / 1e6
    print(f"the key was given on {held:.2f} s after the hung body had it")
    # a server ends a key at a whole millisecond, the holder stops before that
    assert first["ends"] - 0.001 < token / 1e6
    assert first["ends"] <= first["token"] / 1e6 + AT_MOST
    assert held < 2.5
    assert [end["lost"] for end in ends] == [False, True]


def test_the_ceiling_ends_a_hung_body_that_may_be_interrupted(setup: DistantStore) -> None:
    result = setup.send("stopped", "ceiling")

    with pytest.raises(LeaseLost) as raised:
        result.get(timeout=QUICK)

    assert raised.value.reason == "at_most"
    with keys_at(setup.store.url) as keys:
        assert keys.holder("stopped:ceiling") is None


def test_a_hung_store_does_not_hold_up_the_interrupt(setup: DistantStore) -> None:
    result = setup.send("wait", "hung store", "sleep")
    setup.history.wait("start", "hung store")

    setup.store.pause()

    (end,) = setup.history.wait("end", "hung store")
    setup.store.resume()
    print(f"interrupted {(end['seen'] - end['deadline']) * 1000:+.1f} ms after the deadline")
    assert end["seen"] - end["deadline"] < STALL
    with pytest.raises(LeaseLost):
        result.get(timeout=QUICK)
