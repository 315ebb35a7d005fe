"""Publishers of every kind take leases: scripts, threads, greenlets, coroutines, children."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery, chord

from celery_lock import Scope, is_skipped
from celery_lock.message import HEADER
from celery_lock.model import Holder
from celery_lock.stores.redis import RedisStore
from tests.integration.apps import publishing_app
from tests.integration.keys import Keys, keys_at
from tests.services import RedisServer, VirtualHost, sending, wait_for
from tests.services.fixtures import WorkerFactory
from tests.services.ports import free_port

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).parent / "programs" / "publishers.py"


def run(how: str, *urls: str, said: str = "") -> dict[str, list[str]]:
    """Run the program; return the ids that it was given, by the key's number.

    `said`: what it complains of; nothing else.
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(PROGRAM), how, *urls],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert said in done.stderr, done.stderr
    assert bool(done.stderr) == bool(said), done.stderr
    given = defaultdict(list)
    for line in done.stdout.splitlines():
        n, task_id = line.split()
        given[n].append(task_id)
    return given


def sent(url: str) -> dict[str, dict[str, object]]:
    """Return the headers of ours of all messages that lie in the queue, by their ids."""
    app = Celery("reader", broker=url, set_as_current=False)
    found = {}
    with app.connection_for_read() as connection:
        queue = connection.SimpleQueue("celery")
        with suppress(queue.Empty):
            while True:
                headers = queue.get_nowait().headers
                found[headers["id"]] = headers[HEADER]
    return found


@pytest.mark.parametrize("how", ["script", "coroutines", "forks", "greenlets"])
def test_whoever_publishes_leaves_the_lease_to_the_message(how: str, redis_url: str) -> None:
    if how == "greenlets":
        pytest.importorskip("gevent")

    given = run(how, redis_url)

    messages, store = sent(redis_url), RedisStore(redis_url)
    assert given
    for n, (task_id,) in given.items():
        held = store.peek(f"report:{n}")
        assert held is not None, n
        assert held.holder == str(Holder.for_retry(task_id, 0))
        assert messages[task_id]["had"] is True
    assert len(messages) == len(given)


def test_of_many_threads_one_has_the_lease(redis_url: str) -> None:
    given = run("threads", redis_url)

    messages, store = sent(redis_url), RedisStore(redis_url)
    for n, ids in given.items():
        held = store.peek(f"report:{n}")
        assert held is not None
        first = Holder.parse(held.holder).task_id
        assert messages[first]["had"] is True
        # while the first one was being sent, its lease was no reason to drop another
        others = [task_id for task_id in set(ids) - {first} if task_id in messages]
        assert not any("had" in messages[task_id] for task_id in others)
        assert set(ids) == {first, *others}


def test_a_store_that_is_away_keeps_no_publisher_from_leaving(redis_url: str) -> None:
    began = time.monotonic()

    away = f"redis://127.0.0.1:{free_port()}/0"
    run("script", redis_url, away, said="it is sent without its lease, and its worker asks")

    assert time.monotonic() - began < 10
    (header,) = sent(redis_url).values()
    assert "had" not in header


# -- with a worker ---------------------------------------------------------------------------

APP = "tests.integration.apps.publishing_app"


@dataclass
class Setup:
    """A broker, a store, a worker, and an app that publishes."""

    app: Celery
    keys: Keys

    def task(self, scope: Scope) -> Any:
        return self.app.tasks[f"publishing.{scope.value}"]

    def is_free(self, scope: Scope, n: str) -> None:
        name = scope.name_of(f"{scope.value}:{n}")
        wait_for(lambda: self.keys.holder(name) is None, f"a free {name}")


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def setup(
    request: pytest.FixtureRequest, module_redis: RedisServer, module_worker_factory: WorkerFactory
) -> Iterator[Setup]:
    store, broker = module_redis.url, module_redis.url_for(1)
    if request.param == "rabbitmq":
        vhost: VirtualHost = request.getfixturevalue("module_vhost")
        broker = vhost.url
    conf = {"broker_url": broker, "result_backend": store, "lock_store": store}
    module_worker_factory(
        APP, broker=broker, backend=store, concurrency=2, env={publishing_app.STORE: store}
    )
    with sending(publishing_app.make_app(**conf)) as app, keys_at(store) as keys:
        yield Setup(app, keys)


PUBLISHERS = [each for each in Scope if each.is_publishers]


def test_a_duplicate_has_the_result_of_the_task_that_runs(setup: Setup) -> None:
    """Also in the pause before its retry."""
    task, n = setup.task(Scope.UNTIL_FINISHED), uuid4().hex
    first = task.delay(n, 0.3, retries=1)
    again = []
    while not first.ready():
        again.append(task.delay(n, retries=1))
        time.sleep(0.1)

    assert len(again) > 3
    assert first.get(timeout=10) == [n, first.id]
    # the last one may have been published as the key was free again
    assert all(each.get(timeout=10) == [n, first.id] for each in again[:-1])
    setup.is_free(Scope.UNTIL_FINISHED, n)


def test_one_waits_while_another_one_runs(setup: Setup) -> None:
    task, n = setup.task(Scope.UNTIL_STARTED), uuid4().hex
    first = task.delay(n, 0.5)
    setup.is_free(Scope.UNTIL_STARTED, n)

    second, third = task.delay(n, 0.5), task.delay(n, 0.5)

    assert second.id != first.id
    assert [each.get(timeout=10)[1] for each in (first, second)] == [first.id, second.id]
    assert third.get(timeout=10)[1] in (second.id, third.id)
    setup.is_free(Scope.UNTIL_STARTED, n)


@pytest.mark.parametrize("scope", PUBLISHERS)
def test_a_duplicate_in_a_canvas_hangs_nothing(setup: Setup, scope: Scope) -> None:
    task, n = setup.task(scope), uuid4().hex
    listed = setup.app.tasks["publishing.listed"]
    members = [task.s(n, 0.2), task.s(n, 0.2), task.s(uuid4().hex)]

    results = chord(members)(listed.s()).get(timeout=15)
    chained = (task.s(n) | listed.s()).delay().get(timeout=15)

    assert len(results) == 3
    assert sum(map(is_skipped, results)) <= 1
    assert chained is not None
    setup.is_free(scope, n)
