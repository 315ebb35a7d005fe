"""What SQS says of a queue: asked once for many messages, never waited for, and never needed."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from celery_lock.message import sqs_queues
from celery_lock.message.sqs_queues import QueueFacts, facts_of
from celery_lock.model.per_process import PerProcess

pytestmark = pytest.mark.unit

URL = "https://sqs.eu-west-1.amazonaws.com/1/prefix-orders"


class Sqs:
    """Answers as a client of boto, and stands for kombu's channel, which has one."""

    def __init__(self, **attributes: str) -> None:
        self.attributes = attributes
        self.error: Exception | None = None
        self.asked: list[tuple[str, list[str]]] = []
        self.clients: list[str] = []

    def canonical_queue_name(self, name: str) -> str:
        return f"prefix-{name}"

    def sqs(self, queue: str) -> Sqs:
        self.clients.append(queue)
        return self

    def get_queue_attributes(self, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:
        self.asked.append((QueueUrl, AttributeNames))
        if self.error is not None:
            raise self.error
        return {"Attributes": self.attributes}


class World:
    """One process, whose clock the test moves and whose threads run when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.later: list[Callable[[], None]] = []

    def facts(self, sqs: Any, queue: str | None = "orders", url: str | None = URL) -> Any:
        info = {} if url is None else {"sqs_queue": url}
        message = SimpleNamespace(delivery_info=info, channel=sqs)
        return facts_of(message, queue, clock=lambda: self.now, run=self.later.append, patience=0)

    def let_it_answer(self) -> None:
        while self.later:
            self.later.pop()()

    def answers_once_it_is_waited_for(self, url: str) -> None:
        known: Any = sqs_queues._Known()
        known.is_answered = SimpleNamespace(
            wait=lambda patience: self.let_it_answer(), set=lambda: None
        )
        sqs_queues._known.value[url] = known


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(sqs_queues, "_known", PerProcess(dict))
    return World()


def test_the_first_message_that_a_worker_gets_has_the_answer(world: World) -> None:
    """It may be the one that killed the worker before this one: there is a limit for that."""
    sqs = Sqs(VisibilityTimeout="30", RedrivePolicy='{"maxReceiveCount": 2}')
    world.answers_once_it_is_waited_for(URL)

    assert world.facts(sqs) == QueueFacts(30.0, 2)


def test_an_answer_is_asked_for_beside_and_waited_for(world: World) -> None:
    sqs = Sqs(VisibilityTimeout="30")
    message = SimpleNamespace(delivery_info={"sqs_queue": URL}, channel=sqs)

    assert facts_of(message, "orders", patience=60) == QueueFacts(30.0)


def test_a_message_waits_no_longer_for_an_answer_that_does_not_come(world: World) -> None:
    sqs = Sqs(VisibilityTimeout="30")

    assert world.facts(sqs) is None
    world.let_it_answer()

    assert world.facts(sqs) == QueueFacts(30.0, 0)


def test_one_question_serves_the_messages_of_five_minutes(world: World) -> None:
    sqs = Sqs(VisibilityTimeout="30")
    for _ in range(3):
        world.facts(sqs)
        world.let_it_answer()
    world.now += 299

    world.facts(sqs)
    assert sqs.asked == [(URL, ["VisibilityTimeout", "RedrivePolicy"])]
    assert sqs.clients == ["prefix-orders"]
    world.now += 1
    sqs.attributes = {"VisibilityTimeout": "60"}
    assert world.facts(sqs) == QueueFacts(30.0)  # until the new answer is there
    world.let_it_answer()
    assert world.facts(sqs) == QueueFacts(60.0)


@pytest.mark.parametrize("count", ["3", 3])
def test_a_redrive_policy_says_how_often_a_message_is_handed_out(world: World, count: Any) -> None:
    policy = json.dumps({"deadLetterTargetArn": "arn", "maxReceiveCount": count})
    sqs = Sqs(VisibilityTimeout="0", RedrivePolicy=policy)
    world.facts(sqs)
    world.let_it_answer()

    assert world.facts(sqs) == QueueFacts(0.0, 3)


def test_two_queues_are_two_questions(world: World) -> None:
    sqs = Sqs(VisibilityTimeout="30")

    world.facts(sqs)
    world.facts(sqs, url=f"{URL}-2")
    world.let_it_answer()

    assert len(sqs.asked) == 2


@pytest.mark.parametrize(
    "broken",
    [{}, {"VisibilityTimeout": "soon"}, {"VisibilityTimeout": "30", "RedrivePolicy": "{"}],
)
def test_an_answer_that_says_nothing_is_told_once_and_no_more(
    world: World, caplog: pytest.LogCaptureFixture, broken: dict[str, str]
) -> None:
    sqs = Sqs(**broken)
    for _ in range(3):
        world.facts(sqs)
        world.let_it_answer()
        world.now += 300

    assert world.facts(sqs) is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "allow sqs:GetQueueAttributes" in caplog.text


def test_a_queue_that_may_not_be_read_is_told_once_and_asked_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    sqs = Sqs(VisibilityTimeout="30")
    sqs.error = PermissionError("AccessDenied")
    for _ in range(2):
        world.facts(sqs)
        world.let_it_answer()
        world.now += 300
    sqs.error = None
    world.facts(sqs)
    world.let_it_answer()

    assert world.facts(sqs) == QueueFacts(30.0)
    assert caplog.text.count("AccessDenied") == 1


def test_what_was_known_counts_while_sqs_does_not_answer(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    sqs = Sqs(VisibilityTimeout="30")
    world.facts(sqs)
    world.let_it_answer()
    world.now += 300
    sqs.error = TimeoutError()

    world.facts(sqs)
    world.let_it_answer()

    assert world.facts(sqs) == QueueFacts(30.0)
    assert caplog.records == []


def test_a_channel_without_a_client_is_no_reason_not_to_take_a_message(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    assert world.facts(None) is None
    assert world.later == []
    assert "allow sqs:GetQueueAttributes" in caplog.text


@pytest.mark.parametrize(("queue", "url"), [("orders", None), (None, URL), ("orders", "")])
def test_a_message_of_another_broker_asks_nothing(
    world: World, queue: str | None, url: str | None
) -> None:
    assert world.facts(Sqs(), queue, url) is None
    assert world.later == []
