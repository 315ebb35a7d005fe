"""The page of the brokers says of each transport what its row says."""

from __future__ import annotations

import re
from typing import Any

import pytest

from celery_lock.message.delayed import LONGEST_NAME
from celery_lock.message.deliveries import UNSEEN, by_flag
from celery_lock.message.transports import (
    AMQP,
    REDIS,
    SQS,
    TRIED,
    UNKNOWN,
    VIRTUAL,
    Transport,
    delivery_tag,
    flagged,
    nothing,
)
from tests.house import ROOT

PAGE = (ROOT / "docs" / "reference" / "brokers.md").read_text(encoding="utf-8")


def table(heading: str) -> dict[str, list[str]]:
    """The cells of a section's first table, by the first of each line."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = re.findall(r"^\| (.*) \|$", section, re.MULTILINE)[1:]
    return {cells[0]: cells[1:] for line in lines if (cells := line.split(" | "))}


WAITS = table("How a message waits, and when it comes back")
NAMES = table("How a message is named, and what says that it was not sent")

QUEUES: dict[str, tuple[Transport, str, dict[str, Any]]] = {
    "`redis`": (REDIS, "fast", {}),
    "`amqp`, a classic queue": (AMQP, "fast", {}),
    "`amqp`, a quorum queue": (AMQP, "fast", {"x-queue-type": "quorum"}),
    "`sqs`, a standard queue": (SQS, "fast", {}),
    "`sqs`, a FIFO queue": (SQS, "fast.fifo", {}),
    ", ".join(f"`{name}`" for name in TRIED): (VIRTUAL, "fast", {}),
    "any other": (UNKNOWN, "fast", {}),
}


def test_the_page_has_a_line_for_each_kind_of_queue_and_no_other() -> None:
    assert set(WAITS) == set(QUEUES)


@pytest.mark.parametrize("kind", QUEUES)
def test_a_line_says_how_its_messages_wait(kind: str) -> None:
    row, queue, arguments = QUEUES[kind]
    waits, longest, comes_back, counted = WAITS[kind]
    pause = row.pause_in(queue, arguments)

    assert float(longest) == pause.longest
    assert waits.startswith("in a worker") != pause.in_broker
    assert "whole seconds" in waits or not pause.whole
    assert ("at once" in comes_back or comes_back == "the same") or not row.redelivers_at_once
    assert ("the flag" in counted) == (row.delivered is by_flag or (not arguments and row is AMQP))


@pytest.mark.parametrize(
    ("kind", "row"), [("`redis`", REDIS), ("`amqp`", AMQP), ("`sqs`", SQS), ("others", VIRTUAL)]
)
def test_a_line_says_how_its_messages_are_named(kind: str, row: Transport) -> None:
    named, redelivered, not_sent = NAMES[kind]

    assert ("delivery tag" in named) == (row.name_of is delivery_tag)
    assert (named == "nothing") == (row.name_of is nothing)
    assert (redelivered == "the flag") == (row.redelivered is flagged)
    assert ("return" in not_sent) == row.returns


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    assert f"takes {Transport.send_within:g} seconds at most" in PAGE
    assert f"rejected every {Transport.longest_pause:g} seconds" in PAGE
    assert f"{3 * Transport.longest_pause // 60:g} minutes with a limit of 2" in PAGE
    assert f"{21 * Transport.longest_pause // 60:g} with RabbitMQ's own of {UNSEEN}" in PAGE
    assert f"more than {LONGEST_NAME} bytes" in PAGE
    assert f"timeout, {REDIS.visibility:g} unless" in WAITS["`redis`"][2]
    assert "said as the worker starts" in WAITS["any other"][2]
    assert not UNKNOWN.is_known
