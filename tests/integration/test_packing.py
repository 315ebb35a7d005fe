"""A message that was packed and unpacked is sent as the very same message as one that was not."""

from __future__ import annotations

from collections.abc import Iterator

import celery
import pytest

from celery_lock.message import Header, Parts, Sender, pack, unpack
from celery_lock.message.raw import RawMessage, raw_from
from tests.integration.apps import raw_app
from tests.integration.taps import Tap, differences, tap_rabbit, tap_redis
from tests.integration.test_requeue import CASES, OF_REDIS, TRANSPORT
from tests.services import RedisServer, VirtualHost, sending

HEADER = Header(key=raw_app.KEY, publication="p-1", attempt=1, first_conflict=5.0)


@pytest.fixture(scope="module")
def on_redis(module_redis: RedisServer) -> Iterator[tuple[celery.Celery, Tap]]:
    conf = {"broker_url": module_redis.url, "result_backend": module_redis.url_for(1)}
    made = raw_app.make_app(**conf, broker_transport_options=OF_REDIS)
    with sending(made) as app, tap_redis(module_redis) as tap:
        yield app, tap


@pytest.fixture(scope="module")
def on_rabbit(
    module_vhost: VirtualHost, module_redis: RedisServer
) -> Iterator[tuple[celery.Celery, Tap]]:
    made = raw_app.make_app(broker_url=module_vhost.url, result_backend=module_redis.url)
    with sending(made) as app, tap_rabbit(module_vhost.server, module_vhost.name) as tap:
        yield app, tap


def delivered(app: celery.Celery, queue: str) -> list[RawMessage]:
    """Take all that lies in a queue, as a worker's main process does."""
    with app.connection_for_read() as connection:
        bound = app.amqp.queues[queue](connection.default_channel)
        found = []
        while (message := bound.get()) is not None:
            parts = (message.body, message.content_type, message.content_encoding)
            found.append(raw_from(Parts(*parts, message.headers, queue), message.properties))
            message.ack()
        return found


def check(app: celery.Celery, tap: Tap, may_differ: set[str]) -> None:
    ids = {one: name for name, case in CASES.items() for one in case(app)}
    sender = Sender(app)

    messages = delivered(app, "raw")
    for raw in messages:
        sender.send(raw, HEADER, delay=0)
        sender.send(unpack(pack(raw)), HEADER, delay=0)

    assert len(messages) == len(ids)
    for task_id, name in ids.items():
        _, plain, packed = tap.wait_for(task_id, 3)
        assert not set(differences(plain, packed)) - may_differ, name


def test_a_packed_message_is_the_same_on_redis(on_redis: tuple[celery.Celery, Tap]) -> None:
    check(*on_redis, TRANSPORT["redis"])


def test_a_packed_message_is_the_same_on_rabbitmq(on_rabbit: tuple[celery.Celery, Tap]) -> None:
    check(*on_rabbit, TRANSPORT["rabbit"])
