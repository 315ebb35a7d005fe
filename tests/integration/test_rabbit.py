"""Quorum queues, delayed delivery and redelivery: what only RabbitMQ has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import celery
import pytest

from tests.integration.apps import quorum_app
from tests.integration.keys import Keys, keys_at
from tests.integration.taps import Tap, tap_rabbit
from tests.services import RedisServer, VirtualHost, Worker, sending, wait_for
from tests.services.fixtures import WorkerFactory


@dataclass
class QuorumSetup:
    """A virtual host, a worker on its quorum queue, and the store of its keys."""

    app: celery.Celery
    tap: Tap
    keys: Keys
    worker: Worker


@pytest.fixture(scope="module")
def setup(
    module_redis: RedisServer, module_vhost: VirtualHost, module_worker_factory: WorkerFactory
) -> Iterator[QuorumSetup]:
    url, store = module_vhost.url, module_redis.url
    worker = module_worker_factory(
        "tests.integration.apps.quorum_app", broker=url, backend=store, concurrency=1
    )
    with (
        sending(quorum_app.make_app(broker_url=url, result_backend=store)) as app,
        keys_at(store) as keys,
        tap_rabbit(module_vhost.server, module_vhost.name) as tap,
    ):
        yield QuorumSetup(app, tap, keys, worker)


def test_a_pause_of_a_quorum_queue_waits_in_the_broker_for_whole_seconds(
    setup: QuorumSetup,
) -> None:
    with setup.keys.held("whole"):
        sent = setup.app.tasks["quorum.body"].delay("whole")
        _, again = setup.tap.wait_for(sent.id, 2)[:2]

    assert sent.get(timeout=20) == [0, ["celery_lock"]]
    assert again.parts["exchange"] == "celery_delayed_27"
    assert again.parts["routing_key"] == ["0." * 27 + "1.celery_lock.quorum"]
    assert again.headers.get("eta") is None


def test_a_message_that_celery_delayed_comes_back_without_its_delay(setup: QuorumSetup) -> None:
    with setup.keys.held("delayed"):
        sent = setup.app.tasks["quorum.body"].apply_async(["delayed"], countdown=1)
        first, *later = setup.tap.wait_for(sent.id, 3)

    assert first.parts["routing_key"] == ["0." * 27 + "1.quorum"]
    assert {tuple(copy.parts["routing_key"]) for copy in later} == {
        ("0." * 27 + "1.celery_lock.quorum",)
    }
    assert sent.get(timeout=20) == [0, ["celery_lock"]]


def test_a_body_that_has_waited_in_the_broker_retries_into_its_own_queue(
    setup: QuorumSetup,
) -> None:
    with setup.keys.held("retried"):
        sent = setup.app.tasks["quorum.retried"].delay("retried")
        setup.tap.wait_for(sent.id, 2)

    assert sent.get(timeout=20) == ["quorum", "quorum", 1]
    retry = setup.tap.copies(sent.id)[-1]
    assert retry.parts["queues"] == ["quorum"]


def test_more_messages_wait_than_a_worker_may_prefetch(setup: QuorumSetup) -> None:
    task = setup.app.tasks["quorum.body"]

    with setup.keys.held("many"):
        waiting = [task.delay("many") for _ in range(6)]
        for one in waiting:
            setup.tap.wait_for(one.id, 2)

    assert [one.get(timeout=20)[0] for one in waiting] == [0] * 6


def test_who_waits_keeps_no_plain_task_from_an_idle_process(setup: QuorumSetup) -> None:
    with setup.keys.held("patient"):
        for _ in range(4):
            setup.tap.wait_for(setup.app.tasks["quorum.patient"].delay("patient").id, 2)

    assert setup.app.tasks["quorum.plain"].delay().get(timeout=5) == "at once"


def test_the_count_of_deliveries_is_no_header_of_a_message_sent_again(setup: QuorumSetup) -> None:
    sent = setup.app.tasks["quorum.late"].delay("killed", 60)
    setup.worker.wait_for_log(r"Task quorum\.late\[\S+\] received")
    wait_for(lambda: setup.keys.holder("killed"), "the body's start")

    setup.worker.kill()
    setup.worker.process.kill()  # its child too, which would go on for a while
    wait_for(lambda: not setup.keys.holder("killed"), "the end of the dead one's lease")
    with setup.keys.held("killed"):
        setup.worker.start()
        _, again = setup.tap.wait_for(sent.id, 2)[:2]

    assert "celery_lock" in again.headers
    assert "x-delivery-count" not in again.headers
    assert sent.get(timeout=20) == [False, ["celery_lock"]]
