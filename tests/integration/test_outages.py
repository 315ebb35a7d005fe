"""While a server is away no task is lost that a task without a lock would keep, and none hangs."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import celery
import pytest

from celery_lock.errors import LockError, StoreUnavailable
from tests.house import ROOT
from tests.integration.apps import outage_app
from tests.integration.apps.history import History
from tests.integration.keys import keys_at
from tests.services import Proxy, RedisServer, WaitedTooLong, Worker, wait_for
from tests.services.fixtures import RedisFactory, WorkerFactory
from tests.services.worker import Pool

APP = "tests.integration.apps.outage_app"
ACKS = ("early", "late")
EACH = 10


@dataclass
class Side:
    """A worker with one acks mode, the app that sends to it, and what its tasks told."""

    acks: str
    app: celery.Celery
    worker: Worker
    history: History
    gate: Path
    died: bool = False
    """Celery itself gave up, and whoever watches over the worker has started it again."""

    def send(self, name: str, *args: Any) -> Any:
        return self.app.tasks[f"outage.{name}"].delay(*args)

    def send_both(self, count: int, share: int = 3) -> None:
        """As many with a lock as without; `share` of them have one key."""
        for job in range(count):
            self.send("plain", job)
            self.send("locked", job, job // share)

    def queued(self) -> int:
        """Messages that no worker has yet."""
        with self.app.connection_for_write() as connection:
            return int(connection.channel().client.llen("celery"))

    def ended(self, kind: str) -> set[str]:
        return {line["job"] for line in self.history.lines("end") if line["job"].startswith(kind)}

    def refused_claims(self) -> dict[str, str]:
        """What was done about each claim that got no answer, by its task.

        Of a play before, a completion may still be on its way as the store goes: it is no claim.
        """
        failed = self.history.lines("failed")
        return {line["job"]: line["answer"] for line in failed if line["call"] == "acquire"}

    def forget(self) -> None:
        """What was told until now."""
        self.history.path.unlink(missing_ok=True)
        self.gate.unlink(missing_ok=True)


def make_side(
    start: WorkerFactory,
    folder: Path,
    acks: str,
    broker: str,
    *,
    backend: str | None = None,
    store: str | None = None,
    **options: Any,
) -> Side:
    folder.mkdir(exist_ok=True)
    history, gate = History(folder / f"history-{acks}"), folder / f"gate-{acks}"
    env = {"TEST_ACKS": acks, outage_app.GATE: str(gate), **history.env}
    if store:
        env["TEST_STORE"] = store
    backend = backend or broker
    worker = start(APP, broker=broker, backend=backend, env=env, **options)
    app = outage_app.make_app(broker_url=broker, result_backend=backend, lock_store=store)
    return Side(acks, app, worker, history, gate)


def count_lost(sides: list[Side], sent: int, scenario: str, capsys: Any) -> dict[str, int]:
    """Wait until everything has run, or nothing more happens; say what never ran."""
    lost: dict[str, int] = {}

    def all_ended() -> bool:
        for side in sides:
            for kind in ("plain", "locked"):
                lost[f"{side.acks} {kind}"] = sent - len(side.ended(kind))
            if not side.worker.alive():
                side.worker.start(ready=False)
                side.died = True
        return not any(lost.values())

    with contextlib.suppress(WaitedTooLong):
        wait_for(all_ended, "all tasks", timeout=40)
    with capsys.disabled():
        print(f"\n  {scenario}: of {sent} tasks each lost", end=" ")
        print(", ".join(f"{kind}: {count}" for kind, count in lost.items()), end=" ")
        print(*(f"(the worker with acks {side.acks} died)" for side in sides if side.died))
    return lost


# -- the store alone is away --------------------------------------------------------------------


@dataclass
class Separate:
    """A store of its own behind a wire of its own, and a worker for each acks mode."""

    store: RedisServer
    wire: Proxy
    sides: list[Side]

    @contextlib.contextmanager
    def away(self, fault: str) -> Iterator[None]:
        begin, end = {
            "killed": (self.store.kill, self.store.start),
            "refusing": (self.wire.refuse, self.wire.forward),
            "frozen": (self.store.pause, self.store.resume),
            "swallowing": (self.wire.swallow, self._heal),
        }[fault]
        begin()
        try:
            yield
        finally:
            end()

    def _heal(self) -> None:
        self.wire.forward()
        self.wire.cut()


@pytest.fixture(scope="module")
def separate(
    redis_binary: str,
    module_redis: RedisServer,
    module_worker_factory: WorkerFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Separate]:
    folder = tmp_path_factory.mktemp("separate")
    store = RedisServer(redis_binary, folder / "store", appendonly=True)
    with store, Proxy(store.port) as wire:
        sides = [
            make_side(
                module_worker_factory,
                folder,
                acks,
                module_redis.url_for(db),
                store=store.url_for(port=wire.port),
                ready=False,
            )
            for db, acks in enumerate(ACKS)
        ]
        for side in sides:
            side.worker.wait_ready()
        yield Separate(store, wire, sides)
        for side in sides:
            side.app.close()


@pytest.fixture(autouse=True)
def new_history(request: pytest.FixtureRequest) -> None:
    if "separate" in request.fixturenames:
        for side in request.getfixturevalue("separate").sides:
            side.forget()


@pytest.mark.parametrize("fault", ["killed", "refusing", "frozen", "swallowing"])
def test_nothing_is_lost_while_the_store_is_away(
    separate: Separate, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for side in separate.sides:
        side.send_both(EACH)
        side.history.wait("end")

    with separate.away(fault):
        for side in separate.sides:
            side.history.wait("failed", "outage.locked", count=3)
            wait_for(lambda side=side: len(side.ended("plain")) == EACH, "the plain ones")

    lost = count_lost(separate.sides, EACH, f"store {fault}", capsys)
    assert set(lost.values()) == {0}
    for side in separate.sides:
        assert not side.history.overlaps()
        assert {line["answer"] for line in side.history.lines("failed")} <= {"requeue", "retry"}


def test_what_a_lock_says_is_done_when_the_store_is_away(separate: Separate) -> None:
    for side in separate.sides:
        with separate.away("refusing"):
            ran, fails, later = side.send("runs"), side.send("fails"), side.send("locked", 1, 1)

            assert "unlocked: task outage.runs runs without its lock 'runs'" in ran.get(timeout=15)
            assert "is not available" in ran.get(timeout=15)
            with pytest.raises(StoreUnavailable) as raised:
                fails.get(timeout=15)
            assert raised.value.url == f"redis://127.0.0.1:{separate.wire.port}/0"
            wait_for(lambda side=side: "outage.locked" in side.refused_claims(), "the third one")

        assert later.get(timeout=15) == "ran"
        assert side.send("runs").get(timeout=15).startswith("token ")
        assert side.refused_claims() == {
            "outage.runs": "run",
            "outage.fails": "fail",
            "outage.locked": "requeue",
        }


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_a_store_that_dies_under_a_body_leaves_its_success_and_no_key(
    separate: Separate, fault: str
) -> None:
    for side in separate.sides:
        with keys_at(separate.store.url) as keys:
            result = side.send("gated", side.acks)
            side.history.wait("start", side.acks)
            assert keys.holder(f"gated:{side.acks}")

        with separate.away(fault):
            side.gate.touch()
            assert result.get(timeout=15) == "ran"
            assert result.state == "SUCCESS"
            # not by the log: it has one such line a minute
            wait_for(
                lambda side=side: [
                    line
                    for line in side.history.lines("failed", "outage.gated")
                    if line["call"] == "release"
                ],
                "the release that failed",
            )

        with keys_at(separate.store.url) as keys:  # its ttl is two minutes
            wait_for(lambda: keys.holder(f"gated:{side.acks}") is None, "the key", timeout=10)  # noqa: B023


def test_a_worker_starts_while_the_store_is_down(
    redis_factory: RedisFactory,
    module_redis: RedisServer,
    worker_factory: WorkerFactory,
    tmp_path: Path,
) -> None:
    store = redis_factory()
    store.kill()
    side = make_side(
        worker_factory, tmp_path, "early", module_redis.url_for(5), store=store.url, concurrency=1
    )
    side.send("locked", 1, 1)
    side.history.wait("failed", "outage.locked")

    store.start()

    side.history.wait("end", "locked 1")
    warned = [line for line in side.worker.logs().splitlines() if "starts all the same" in line]
    assert len(warned) == 1
    assert f"the lock store {store.url} is not available: " in warned[0]
    assert "WARNING" in warned[0]


# -- store and broker are one server ------------------------------------------------------------


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_nothing_more_is_lost_with_a_lock_when_store_and_broker_are_away(
    fault: str,
    redis_factory: RedisFactory,
    worker_factory: WorkerFactory,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server = redis_factory(appendonly=True)
    # Redis forgets a message that it hands out at the moment of its death (kombu uses BRPOP), with
    # a lock or without. So all have been handed out before, and none is sent again for its key.
    sides = [
        make_side(
            worker_factory,
            tmp_path,
            acks,
            server.url_for(db),
            ready=False,
            args=["--prefetch-multiplier=0"],
        )
        for db, acks in enumerate(ACKS)
    ]
    for side in sides:
        side.worker.wait_ready()
    for side in sides:
        side.send_both(EACH, share=1)
    for side in sides:
        # not before kombu has noted them all: what it took off the queue a moment ago is nowhere
        wait_for(
            lambda side=side: side.worker.logs().count("] received") >= 2 * EACH, "their delivery"
        )
        side.history.wait("end")

    if fault == "killed":
        server.kill()
        for side in sides:
            side.worker.wait_for_log("[Cc]onnection to broker lost|Connection refused")
        server.start()
    else:
        server.pause()
        time.sleep(2)  # long enough for whoever talks to the store to give up
        server.resume()

    lost = count_lost(sides, EACH, f"store and broker {fault}", capsys)
    early, _ = sides
    assert lost["late locked"] == lost["late plain"] == 0
    # a worker that dies loses what it had acknowledged: what its two processes were at
    assert lost["early locked"] <= (lost["early plain"] + 2 if early.died else 0)


# -- who only sends ------------------------------------------------------------------------------

PUBLISHER = """
import sys
{before}
from celery import Celery
from celery_lock import Lock, LockedTask

app = Celery("publisher", broker="memory://", set_as_current=False)
app.conf.lock_store = {store!r}

@app.task(base=LockedTask, lock=Lock("order:{{order_id}}"), name="ship")
def ship(order_id):
    pass

results = [ship.delay(7), ship.apply_async((8,), countdown=1), ship.s(9).apply_async()]
with app.connection_for_write() as connection:
    print(connection.default_channel.queue_declare("celery", passive=True).message_count)
"""


def publish(store: str, before: str = "") -> None:
    """Send three tasks from a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PUBLISHER.format(store=store, before=before)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.stdout, done.stderr) == ("3\n", "")


def test_a_publisher_never_talks_to_the_store() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        publish(f"redis://127.0.0.1:{listener.getsockname()[1]}/0")

        listener.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has knocked
            listener.accept()


@pytest.mark.parametrize("store", ["redis://127.0.0.1:1/0", "redis://no-such-host.invalid/0"])
def test_a_publisher_needs_no_store(store: str) -> None:
    publish(store)


def test_a_publisher_needs_no_driver() -> None:
    publish("redis://127.0.0.1/0", before='sys.modules["redis"] = None')


# -- the only copy of a message -----------------------------------------------------------------


@pytest.fixture
def kept(
    redis_factory: RedisFactory,
    module_redis: RedisServer,
    worker_factory: WorkerFactory,
    tmp_path: Path,
) -> Callable[[Pool], tuple[RedisServer, Side, Any]]:
    """A message that was acknowledged, and can neither claim its key nor be sent again."""

    def start(pool: Pool) -> tuple[RedisServer, Side, Any]:
        server = redis_factory(appendonly=True)
        backend = module_redis.url_for(6)
        side = make_side(
            worker_factory, tmp_path, "early", server.url, backend=backend, pool=pool, concurrency=1
        )
        result = side.send("between", pool)
        side.history.wait("key", pool)
        server.kill()
        side.gate.touch()
        side.history.wait("failed", "outage.between", count=2)  # it has tried to send it, too
        assert result.state in ("PENDING", "STARTED")
        return server, side, result

    return start


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_message_that_is_kept_in_its_process_fails_visibly_when_the_worker_stops(
    kept: Callable[[Pool], tuple[RedisServer, Side, Any]], pool: Pool
) -> None:
    server, side, result = kept(pool)

    side.worker.process.signal(15)

    with pytest.raises(LockError, match="and now the worker stops; the task has not run"):
        result.get(timeout=30)
    assert result.state == "FAILURE"
    server.start()
    side.worker.process.wait(20)


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_message_that_is_kept_in_its_process_runs_when_the_servers_are_back(
    kept: Callable[[Pool], tuple[RedisServer, Side, Any]], pool: Pool
) -> None:
    server, _, result = kept(pool)

    server.start()

    assert result.get(timeout=30) == "ran"
