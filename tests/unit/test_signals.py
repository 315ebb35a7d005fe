"""Signals: who is told, with what, and that a bad receiver hurts nobody."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from celery_lock import signals
from celery_lock.events import Fact, Observers
from celery_lock.events.table import TABLE
from celery_lock.signals import lock_acquired, lock_conflicted, lock_lost, signal_observer

from .facts import ONE_OF_EACH, SUBJECT, acquired, lost
from .quiet_signals import nobody_else_connected

ALL: dict[str, Any] = {row.signal: getattr(signals, row.signal) for row in TABLE}


@pytest.fixture(autouse=True)
def _nobody_else_is_connected() -> Iterator[None]:
    with nobody_else_connected():
        yield


def test_every_fact_is_sent_on_its_own_signal() -> None:
    heard: list[tuple[str, Fact]] = []
    for name, signal in ALL.items():

        def hear(sender: Any, fact: Fact, name: str = name, **_: Any) -> None:
            heard.append((name, fact))

        signal.connect(hear, weak=False)

    observer = signal_observer()
    for fact in ONE_OF_EACH:
        observer(fact)

    assert heard == [(row.signal, fact) for row, fact in zip(TABLE, ONE_OF_EACH, strict=True)]


def test_every_signal_says_its_name_and_what_it_gives() -> None:
    for name, signal in ALL.items():
        assert signal.name == name
        assert signal.providing_args == {"fact"}
        assert name in signals.__all__


def test_a_receiver_may_listen_to_one_sender() -> None:
    charge, other = object(), object()
    heard: list[str] = []

    def hear(sender: Any, fact: Fact, **_: Any) -> None:
        heard.append(fact.task_id)

    lock_acquired.connect(hear, sender=charge)
    observer = signal_observer(lambda fact: charge if fact.task == SUBJECT.task else other)

    observer(acquired())
    observer(acquired(type(SUBJECT)(task="shop.other", task_id="id-9", template="t")))

    assert heard == ["id-1"]


def test_without_an_app_the_sender_is_the_tasks_name() -> None:
    senders: list[object] = []

    def hear(sender: Any, **_: Any) -> None:
        senders.append(sender)

    lock_lost.connect(hear)

    signal_observer()(lost())

    assert senders == ["shop.charge"]


def test_nobody_is_looked_up_while_nobody_listens() -> None:
    def sender_of(fact: Fact) -> object:
        raise AssertionError("nobody is connected")

    signal_observer(sender_of)(lost())


def test_a_receiver_that_raises_hurts_neither_the_next_one_nor_the_task(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[Fact] = []

    def broken(**_: Any) -> None:
        raise ValueError("no such channel")

    def sound(fact: Fact, **_: Any) -> None:
        heard.append(fact)

    lock_acquired.connect(broken)
    lock_acquired.connect(sound)

    with caplog.at_level(logging.ERROR):
        Observers(signal_observer()).notify(acquired())

    assert heard == [acquired()]
    assert "no such channel" in caplog.text


def test_a_stop_that_falls_into_a_receiver_is_not_swallowed() -> None:
    def stopped(**_: Any) -> None:
        raise KeyboardInterrupt

    lock_conflicted.connect(stopped)

    with pytest.raises(KeyboardInterrupt):
        Observers(signal_observer()).notify(ONE_OF_EACH[1])
