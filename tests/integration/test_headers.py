"""Our header among those of tools, and one message that an exchange puts into several queues."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import celery
import pytest
from redis import Redis

from celery_lock.errors import LockError, LockWaitTimeout
from tests.integration.apps import headers_app
from tests.integration.keys import Keys, keys_at
from tests.services import RedisServer, VirtualHost, Worker, sending, wait_for
from tests.services.fixtures import WorkerFactory

APP = "tests.integration.apps.headers_app"
BROKERS = ["redis", "rabbitmq"]


@dataclass
class Setup:
    """A broker, a store, and two workers of one app."""

    app: celery.Celery
    workers: list[Worker]
    redis: Redis
    keys: Keys

    def send(self, task: str, *args: Any, **options: Any) -> Any:
        return self.app.tasks[f"headers.{task}"].apply_async(args, **options)

    def notes(self, key: str) -> list[str]:
        return [note.decode() for note in self.redis.lrange(f"notes:{key}", 0, -1)]


@pytest.fixture(scope="module", params=BROKERS)
def setup(
    request: pytest.FixtureRequest,
    module_redis: RedisServer,
    module_worker_factory: WorkerFactory,
) -> Iterator[Setup]:
    store = module_redis.url
    broker = module_redis.url_for(1)
    if request.param == "rabbitmq":
        vhost: VirtualHost = request.getfixturevalue("module_vhost")
        broker = vhost.url
    env = {headers_app.STORE: store}
    options: dict[str, Any] = {"broker": broker, "backend": store, "concurrency": 3}
    workers = [
        module_worker_factory(APP, **options, env={**env, headers_app.CARRY: carry})
        for carry in ("setdefault", "update")
    ]
    conf = {"broker_url": broker, "result_backend": store, "lock_store": store}
    with (
        sending(headers_app.make_app(**conf)) as app,
        module_redis.client() as redis,
        keys_at(store) as keys,
    ):
        yield Setup(app, workers, redis, keys)


@pytest.fixture
def key() -> str:
    return uuid.uuid4().hex[:8]


# -- inner headers ---------------------------------------------------------------------------

INNER: dict[str, Any] = {"headers": {"trace": "t"}}
"""What Sentry and Datadog put into each message, and Celery shows alone."""


def test_attempts_are_counted_and_bounded_behind_inner_headers(setup: Setup, key: str) -> None:
    with setup.keys.held(key):
        sent = setup.send("bounded", key, headers=INNER)

        with pytest.raises(LockWaitTimeout):
            sent.get(timeout=10)

    assert setup.notes(key) == ["attempt 1", "attempt 2", "attempt 3"]


def test_a_wait_is_bounded_behind_inner_headers(setup: Setup, key: str) -> None:
    with setup.keys.held(key):
        sent = setup.send("patient", key, headers=INNER)

        with pytest.raises(LockWaitTimeout):
            sent.get(timeout=10)


def test_a_key_shows_the_time_of_publication_behind_inner_headers(setup: Setup, key: str) -> None:
    sent = setup.send("bucket", key, headers=INNER)

    assert sent.get(timeout=10).startswith(f"{key}:")


@pytest.mark.parametrize("where", ["outer", "inner"])
def test_a_key_that_the_sender_named_is_the_key_of_its_retry_too(
    setup: Setup, key: str, where: str
) -> None:
    ours = {"celery_lock": {"v": 1, "key": f"order:{key}"}}
    outer = {**INNER, **ours}
    headers = outer if where == "outer" else {"headers": {"trace": "t", **ours}}

    sent = setup.send("given", key, headers=headers)

    assert sent.get(timeout=10) == [f"order:{key}", 1]
    assert setup.notes(key) == [f"order:{key}"] * 2


def test_a_retry_with_headers_of_its_own_keeps_the_key_that_was_named(
    setup: Setup, key: str
) -> None:
    ours = {"celery_lock": {"v": 1, "key": f"order:{key}"}}

    assert setup.send("own_headers", key, headers=ours).get(timeout=10) == [f"order:{key}", 1]


# -- keys that show headers ------------------------------------------------------------------

OF_ANY_TYPE = [
    *("red", "a:b%c", "Straße", b"red", 7, 2**53, True, 0, 1.5, " "),
    *(["a", 1], ("a", None), {"b": 1, "a": {"x": None}}, {"1": [True]}),
]


def test_publisher_and_worker_make_one_key_of_a_header_of_any_type(setup: Setup, key: str) -> None:
    task = setup.app.tasks["headers.tenant"]
    calls = [((f"{key}{n}",), {"tenant": value}) for n, value in enumerate(OF_ANY_TYPE)]

    sent = [task.apply_async(args, headers=headers) for args, headers in calls]

    made = [each.get(timeout=10) for each in sent]
    assert made == [task.keys_of(args, headers=headers)[0] for args, headers in calls]
    assert len(set(made)) == len(calls)


@pytest.mark.parametrize("protocol", [1, 2])
@pytest.mark.parametrize("place", ["outer", "inner", "beside inner ones"])
def test_a_tenant_is_found_and_kept_by_a_retry(
    setup: Setup, key: str, protocol: int, place: str
) -> None:
    headers = {
        "outer": {"tenant": "red"},
        "inner": {"headers": {"trace": "t", "tenant": "red"}},
        "beside inner ones": {"tenant": "red", **INNER},
    }[place]
    with celery.Celery("another", set_as_current=False) as app:
        app.conf.update(
            task_protocol=protocol,
            broker_url=setup.app.conf.broker_url,
            result_backend=setup.app.conf.result_backend,
        )

        sent = app.send_task("headers.tenant", [key, True], headers=headers)

        assert sent.get(timeout=10) == f"red:celery:{key}"


def test_ten_tenants_publish_in_ten_threads_and_none_has_the_key_of_another(
    setup: Setup, key: str
) -> None:
    tenants = [f"tenant-{number}" for number in range(10)]

    def publish(tenant: str) -> set[str]:
        sent = [setup.send("bill", key, headers={"tenant": tenant}) for _ in range(8)]
        return {each.get(timeout=20) for each in sent}

    with ThreadPoolExecutor(10) as threads:
        keys = list(threads.map(publish, tenants))

    assert keys == [{f"{tenant}:bill:{key}"} for tenant in tenants]
    notes = [note.split() for note in setup.notes(key)]
    for tenant in tenants:
        said = [what for who, what in notes if who == tenant]
        assert said == ["began", "ended"] * (len(said) // 2)
        assert 2 <= len(said) <= 16


def test_a_message_without_the_tenant_fails_and_its_error_names_it(setup: Setup, key: str) -> None:
    for headers in ({}, {"tenant": None}, {"tenant": ""}, INNER, {"Tenant": "red"}):
        sent = setup.send("tenant", key, headers=headers)

        with pytest.raises(LockError, match="'tenant'"):
            sent.get(timeout=10)


def test_a_tenant_may_be_a_stamp(setup: Setup, key: str) -> None:
    signature = setup.app.tasks["headers.stamp"].s(key)
    signature.stamp(tenant="red")
    step = setup.app.tasks["headers.tenant"].s(key).set(headers={"tenant": "blue"})

    assert signature.apply_async().get(timeout=10) == f"red:{key}"
    assert celery.chain(signature, step).apply_async().get(timeout=10).startswith("blue:celery:")


# -- headers that were carried over -------------------------------------------------------------


def test_a_task_that_is_sent_with_its_parents_headers_runs(setup: Setup, key: str) -> None:
    """One worker carries them by `update`, the other by `setdefault`."""
    with setup.keys.held(key):
        for number in range(4):
            setup.send("order", key, number)
        wait_for(lambda: _said(setup, f"lock '{key}' is held") >= 4, "each sent again")

    wait_for(lambda: len(setup.notes(key)) >= 4, "four labels")
    assert sorted(setup.notes(key)) == [f"label {number} label:{number}" for number in range(4)]


def test_the_key_that_another_language_named_is_not_that_of_what_the_task_sends(
    setup: Setup, key: str
) -> None:
    header = {"celery_lock": {"v": 1, "key": f"named:{key}"}}
    broker = setup.app.conf.broker_url

    with celery.Celery("another", broker=broker, set_as_current=False) as app:
        for number in range(4):
            app.send_task("headers.order", [key, number], headers=header)

    wait_for(lambda: len(setup.notes(key)) >= 4, "four labels")
    assert sorted(setup.notes(key)) == [f"label {number} label:{number}" for number in range(4)]


def _said(setup: Setup, words: str) -> int:
    return sum(worker.logs().count(words) for worker in setup.workers)


# -- one message in several queues ------------------------------------------------------------

TO_TWO: dict[str, dict[str, Any]] = {
    "topic": {"exchange": "news", "routing_key": "news.rain", "declare": [headers_app.NEWS]},
    "broadcast": {"queue": "all", "declare": [headers_app.ALL]},
}


@pytest.mark.parametrize("policy", ["skip", "fail", "wait", "function"])
@pytest.mark.parametrize("way", TO_TWO)
def test_the_second_of_two_messages_gets_its_policy(
    setup: Setup, key: str, way: str, policy: str
) -> None:
    sent = setup.send(f"copied.{policy}", key, **TO_TWO[way], ignore_result=True)
    wait_for(lambda: "began" in setup.notes(key), "the first body")
    if policy == "wait":
        wait_for(lambda: _said(setup, f"[{sent.id}]: waits") == 1, "the second waits")
    elif policy == "fail":
        wait_for(lambda: _said(setup, f"[{sent.id}] raised") == 1, "the failure of the second")
    else:
        wait_for(lambda: _said(setup, f"[{sent.id}] succeeded") == 1, "the skip of the second")

    setup.redis.set(f"gate:{key}", "open")

    runs = ["began", "ended"] * (2 if policy == "wait" else 1)
    asked = ["asked 1"] * (policy == "function")
    wait_for(lambda: len(setup.notes(key)) >= len(runs + asked), "the end of all")
    assert [one for one in setup.notes(key) if one not in asked] == runs
    assert [one for one in setup.notes(key) if one in asked] == asked
