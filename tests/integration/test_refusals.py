"""What RabbitMQ does not take is not lost: a queue that is gone, full, or closed to us."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import celery
import kombu
import pytest

from tests.integration.apps import refusing_app
from tests.integration.keys import Keys, keys_at
from tests.services import RedisServer, VirtualHost, Worker, sending, wait_for
from tests.services.fixtures import WorkerFactory

APP = "tests.integration.apps.refusing_app"


@pytest.fixture(scope="module")
def app(module_redis: RedisServer, module_vhost: VirtualHost) -> Iterator[celery.Celery]:
    conf = {"broker_url": module_vhost.url, "result_backend": module_redis.url}
    with sending(refusing_app.make_app(**conf)) as made:
        yield made


@pytest.fixture(scope="module")
def keys(module_redis: RedisServer) -> Iterator[Keys]:
    with keys_at(module_redis.url) as found:
        yield found


@pytest.fixture(scope="module")
def worker(
    module_redis: RedisServer, module_vhost: VirtualHost, module_worker_factory: WorkerFactory
) -> Worker:
    """A worker that reads where the test sends, and writes elsewhere."""
    elsewhere = module_vhost.server.url_for(module_vhost.server.new_vhost())
    url = module_vhost.url
    env = {"CELERY_BROKER_READ_URL": url, "CELERY_BROKER_WRITE_URL": elsewhere}
    return module_worker_factory(
        APP, broker=url, backend=module_redis.url, queues=["gone", "full"], env=env
    )


def ready_in(app: celery.Celery, queue: str) -> int | None:
    """How many messages lie in a queue; `None`: it is gone."""
    with app.connection_for_read() as connection:
        try:
            return connection.default_channel.queue_declare(queue, passive=True).message_count
        except connection.channel_errors:
            return None


def readers_of(app: celery.Celery, queue: str) -> int:
    with app.connection_for_read() as connection:
        found = connection.default_channel.queue_declare(queue, passive=True)
        readers: int = found.consumer_count
        return readers


def test_a_queue_that_deleted_itself_has_its_messages_when_it_is_read_again(
    app: celery.Celery, keys: Keys, worker: Worker
) -> None:
    with keys.held("gone"):
        waiting = [app.tasks["refusing.patient"].apply_async(["gone"], queue="gone") for _ in "ab"]
        for one in waiting:  # what lies in the queue as it is deleted is dropped by RabbitMQ
            worker.wait_for_log(rf"(?s){one.id}\]: sent again.*{one.id}\] received")
        app.control.cancel_consumer("gone")
        wait_for(lambda: ready_in(app, "gone") == 2, "both messages in the queue, declared anew")

    app.control.add_consumer("gone")

    assert [one.get(timeout=20) for one in waiting] == ["gone"] * 2


def test_what_a_full_queue_refuses_runs_from_where_it_is(
    app: celery.Celery, keys: Keys, worker: Worker
) -> None:
    with keys.held("full"):
        sent = app.tasks["refusing.patient"].apply_async(["full"], queue="full")
        worker.wait_for_log(rf"{sent.id}\]: sent again")
        wait_for(lambda: ready_in(app, "full") == 0, "the message in its worker's hands")
        app.control.cancel_consumer("full")
        wait_for(lambda: readers_of(app, "full") == 0, "the worker reads the queue no more")
        with app.connection_for_write() as connection:
            kombu.Producer(connection).publish("in the way", routing_key="full")
        worker.wait_for_log(rf"{sent.id}\]: the broker did not take the message")

    assert sent.get(timeout=20) == "full"
    assert ready_in(app, "full") == 1


def test_a_user_who_may_not_send_spends_no_deliveries(
    app: celery.Celery,
    keys: Keys,
    module_redis: RedisServer,
    module_vhost: VirtualHost,
    worker_factory: WorkerFactory,
) -> None:
    url = module_vhost.server.add_user(
        module_vhost.name, "reader", write="^(?!amq.default|celery_delayed).*$"
    )
    reader = worker_factory(APP, broker=url, backend=module_redis.url, queues=["limited"])
    with keys.held("limited"):
        waiting = [
            app.tasks["refusing.body"].apply_async(["limited"], queue="limited") for _ in range(5)
        ]
        for _ in range(2):
            reader.wait_for_log(r"the broker did not take the message.*ACCESS_REFUSED")

    assert [one.get(timeout=20) for one in waiting] == ["limited"] * 5


def test_a_body_that_kills_its_worker_ends_in_the_dead_letter_queue(
    app: celery.Celery,
    module_redis: RedisServer,
    module_vhost: VirtualHost,
    worker_factory: WorkerFactory,
    tmp_path: Path,
) -> None:
    """Its key is still taken each time that it comes back, so it is sent again."""
    with app.connection_for_write() as connection:
        kombu.Queue("dead", kombu.Exchange(""), "dead")(connection.default_channel).declare()
    runs = tmp_path / "runs"
    app.tasks["refusing.kills"].apply_async(["poisoned", str(runs)], queue="poisoned")
    worker = worker_factory(
        APP, broker=module_vhost.url, backend=module_redis.url, pool="solo", queues=["poisoned"]
    )
    for _ in range(2):
        wait_for(lambda: not worker.alive(), "the death of the worker")
        worker.start()

    wait_for(lambda: ready_in(app, "dead") == 1, "the message in the dead-letter queue")
    assert runs.read_text() == "run\n" * 2


def test_a_message_that_goes_to_the_dead_letter_queue_at_its_limit_leaves_no_key(
    app: celery.Celery,
    keys: Keys,
    module_redis: RedisServer,
    module_vhost: VirtualHost,
    worker_factory: WorkerFactory,
) -> None:
    with app.connection_for_write() as connection:
        dead = kombu.Queue("dead", kombu.Exchange(""), "dead")(connection.default_channel)
        dead.declare()
        dead.purge()
    app.tasks["refusing.rejects"].apply_async(["rejected"], queue="poisoned")
    assert keys.holder("once:rejected")

    worker_factory(APP, broker=module_vhost.url, backend=module_redis.url, queues=["poisoned"])

    wait_for(lambda: ready_in(app, "dead") == 1, "the message in the dead-letter queue")
    wait_for(lambda: not keys.holder("once:rejected"), "the end of its lease")
    assert keys.holder("once:rejected%queued") is None
