"""What a beat does about a record that it finds, row by row of the table."""

from __future__ import annotations

import pytest

from celery_lock.beat.calls import Answer
from celery_lock.beat.entry_record import NOBODY, EntryRecord, LastRun, OpenClaim
from celery_lock.beat.entry_views import EntryView
from celery_lock.beat.moves import GoOn, Move, Publish, TakeOver, TrustMemory, Wait, next_move

pytestmark = pytest.mark.unit

LAST = LastRun(100.0, 7)
LATER = LastRun(110.0, 8)


def answer(record: EntryRecord | None, age: float = 0.0) -> Answer:
    stamp = None if record is None else record.stamp
    return Answer(False, stamp, record, written=1000.0 - age, now=1000.0, sent=0.0)


def claimed(by: str, last: LastRun = LAST) -> EntryRecord:
    return EntryRecord(last, OpenClaim(due=110.0, next_base=110.0, by=by, ttl=10.0))


def move(found: Answer, *, sure_for: float = 60.0, known: LastRun = LAST) -> Move:
    return next_move(found, EntryView(known), by="me", sure_for=sure_for)


def test_where_the_store_has_no_record_the_beats_memory_counts() -> None:
    assert move(answer(None)) == TrustMemory()


@pytest.mark.parametrize("last", [LAST, LastRun(90.0, 6)], ids=["the same", "an earlier"])
def test_a_quiet_record_with_no_later_run_is_no_news(last: LastRun) -> None:
    assert move(answer(EntryRecord(last))) == TrustMemory()


def test_a_quiet_record_with_a_later_run_is_where_the_entry_goes_on() -> None:
    assert move(answer(EntryRecord(LATER))) == GoOn(LATER)


def test_a_claim_on_a_tick_that_is_known_to_be_confirmed_is_no_news() -> None:
    assert move(answer(claimed("other")), known=LATER) == TrustMemory()


def test_a_fresh_claim_of_this_beat_is_published() -> None:
    record = claimed("me")

    assert move(answer(record, age=7.9)) == Publish(record, record.claim)  # type: ignore[arg-type]


def test_a_claim_of_this_beat_that_is_no_longer_fresh_has_to_live_its_time() -> None:
    assert move(answer(claimed("me"), age=8.5)) == Wait(claimed("me"), 1.5)


def test_another_beats_claim_is_waited_for_while_it_has_time_left() -> None:
    assert move(answer(claimed("other"), age=4.0)) == Wait(claimed("other"), 6.0)


def test_another_beats_claim_has_its_whole_time_after_a_silence_of_the_store() -> None:
    assert move(answer(claimed("other"), age=30.0), sure_for=1.0) == Wait(claimed("other"), 9.0)


@pytest.mark.parametrize("by", ["other", "me", NOBODY])
def test_a_claim_that_has_lived_its_time_is_taken_over(by: str) -> None:
    record = claimed(by)

    assert move(answer(record, age=10.0)) == TakeOver(record, record.claim)  # type: ignore[arg-type]


def test_a_tick_that_was_given_up_needs_no_pause_after_a_silence_of_the_store() -> None:
    assert isinstance(move(answer(claimed(NOBODY), age=10.0), sure_for=1.0), TakeOver)
