"""A new kind of decision is one class and its place in the list: whatever knows kinds knows it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import pytest
from celery import Celery

from celery_lock import Lock, LockConfigurationError, LockError, policies, requeue, wait
from celery_lock.app.locks import locks_of
from celery_lock.app.start_checks import warn_of_piling, warn_of_waits
from celery_lock.events.log_words import words
from celery_lock.events.table import as_label, conflict_rules
from celery_lock.message import raw_of
from celery_lock.model import Decision
from celery_lock.policies import decide

from .engine import locked
from .facts import conflicted
from .test_policies import CONFLICT


@dataclass(frozen=True)
class park(Decision):
    """Stays in the process, and is sent again without end: whatever a kind can say of itself."""

    word = "park"
    written = "park(place)"
    repeats = True
    sends = True

    @property
    def says(self) -> str:
        return "parked over there"

    @property
    def blocks(self) -> float:
        return 45.0

    @property
    def bounded(self) -> bool:
        return False


@dataclass(frozen=True)
class stay(Decision):
    word = "stay"
    written = "stay()"


@pytest.fixture(autouse=True)
def one_kind_more(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = (*policies.KINDS, park, stay)
    monkeypatch.setattr(policies, "KINDS", kinds)
    monkeypatch.setattr(Decision, "kinds", kinds)


def body() -> None: ...


def test_a_function_may_answer_with_it() -> None:
    assert decide(lambda c: park(), CONFLICT) == park()


def test_a_function_that_answers_nonsense_is_told_of_it() -> None:
    with pytest.raises(LockError, match=r"wait\(seconds\), fail\(\), park\(place\) or stay\(\)"):
        decide(lambda c: "park", CONFLICT)  # type: ignore[arg-type,return-value]


def test_a_lock_without_a_policy_is_told_of_it() -> None:
    with pytest.raises(LockConfigurationError, match=r"fail\(\), park\(place\), stay\(\),"):
        Lock("k", on_conflict="park")  # type: ignore[arg-type]


def test_it_may_follow_the_others() -> None:
    assert requeue(max_attempts=3, then=park()).then == park()
    assert wait(1, then=park()).then == park()
    with pytest.raises(LockConfigurationError, match=r"fail\(\), skip\(\), wait.*, park\(place\)"):
        requeue(then=park)  # type: ignore[arg-type]


def test_the_table_has_its_rules_and_the_log_its_phrase() -> None:
    rules = {rule.when: rule for rule in conflict_rules(policies.KINDS)}
    first = rules["the key is taken: `park()`, the first time"]
    again = rules["the key is taken: `park()`, again"]
    message, *values = words(conflicted(park()))

    assert (first.level, again.level) == (logging.INFO, logging.DEBUG)
    assert first.is_case is not None
    assert first.is_case(conflicted(park()))
    assert not first.is_case(conflicted(park(), attempt=2))
    assert "parked over there: lock 'user:7'" in message % tuple(values)
    assert as_label(park()) == "park"


def test_a_binding_warns_if_it_keeps_the_process_for_long() -> None:
    app = Celery("shop", broker="memory://", set_as_current=False)

    with pytest.warns(UserWarning, match="waits for its lock for up to 45 s"):
        locked(app, Lock("k", on_conflict=park()), name="report")(body)


@pytest.mark.filterwarnings("ignore:task report waits")
def test_a_start_warns_if_it_blocks_the_solo_pool_or_piles_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Celery("shop", broker="memory://", set_as_current=False)
    locked(app, Lock("k", on_conflict=park()), name="report")(body)
    app.conf.beat_schedule = {"nightly": {"task": "report", "schedule": 60.0}}

    with caplog.at_level(logging.WARNING, "celery_lock"):
        warn_of_waits(locks_of(app).bound)
        warn_of_piling(app)

    waits, piles = (record.getMessage() for record in caplog.records)
    assert "up to 45 s in the solo pool" in waits
    assert "report (entry 'nightly')" in piles


def test_a_message_that_cannot_be_sent_again_is_told_of_what_sends_nothing() -> None:
    class Request:
        id = "id-1"
        properties: Any = None

    with pytest.raises(LockError, match=r"skip\(\), wait\(seconds\), fail\(\) or stay\(\)"):
        raw_of(Request())
