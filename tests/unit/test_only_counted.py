"""Facts that nobody reads are counted without being made; whoever begins to read misses none."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from celery_lock.engine.locker import Ask, Grant, Locker
from celery_lock.events import Acquired, Fact, Observers, Released, Subject
from celery_lock.events.log_lines import LogLines
from celery_lock.events.table import ORDINARY_LEVEL, TABLE
from celery_lock.metrics import Counters
from celery_lock.model import Claim
from celery_lock.signals import lock_acquired, lock_released, signal_observer
from celery_lock.stores.manual_clock import ManualClock
from celery_lock.stores.memory import MemoryServer, MemoryStore

from .facts import ONE_OF_EACH, SUBJECT, conflicted
from .quiet_signals import nobody_else_connected

ACQUIRED = ("celery_lock_acquired_total", SUBJECT.task, SUBJECT.template)
RELEASED = ("celery_lock_released_total", SUBJECT.task, SUBJECT.template)


class Told:
    """An engine with the observers of a real worker, and what they do."""

    def __init__(self) -> None:
        self.clock = ManualClock(1000.0)
        self.logger = logging.getLogger("celery_lock.of_a_test")
        self.logger.setLevel(logging.INFO)
        self.counters = Counters()
        self.lines = LogLines(self.clock, self.logger)
        self.observers = Observers(self.lines, self.counters, signal_observer())
        store = MemoryStore(MemoryServer(self.clock))
        self.locker = Locker(store, clock=self.clock, observers=self.observers, threads=False)
        self._number = 0

    def cycle(self, *, passing: float = 0.0) -> None:
        """Take a key and give it back, with some time between."""
        self._number += 1
        claim = Claim("k", f"id-1#w1#1#n{self._number}", ttl=30)
        grant = self.locker.claim(Ask(claim, SUBJECT))
        assert isinstance(grant, Grant)
        self.clock.move(passing)
        self.locker.release(grant)


@pytest.fixture(autouse=True)
def _nobody_else_is_connected() -> Iterator[None]:
    with nobody_else_connected():
        yield


@pytest.fixture
def told() -> Iterator[Told]:
    before = [(signal, list(signal.receivers)) for signal in (lock_acquired, lock_released)]
    for signal, _ in before:
        signal.receivers[:] = []  # the apps of other tests have some
    yield Told()
    for signal, receivers in before:
        signal.receivers[:] = receivers


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Fact]:
    """The facts that an engine makes from here on."""
    facts: list[Fact] = []
    notify = Observers.notify

    def noted(observers: Observers, fact: Fact) -> None:
        facts.append(fact)
        notify(observers, fact)

    monkeypatch.setattr(Observers, "notify", noted)
    return facts


def test_a_run_of_which_nobody_reads_is_counted_and_no_fact_of_it_made(
    told: Told, made: list[Fact]
) -> None:
    for _ in range(3):
        told.cycle()

    assert made == []
    assert told.counters.snapshot() == {ACQUIRED: 3, RELEASED: 3}


def test_a_receiver_that_connects_later_hears_of_the_next_run(told: Told, made: list[Fact]) -> None:
    heard: list[Fact] = []

    def hear(sender: Any, fact: Fact, **_: Any) -> None:
        heard.append(fact)

    told.cycle()
    lock_acquired.connect(hear, weak=False)
    lock_released.connect(hear, weak=False)
    told.cycle(passing=2)

    assert heard == made
    acquired, released = heard
    assert isinstance(acquired, Acquired)
    assert isinstance(released, Released)
    assert (acquired.task_id, acquired.key, acquired.waited) == (SUBJECT.task_id, "k", 0)
    assert (released.held, released.in_time) == (2, True)
    assert told.counters.snapshot() == {ACQUIRED: 2, RELEASED: 2}


def test_a_receiver_of_one_signal_has_no_fact_of_the_other_made(
    told: Told, made: list[Fact]
) -> None:
    lock_released.connect(lambda **_: None, weak=False)

    told.cycle()

    assert [type(fact) for fact in made] == [Released]


def test_a_level_that_is_changed_while_the_process_runs_counts(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    told.cycle()
    told.logger.setLevel(logging.DEBUG)
    told.cycle()
    told.logger.setLevel(logging.INFO)
    told.cycle()

    assert [record.getMessage().split(", ")[0] for record in caplog.records] == [
        "Task shop.charge[id-1]: lock 'k' taken",
        "Task shop.charge[id-1]: lock 'k' given back after 0.0 s",
    ]
    assert told.counters.snapshot() == {ACQUIRED: 3, RELEASED: 3}


def test_a_release_after_the_end_of_the_lease_is_made_for_its_warning(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    told.cycle(passing=31)

    assert "its lease had ended before" in caplog.text
    assert told.counters.snapshot()[RELEASED] == 1


def test_a_sum_of_lines_that_is_due_is_written_at_the_next_run(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(150):
        told.lines(conflicted())
    told.clock.move(61)

    told.cycle()

    assert "50 more lines like this one were left out" in caplog.text


def test_an_observer_that_says_nothing_of_the_kind_sees_every_fact(told: Told) -> None:
    seen: list[type[Fact]] = []
    told.observers.add(lambda fact: seen.append(type(fact)))

    told.cycle()

    assert seen == [Acquired, Released]


def test_an_observer_that_cannot_say_what_it_wants_hurts_nobody(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def __call__(self, fact: Fact) -> None:
            """Take no notice."""

        def wants(self, kind: type[Fact]) -> bool:
            raise ValueError("cannot say")

    told.observers.add(Broken())

    told.cycle()

    assert "cannot say" in caplog.text
    assert told.counters.snapshot() == {ACQUIRED: 1, RELEASED: 1}


def test_a_fact_is_counted_alike_whether_it_is_made_or_not() -> None:
    seen, unseen = Counters(most=2), Counters(most=2)
    unlabelled = [fact for row, fact in zip(TABLE, ONE_OF_EACH, strict=True) if not row.labels]

    for fact in unlabelled:
        seen(fact)
        unseen.count(type(fact), fact.subject)
    unseen.count(Acquired, Subject("another", "id", "k"))
    seen(Acquired(key="k", subject=Subject("another", "id", "k"), holder="h", token=1, waited=0))

    assert seen.snapshot() == unseen.snapshot()


def test_what_is_made_in_every_run_has_an_ordinary_level_and_no_label() -> None:
    rows = {row.fact: row for row in TABLE}

    for kind in (Acquired, Released):
        assert ORDINARY_LEVEL[kind] == logging.DEBUG
        assert rows[kind].labels == ()
