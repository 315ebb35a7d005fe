"""What the tests stand on, and how to ask for it.

Servers (each test gets an empty one; loopback, ports from the kernel, dead with pytest):
    redis_url       URL of the session's Redis, emptied before the test. Do not kill that server.
    valkey_url      the same with Valkey out of its wheel (Python 3.10: Redis 6.2, see redis_62_url)
    redis_62_url    the same with the oldest Redis we promise to work with
    cluster_url     URL of the session's Redis Cluster of one node, emptied before the test
    redis_cluster   that cluster itself, which is reached with TLS (`url`) and without (`plain_url`)
    fresh_redis     a RedisServer of the test's own, to kill, pause, restart; also on a socket file
    redis_factory   `redis_factory(password=..., users=..., tls=..., appendonly=True, args=[...])`:
                    a started RedisServer with those options; all end with the test
    certificates    `Certificates` for `redis_factory(tls=certificates)`
    module_redis    a RedisServer that the tests of a module share, and nobody empties meanwhile
    watched         a Watched: the session's Redis behind one sentinel; `url`. Do not kill them.
    watched_factory `watched_factory(replicas=2, sentinels=3, server={}, sentinel={})`: a started
                    one of the test's own, with options for each server and each sentinel
    rabbit_url      URL of a virtual host of the test's own on the session's RabbitMQ
    rabbit_server   that RabbitMQ itself (5 s to start, once); `url_for`, `new_vhost`
    module_vhost    a VirtualHost of it that the tests of a module share
    fresh_rabbit    a RabbitServer that the test may kill, pause, restart; "/" is empty and its own
    postgres_server the session's PostgreSQL (2 s to start, once); who ends it starts it again
    etcd_server     the session's etcd, plain and with TLS: `url`, `tls_url()`. Do not kill it.
    etcd_factory    `etcd_factory(tls=certificates, args=[...])`: a started EtcdServer of the test's
                    own, to kill, pause, restart
    zookeeper_server
                    the session's ZooKeeper (2 s to start, once): `url_for("/path")`
    sqs_server      the session's Amazon SQS, played by moto (1 s to start, once): `url`,
                    `options()`, `create`, `call`, `refuse`, `requests`
    fresh_sqs       the same, with no queue and no refusal; it may be paused, killed, restarted
    proxy_factory   `proxy_factory(server.port)`: a Proxy, which delays, swallows, drops replies,
                    loses one reply, cuts, refuses; `server.url_for(port=proxy.port)` goes through

Workers:
    worker_factory  `worker_factory("tests.integration.apps.points", broker=url, backend=url,
                    pool="gevent", concurrency=10)`: a started, ready Worker; all end with the test,
                    and their logs are in the report of a test that fails
    module_worker_factory
                    the same for workers that live as long as the tests of a module

Without a server (tests/unit/conftest.py):
    engine          an `Engine`: a store that fails to order, a locker, and a clock that is moved
    app             a Celery app with this engine in it, which sends nothing

pytest-celery's fixtures (`celery_setup` and its family) are explained in integration/conftest.py.
A test carries the mark of its room: `pytest -m "not integration"` is quick.
When all is over nobody may be left: a process that outlives the tests fails the run.
A program that is missing skips the test at home and fails it where CI is set.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.apart import forget_messages, forget_shared_tasks
from tests.services.survivors import end_survivors, mark_this_run

pytest_plugins = ["tests.services.fixtures", "tests.progress"]

LEFT = pytest.StashKey[list[str]]()
"""What outlived the tests in the processes of pytest-xdist."""

ROOMS = ("unit", "contract", "property", "integration", "acceptance", "typing")


def pytest_configure(config: pytest.Config) -> None:
    mark_this_run()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        room = next((part for part in item.path.parts if part in ROOMS), None)
        if room:
            item.add_marker(room)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    forget_shared_tasks()
    forget_messages()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    left = [*end_survivors(), *session.config.stash.get(LEFT, [])]
    if left and hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left"] = left  # pytest-xdist looks at no other exit status
    elif left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print("\nprocesses outlived the tests and were killed:", *left, sep="\n", file=sys.stderr)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    left = getattr(node, "workeroutput", {}).get("left", [])
    node.config.stash.setdefault(LEFT, []).extend(left)
