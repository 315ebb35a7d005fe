"""Where a message came from: its queue, how that is declared, and its broker."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import pytest
from kombu import Connection, Exchange, Queue, binding

from celery_lock.message.origin import arguments_in, entity_in, origin_of


class Consumer:
    """A kombu consumer: the tags of its queues, and how they are declared."""

    def __init__(self, *declared: Queue, brokers: list[str] | None = None, **tags: str) -> None:
        self._active_tags, self._queues = tags, queues(*declared)
        self.connection = Connection(brokers) if brokers else None


def a_message(**changes: Any) -> Any:
    return SimpleNamespace(**changes)


# -- its queue -------------------------------------------------------------------------------


def queues(*each: Queue) -> dict[str, Queue]:
    return {queue.name: queue for queue in each}


def came(exchange: str, routing_key: str, **info: Any) -> Any:
    return a_message(delivery_info={"exchange": exchange, "routing_key": routing_key, **info})


def taken_from(message: Any, consumer: Any, queues: dict[str, Queue]) -> str | None:
    return origin_of(message, lambda: consumer, lambda: queues).queue


CELERY = Queue("celery", Exchange("celery", "direct"), routing_key="celery")
FAST = Queue("fast", Exchange("work", "direct"), routing_key="quick")
ALSO_FAST = Queue("also", Exchange("work", "direct"), routing_key="quick")
EU = Queue("eu", Exchange("places", "topic"), routing_key="eu.#")
US = Queue("us", Exchange("places", "topic"), routing_key="us.#")
NEWS = Queue("news", Exchange("news", "fanout"), routing_key="")
BARE = Queue("bare", exchange=None)
BARE.exchange = None


def test_amqp_says_which_consumer_got_it() -> None:
    consumer = Consumer(eu="None7", us="None8")
    message = came("places", "us.east", consumer_tag="None8")

    assert taken_from(message, consumer, queues(EU, US)) == "us"


class SqsChannel:
    """Kombu's channel, as far as it knows the addresses of queues."""

    _queue_cache = {"p-eu": "https://sqs/1/p-eu", "p-us": "https://sqs/1/made-by-hand"}  # noqa: RUF012

    def canonical_queue_name(self, name: str) -> str:
        return f"p-{name}"


@pytest.mark.parametrize("consumer", [Consumer(), None])
@pytest.mark.parametrize(
    ("address", "queue"),
    [("p-eu", "eu"), ("made-by-hand", "us"), ("somebody-elses", "fast"), (None, "fast")],
)
def test_sqs_says_the_address_of_the_queue(address: Any, queue: str, consumer: Any) -> None:
    """Also of a message that it has moved, of a topic with two queues, of a broadcast."""
    message = came("", "fast", sqs_queue=address and f"https://sqs/1/{address}")
    message.channel = SqsChannel()

    for _ in range(2):
        assert taken_from(message, consumer, queues(EU, US)) == queue


def test_a_consumer_that_has_gone_leaves_the_way_it_was_published() -> None:
    consumer = Consumer()
    message = came("", "celery", consumer_tag="None8")

    assert taken_from(message, consumer, queues(CELERY)) == "celery"


@pytest.mark.parametrize("consumer_tag", [None, "None8"])
def test_without_a_consumer_it_goes_by_how_it_was_published(consumer_tag: Any) -> None:
    message = came("", "celery", consumer_tag=consumer_tag)

    assert taken_from(message, None, queues(CELERY)) == "celery"


def test_the_default_exchange_leads_to_the_queue_of_that_name() -> None:
    assert taken_from(came("", "anything"), None, {}) == "anything"


def test_who_says_the_queue_has_the_workers_queues_not_asked_for() -> None:
    def never() -> Any:
        raise AssertionError("asked for")

    assert origin_of(came("", "anything"), lambda: None, never).queue == "anything"


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


def test_a_queue_taken_from_its_consumer_is_still_that_of_what_came_before() -> None:
    consumer = Consumer(eu="None7", us="None8")
    message = came("places", "us.east", consumer_tag="None8")
    assert taken_from(message, consumer, {}) == "us"

    consumer._active_tags.clear()

    assert taken_from(message, consumer, {}) == "us"


@pytest.mark.parametrize("queue", ["slow", "slow.eu"])
def test_what_has_waited_in_the_broker_is_taken_from_the_queue_it_waited_for(queue: str) -> None:
    message = came("celery_delayed_delivery", f"0.1.0.celery_lock.{queue}")

    assert taken_from(message, None, {}) == queue


# -- how that is declared --------------------------------------------------------------------


def test_a_pool_process_can_open_how_its_consumer_declares_the_queue() -> None:
    declared = Queue(
        "us",
        Exchange("places", "topic"),
        "us.#",
        auto_delete=True,
        expires=60,
        queue_arguments={"x-queue-type": "quorum"},
    )
    consumer = Consumer(declared, us="None8")
    message = came("places", "us.east", consumer_tag="None8")

    origin = pickle.loads(pickle.dumps(origin_of(message, lambda: consumer, dict)))

    assert entity_in(origin.entity) == declared
    assert entity_in(origin.entity).auto_delete
    assert arguments_in(origin.entity) == {"x-expires": 60, "x-queue-type": "quorum"}


def test_a_declaration_that_no_other_process_can_have_is_not_told() -> None:
    declared = Queue("us", queue_arguments={"x-odd": lambda: None})
    consumer = Consumer(declared, us="None8")

    origin = origin_of(came("", "us", consumer_tag="None8"), lambda: consumer, dict)

    assert (origin.queue, origin.entity, arguments_in(origin.entity)) == ("us", None, {})


# -- its broker ------------------------------------------------------------------------------


@pytest.mark.parametrize("switches", [0, 1, 2])
def test_of_several_brokers_it_is_the_one_that_is_consumed_from(switches: int) -> None:
    brokers = ["amqp://a//", "amqp://b:5673//", "amqp://b:5674//"]
    consumer = Consumer(brokers=brokers, us="None8")
    for _ in range(switches):
        consumer.connection.maybe_switch_next()  # type: ignore[union-attr]

    origin = origin_of(came("", "us", consumer_tag="None8"), lambda: consumer, dict)

    assert origin.broker == switches
