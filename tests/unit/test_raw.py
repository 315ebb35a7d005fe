"""The raw message: what goes to the pool child, and the queue that a message came from."""

from __future__ import annotations

import copy
import pickle
from types import SimpleNamespace
from typing import Any

import pytest
from celery.app.task import Context
from kombu import Exchange, Queue, binding

from celery_lock import LockError
from celery_lock.message import RAW, raw_of
from celery_lock.message.raw import attach, queue_of


def a_message(**changes: Any) -> Any:
    values = {
        "body": b"[[7], {}, {}]",
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "headers": {"id": "id-1", "task": "charge", "x-tenant": "a"},
        "properties": {"correlation_id": "id-1", "priority": 3, "delivery_tag": "tag-1"},
        "delivery_info": {"exchange": "", "routing_key": "fast"},
    }
    return SimpleNamespace(**{**values, **changes})


# -- attaching and reading -------------------------------------------------------------------


def test_a_pool_child_finds_the_message_as_the_broker_delivered_it() -> None:
    message = a_message()
    request: dict[str, Any] = {"id": "id-1", "properties": message.properties}
    attach(message, request, "fast")

    raw = raw_of(Context(request))

    assert (raw.body, raw.content_type, raw.content_encoding, raw.queue) == (
        message.body,
        "application/json",
        "utf-8",
        "fast",
    )
    assert raw.headers == message.headers
    assert raw.properties == message.properties


def test_the_message_itself_is_not_changed() -> None:
    message = a_message()
    before = copy.deepcopy(vars(message))

    attach(message, {}, "fast")

    assert vars(message) == before


def test_it_costs_no_second_body_in_the_pipe() -> None:
    message = a_message(body=b"x" * 100_000)
    request: dict[str, Any] = {"id": "id-1"}
    attach(message, request, "fast")

    through_the_pipe = pickle.dumps((request, message.body, message.headers))

    assert len(through_the_pipe) < 101_000


@pytest.mark.parametrize("missing", [None, {}])
def test_a_message_may_have_no_headers_and_no_properties(missing: Any) -> None:
    message = a_message(headers=missing, properties=missing)
    request: dict[str, Any] = {}
    attach(message, request, None)

    raw = raw_of(Context(request))

    assert (dict(raw.headers), dict(raw.properties), raw.queue) == ({}, {}, None)


@pytest.mark.parametrize("properties", [None, {}, {"delivery_tag": "tag-1"}, {RAW: None}])
def test_a_request_that_is_not_ours_says_what_to_do(properties: Any) -> None:
    with pytest.raises(LockError, match=r"raw message of task id-1 is not known.*use skip\(\)"):
        raw_of(Context({"id": "id-1", "properties": properties}))


# -- the queue it came from ------------------------------------------------------------------


def queues(*each: Queue) -> dict[str, Queue]:
    return {queue.name: queue for queue in each}


def came(exchange: str, routing_key: str, **info: Any) -> Any:
    return a_message(delivery_info={"exchange": exchange, "routing_key": routing_key, **info})


def taken_from(message: Any, consumer: Any, queues: dict[str, Queue]) -> str | None:
    return queue_of(message, lambda: consumer, lambda: queues)


CELERY = Queue("celery", Exchange("celery", "direct"), routing_key="celery")
FAST = Queue("fast", Exchange("work", "direct"), routing_key="quick")
ALSO_FAST = Queue("also", Exchange("work", "direct"), routing_key="quick")
EU = Queue("eu", Exchange("places", "topic"), routing_key="eu.#")
US = Queue("us", Exchange("places", "topic"), routing_key="us.#")
NEWS = Queue("news", Exchange("news", "fanout"), routing_key="")
BARE = Queue("bare", exchange=None)
BARE.exchange = None


def test_amqp_says_which_consumer_got_it() -> None:
    consumer = SimpleNamespace(_active_tags={"eu": "None7", "us": "None8"})
    message = came("places", "us.east", consumer_tag="None8")

    assert taken_from(message, consumer, queues(EU, US)) == "us"


def test_a_consumer_that_has_gone_leaves_the_way_it_was_published() -> None:
    consumer = SimpleNamespace(_active_tags={})
    message = came("", "celery", consumer_tag="None8")

    assert taken_from(message, consumer, queues(CELERY)) == "celery"


@pytest.mark.parametrize("consumer_tag", [None, "None8"])
def test_without_a_consumer_it_goes_by_how_it_was_published(consumer_tag: Any) -> None:
    message = came("", "celery", consumer_tag=consumer_tag)

    assert taken_from(message, None, queues(CELERY)) == "celery"


def test_the_default_exchange_leads_to_the_queue_of_that_name() -> None:
    assert taken_from(came("", "anything"), None, {}) == "anything"


def test_who_says_the_queue_has_the_worker_asked_for_nothing() -> None:
    def never() -> Any:
        raise AssertionError("asked for")

    assert queue_of(came("", "anything"), never, never) == "anything"


def test_a_direct_exchange_is_followed_by_its_routing_key() -> None:
    assert taken_from(came("work", "quick"), None, queues(CELERY, FAST, BARE)) == "fast"


def test_two_queues_that_both_got_it_are_none_to_go_back_to() -> None:
    assert taken_from(came("work", "quick"), None, queues(FAST, ALSO_FAST)) is None


@pytest.mark.parametrize(
    ("routing_key", "queue"),
    [("eu.fr.paris", "eu"), ("us.east", "us"), ("asia.jp", None), ("europe.fr", None)],
)
def test_a_topic_is_followed_by_its_pattern(routing_key: str, queue: str | None) -> None:
    assert taken_from(came("places", routing_key), None, queues(CELERY, EU, US)) == queue


def test_two_patterns_that_both_take_it_lead_nowhere() -> None:
    everything = Queue("all", Exchange("places", "topic"), routing_key="#")

    assert taken_from(came("places", "eu.fr"), None, queues(EU, everything)) is None


def test_a_queue_may_be_bound_in_several_ways() -> None:
    exchange = Exchange("work", "direct")
    queue = Queue("many", bindings=[binding(exchange, "slow"), binding(exchange, "quick")])

    assert taken_from(came("work", "quick"), None, queues(CELERY, queue)) == "many"
    assert taken_from(came("work", "never"), None, queues(CELERY, queue)) is None


def test_a_broadcast_goes_back_nowhere() -> None:
    """Sent to its exchange again it would reach everybody again."""
    assert taken_from(came("news", ""), None, queues(NEWS, CELERY)) is None


@pytest.mark.parametrize("info", [None, {}, {"exchange": None, "routing_key": None}])
def test_a_message_that_does_not_say_where_it_came_from_goes_nowhere(info: Any) -> None:
    assert taken_from(a_message(delivery_info=info), None, queues(CELERY)) is None
