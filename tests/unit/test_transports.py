"""What each transport does with messages: a row for each, and what an app's options make of it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from amqp.exceptions import ConnectionError as AmqpConnectionError
from amqp.exceptions import MessageNacked, NotFound
from botocore.exceptions import ClientError
from celery.app.task import Context
from kombu import Connection
from kombu.exceptions import OperationalError
from kombu.transport import SQS, base
from redis.exceptions import ResponseError

from celery_lock.message.pauses import as_eta
from celery_lock.message.sqs_queues import QueueFacts
from celery_lock.message.transports import NO_BROKER, Transport, transport_of

pytestmark = pytest.mark.unit


class Own(base.Transport):
    """Somebody's own transport, that is none of kombu's."""

    driver_type = "carrier-pigeon"


@dataclass(frozen=True)
class Row:
    """What is expected of one transport, where its app gives no options."""

    driver: str
    tag: str | None
    """What names a message that has the tag "tag-1"."""
    at_once: bool
    options: dict[str, Any]


WITHIN = {"socket_timeout": 5.0, "socket_connect_timeout": 5.0}
HASTY = {"connect_timeout": 2.0, "read_timeout": 3.0, "retries": {"total_max_attempts": 1}}
CONFIRMED = {"confirm_publish": True, "read_timeout": 5.0, "write_timeout": 5.0}

ROWS: dict[Any, Row] = {
    "redis://": Row("redis", "tag-1", False, WITHIN),
    "rediss://h?ssl_cert_reqs=none": Row("redis", "tag-1", False, WITHIN),
    "sentinel://h": Row("redis", "tag-1", False, WITHIN),
    "amqp://": Row("amqp", None, True, CONFIRMED),
    "amqps://": Row("amqp", None, True, CONFIRMED),
    "pyamqp://": Row("amqp", None, True, CONFIRMED),
    "sqs://": Row("sqs", None, False, {"client-config": HASTY}),
    "memory://": Row("memory", "tag-1", False, {}),
    "filesystem://": Row("filesystem", "tag-1", False, {}),
    Own: Row("carrier-pigeon", "tag-1", False, {}),
}


def transport(way: Any = "memory://", options: Any = None) -> Transport:
    made = Connection(way) if isinstance(way, str) else Connection(transport=way)
    return transport_of(made, options)


def request(**properties: Any) -> Context:
    return Context({"id": "id-1", "properties": properties})


# -- the rows --------------------------------------------------------------------------------


@pytest.mark.parametrize(("way", "row"), ROWS.items(), ids=lambda one: str(one))
def test_a_transport_is_one_row_of_values(way: Any, row: Row) -> None:
    found = transport(way)

    assert (found.driver, found.redelivers_at_once, dict(found.options)) == (
        row.driver,
        row.at_once,
        row.options,
    )
    assert found.name_of(request(delivery_tag="tag-1")) == row.tag
    visibility = 1800 if row.driver == "sqs" else 3600
    assert (found.visibility, found.longest_pause, found.send_within) == (visibility, 450, 5)
    assert found.pause_in("q.fifo", {}).write is as_eta


@pytest.mark.parametrize("way", [way for way in ROWS if way != "sqs://"], ids=str)
@pytest.mark.parametrize(
    ("info", "again"),
    [(None, False), ({}, False), ({"redelivered": None}, False), ({"redelivered": True}, True)],
)
def test_the_broker_says_whether_it_delivered_a_message_before(
    way: Any, info: Any, again: bool
) -> None:
    assert transport(way).redelivered(Context({"delivery_info": info})) is again


@pytest.mark.parametrize("way", ROWS, ids=str)
@pytest.mark.parametrize("tag", [1, 17, "17", None, ""])
def test_a_counter_names_no_message(way: Any, tag: Any) -> None:
    assert transport(way).name_of(request(delivery_tag=tag)) is None


@pytest.mark.parametrize("way", ROWS, ids=str)
@pytest.mark.parametrize(
    "error", [OperationalError(), ConnectionResetError(), AmqpConnectionError(), TimeoutError()]
)
def test_a_broker_that_is_gone_did_not_take_the_message(way: Any, error: Exception) -> None:
    assert isinstance(error, transport(way).not_sent)


@pytest.mark.parametrize(
    ("way", "error"), [("redis://", ResponseError("OOM")), ("amqp://", NotFound())]
)
def test_a_refusal_says_that_the_message_was_not_taken(way: str, error: Exception) -> None:
    assert isinstance(error, transport(way).not_sent)


def test_a_nack_says_that_the_message_was_not_taken_and_so_does_asking_again() -> None:
    row = transport("amqp://")

    assert isinstance(MessageNacked(), row.not_sent)
    assert isinstance(MessageNacked(), row.answers)
    assert not isinstance(ConnectionResetError(), row.answers)


@pytest.mark.parametrize("way", ROWS, ids=str)
@pytest.mark.parametrize("error", [ValueError(), TypeError(), SystemExit()])
def test_an_error_of_the_program_does_not_say_so(way: Any, error: BaseException) -> None:
    assert not isinstance(error, transport(way).not_sent)


@pytest.mark.parametrize(
    ("code", "status"),
    [("ServiceUnavailable", 503), ("ThrottlingException", 400), ("AccessDenied", 403),
     ("ExpiredToken", 403), ("InvalidParameterValue", 400), ("OverLimit", 403)],
)  # fmt: skip
def test_any_error_that_sqs_answers_says_that_the_message_was_not_taken(
    code: str, status: int
) -> None:
    answer: Any = {
        "Error": {"Code": code, "Message": ""},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }

    assert isinstance(ClientError(answer, "SendMessage"), transport("sqs://").not_sent)


@pytest.mark.parametrize("name", ["UndefinedQueueException", "AccessDeniedQueueException"])
def test_a_queue_of_sqs_that_kombu_does_not_know_took_no_message(name: str) -> None:
    assert issubclass(getattr(SQS, name), transport("sqs://").not_sent)


def test_an_error_of_a_driver_that_kombu_does_not_list_says_so_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class DatabaseIsLocked(Exception):
        pass

    loaded = SimpleNamespace(SQLAlchemyError=DatabaseIsLocked)
    monkeypatch.setitem(sys.modules, "sqlalchemy.exc", loaded)  # type: ignore[arg-type]

    assert isinstance(DatabaseIsLocked(), transport("memory://").not_sent)


def test_an_eager_call_has_no_broker() -> None:
    assert NO_BROKER.name_of(request(delivery_tag="tag-1")) is None
    assert not NO_BROKER.redelivers_at_once


# -- what the app's author gave --------------------------------------------------------------


def test_an_option_that_the_author_gave_is_left_as_it_is() -> None:
    given = {"socket_timeout": 60, "sep": ":"}

    assert transport("redis://", given).options == {"socket_connect_timeout": 5.0}


def test_a_publish_is_confirmed_whatever_the_author_gave() -> None:
    given = {"confirm_publish": False, "read_timeout": 60}

    assert transport("amqp://", given).options == {"confirm_publish": True, "write_timeout": 5.0}


@pytest.mark.parametrize("way", [way for way in ROWS if way != "sqs://"], ids=str)
@pytest.mark.parametrize(
    ("visibility", "longest"), [(3600, 450.0), (60, 15.0), ("60", 15.0), (3, 0.75), (86400, 450.0)]
)
def test_a_pause_is_a_quarter_of_the_visibility_timeout_at_most(
    way: Any, visibility: Any, longest: float
) -> None:
    found = transport(way, {"visibility_timeout": visibility})

    assert found.pause_in("q", {}).bounded(10_000) == longest
    assert found.visibility == float(visibility)


@pytest.mark.parametrize("options", [None, {}, {"visibility_timeout": None}, {"region": "eu"}])
def test_a_broker_that_says_nothing_has_the_usual_one(options: Any) -> None:
    assert transport(options=options).pause_in("q", {}).bounded(10_000) == 450


def test_boto_is_bounded_and_keeps_the_rest_of_what_the_author_gave() -> None:
    given = {"client-config": {"read_timeout": 60, "proxies": {"https": "p"}}, "region": "eu"}

    found = transport("sqs://", given).options

    assert found == {"client-config": {**HASTY, "proxies": {"https": "p"}}}


# -- what the broker says of a queue ---------------------------------------------------------


@pytest.mark.parametrize("option", [None, 6, 3600])
def test_a_queue_of_sqs_has_its_own_visibility_timeout_whatever_the_option_says(
    option: Any,
) -> None:
    found = transport("sqs://", {"visibility_timeout": option}).for_queue(QueueFacts(60.0))

    assert (found.visibility, found.longest_pause) == (60.0, 15.0)
    assert found.comes_back_within is None


@pytest.mark.parametrize(
    ("option", "visibility", "within"), [(None, 30, 3600), (6, 6, 3600), (43_200, 30, 43_200)]
)
def test_a_queue_that_does_not_say_it_is_taken_for_a_short_one_and_remembered_for_a_long_one(
    option: Any, visibility: float, within: float
) -> None:
    """A pause must end before a copy comes, and a completion be known until after that."""
    found = transport("sqs://", {"visibility_timeout": option}).for_queue(None)

    assert (found.visibility, found.longest_pause) == (visibility, visibility / 4)
    assert found.comes_back_within == within


@pytest.mark.parametrize(
    ("facts", "limit"),
    [(None, None), (QueueFacts(30.0), None), (QueueFacts(30.0, 1), 0), (QueueFacts(30.0, 3), 2)],
)
def test_a_redrive_policy_is_a_limit_of_receives_and_the_first_is_no_redelivery(
    facts: Any, limit: Any
) -> None:
    assert transport("sqs://").for_queue(facts).limit({}) == limit


@pytest.mark.parametrize("way", [way for way in ROWS if way != "sqs://"], ids=str)
def test_no_other_broker_is_asked_about_a_queue(way: Any) -> None:
    assert transport(way).reads is None
