"""What a worker says as it starts with something wrong: what it is, what is known, what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.services import RedisServer, Worker
from tests.services.fixtures import RedisFactory, WorkerFactory

APP = "tests.integration.apps.start_app"
ONE_LINE = r"^\[.*: WARNING/MainProcess\] .*"
STARTS = r"; the worker starts all the same, and its locked tasks follow on_store_error until"

Start = Callable[..., Worker]


@pytest.fixture
def start(worker_factory: WorkerFactory, redis_url: str) -> Start:
    """Start a worker with these settings."""

    def with_settings(
        *,
        ready: bool = True,
        pool: Any = "solo",
        without: str = "",
        broker: str = redis_url,
        backend: str = redis_url,
        args: Any = (),
        **settings: Any,
    ) -> Worker:
        env = {name: settings.pop(name) for name in [*settings] if name.isupper()}
        env |= {"TEST_SETTINGS": json.dumps(settings), "TEST_WITHOUT": without}
        return worker_factory(
            APP, ready=ready, broker=broker, backend=backend, pool=pool, env=env, args=args
        )

    return with_settings


def refused(worker: Worker) -> str:
    """Wait for the end of a worker that cannot start; return what it said."""
    assert worker.process.wait(30) != 0
    return worker.logs()


@pytest.fixture
def guarded(redis_factory: RedisFactory) -> RedisServer:
    """A server that lets everybody do something, and nobody all."""
    return redis_factory(
        password="pass@word",
        users={
            "reader": "on >secret ~* &* +@all -@scripting",
            "quiet": "on >secret ~* &* +@all -info -config",
        },
    )


# -- the server refuses: a warning, since it may be mended while the worker runs -------------------


def test_a_wrong_password_is_named_without_it(start: Start, guarded: RedisServer) -> None:
    worker = start(lock_store=guarded.url_for(password="guess/ed"))

    (line,) = re.findall(ONE_LINE + STARTS, worker.logs(), re.MULTILINE)
    assert "password" in line
    assert f"redis://127.0.0.1:{guarded.port}/0" in line
    assert "guess" not in worker.logs()


def test_a_user_who_may_not_run_scripts_is_told_which_permission_is_missing(
    start: Start, guarded: RedisServer
) -> None:
    worker = start(lock_store=guarded.url_for(user="reader", password="secret"))

    (line,) = re.findall(ONE_LINE + STARTS, worker.logs(), re.MULTILINE)
    assert "reader" in line
    assert re.search("eval", line, re.IGNORECASE)


def test_a_user_who_may_not_ask_for_info_is_welcome(start: Start, guarded: RedisServer) -> None:
    worker = start(lock_store=guarded.url_for(user="quiet", password="secret"))

    assert "lock store" not in worker.logs()


def test_a_server_that_may_forget_keys_is_warned_of(
    start: Start, redis_factory: RedisFactory
) -> None:
    server = redis_factory(args=["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"])

    worker = start(lock_store=server.url)

    (line,) = re.findall(ONE_LINE + "may evict a lock.*", worker.logs(), re.MULTILINE)
    assert "maxmemory-policy allkeys-lru" in line
    assert "Set maxmemory-policy to noeviction" in line


# -- a wrong setting: the worker does not start ----------------------------------------------------


def test_a_url_that_no_store_knows_lists_those_that_are_known(start: Start) -> None:
    said = refused(start(ready=False, lock_store="reddis://:secret@localhost:6379/0"))

    assert "no store knows 'reddis://' (did you mean 'redis'?): known are memory, redis" in said
    assert "secret" not in said


def test_a_broker_of_several_servers_asks_for_a_store(start: Start, redis_url: str) -> None:
    broker = f"{redis_url};redis://:secret@127.0.0.1:1/0"

    said = refused(start(ready=False, broker=broker))

    assert "the broker URL lists several servers" in said
    assert "set lock_store to the URL of a single Redis" in said
    assert "Traceback" not in said


def test_a_worker_without_a_store_says_in_one_line_what_to_set(start: Start) -> None:
    worker = start(ready=False, broker="amqp://127.0.0.1:1//", backend="rpc://")

    said = refused(worker)

    (line,) = re.findall(r"^\[.*: CRITICAL/MainProcess\] (.*)$", said, re.MULTILINE)
    assert "neither the broker (amqp://127.0.0.1:1//) nor the result backend (rpc://)" in line
    assert "set lock_store" in line
    assert "'memory://'" in line
    assert "Traceback" not in said


def test_a_missing_driver_is_named_with_the_command_that_installs_it(start: Start) -> None:
    said = refused(
        start(
            ready=False,
            broker="memory://",
            without="redis",
            lock_store="redis://127.0.0.1:1/0",
            result_backend="cache+memory://",
        )
    )

    assert "needs the package redis, which is not installed" in said
    assert 'pip install "celery-lock[redis]"' in said


def test_eventlet_is_refused(start: Start) -> None:
    # the pool's real module needs the package eventlet, which hardly any machine has
    pool = "tests.integration.apps.start_eventlet:TaskPool"
    said = refused(start(ready=False, pool="custom", CELERY_CUSTOM_WORKER_POOL=pool))

    assert "celery_lock does not support the eventlet pool" in said
    assert "use prefork, threads, gevent or solo" in said


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        (
            "lock_tll",
            5,
            "there is no setting lock_tll (did you mean 'lock_ttl'?); there are lock_st",
        ),
        ("lock_ttl", 0, "lock_ttl"),
        ("lock_on_store_error", "ignore", "write 'requeue', 'run' or 'fail'"),
    ],
)
def test_a_wrong_setting_stops_the_worker(
    start: Start, setting: str, value: object, said: str
) -> None:
    logged = refused(start(ready=False, **{setting: value}))

    assert said in logged
    assert "Traceback" not in logged


def test_an_unknown_setting_is_warned_of_once(start: Start) -> None:
    worker = start(lock_colour="red")

    found = re.findall("celery_lock has no setting lock_colour; it has lock_store,", worker.logs())
    assert len(found) == 1


def test_a_wait_in_the_solo_pool_is_warned_of(start: Start) -> None:
    worker = start()

    (line,) = re.findall(ONE_LINE + "in the solo pool.*", worker.logs(), re.MULTILINE)
    assert "waits for its lock for up to 3 s" in line
    assert "requeue() leaves it free" in line


def test_a_skip_in_the_solo_pool_is_warned_of_whatever_its_concurrency(start: Start) -> None:
    worker = start(pool="solo")  # its command line says two, which this pool does not read

    (line,) = re.findall(ONE_LINE + "skip.. skips neither.*", worker.logs(), re.MULTILINE)
    assert "this worker runs 1 task at a time" in line
    assert f"These skip: {APP}.once." in line


def test_a_ttl_that_would_outlive_a_killed_worker_by_hours_is_warned_of(start: Start) -> None:
    worker = start(lock_ttl=30_000)

    (line,) = re.findall(ONE_LINE + "stays taken for the whole ttl.*", worker.logs(), re.MULTILINE)
    assert f"{APP}.work (8 h 20 min)" in line
    assert "write ttl=60, or leave it out" in line


def test_a_scheduled_job_whose_runs_would_pile_up_is_warned_of_once(start: Start) -> None:
    entries = {
        name: {"task": f"{APP}.{task}", "schedule": 60.0}
        for name, task in (("nightly", "later"), ("hourly", "work"), ("other", "elsewhere"))
    }

    worker = start(beat_schedule=entries)

    (line,) = re.findall(ONE_LINE + "pile up.*", worker.logs(), re.MULTILINE)
    assert f"no bound: {APP}.later (entry 'nightly'); behind" in line
    assert "Write on_conflict=skip()" in line
