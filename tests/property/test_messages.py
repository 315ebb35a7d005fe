"""For all plays of a shop: never two at once, nothing lost, and nothing done twice unsaid."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from .shop.by_hand import random_play, shown_by
from .shop.plays import Event, Shop, play

pytestmark = pytest.mark.property

PLAYS = 160
"""As many as a few seconds take; `python -m tests.property.shop 5000` plays more."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("part", range(8))
def test_no_play_runs_two_at_once_loses_a_message_or_runs_one_again(part: int) -> None:
    first = part * PLAYS // 8

    for seed in range(first, first + PLAYS // 8):
        shop, events = random_play(seed)
        play(shop, events)


KNOWN: dict[str, tuple[Shop, list[Event]]] = {
    "a message that was rejected comes back from the dead letters": (
        Shop("redis"),
        [("lose answer",), ("publish", "rejects"), ("take", 0), ("run", 0, 1, 12)],
    ),
    "the same on RabbitMQ": (
        Shop("rabbit"),
        [("publish", "rejects"), ("take", 0), ("lose answer",), ("run", 0, 0, 12)],
    ),
    "two messages of one preset id, and a worker that dies": (
        Shop("rabbit", policy="wait", preset_id=True),
        [("publish", "returns")] * 2 + [("take", 0), ("run", 0, 1, 12), ("take", 0), ("kill", 0)],
    ),
    "a first delivery that lay in a worker for longer than the visibility timeout": (
        Shop("redis"),
        [("publish", "returns"), ("take", 0), ("advance", 70), ("run", 0, 0, 10)],
    ),
    "what a pool of threads still holds when its connection has been lost": (
        Shop("rabbit"),
        [("publish", "returns"), ("take", 0), ("start", 0), ("run", 0, 0, 2), ("cut", 0)],
    ),
    "a redelivery that no broker has marked": (
        Shop("rabbit"),
        [("publish", "returns"), ("take", 0), ("run", 0, 0, 2), ("cut unmarked", 0)],
    ),
    "a worker that dies between the release and the next step of the chain": (
        Shop("rabbit"),
        [("publish", "returns"), ("take", 0), ("run", 0, 0, 7), ("kill", 0)],
    ),
    "a run that has sent its retry stands still, and its copy sends another one": (
        Shop("sqs", policy="fail"),
        [
            ("publish", "retries"),
            ("take", 0),
            ("run", 0, 0, 4),
            ("advance", 70),
            ("take", 1),
            ("run", 1, 1, 8),
        ],
    ),
}
"""Plays that have shown a fault once."""


@pytest.mark.parametrize("name", KNOWN)
def test_a_play_that_has_shown_a_fault_shows_none(name: str) -> None:
    shop, events = KNOWN[name]

    assert shown_by(shop, events) == ""
