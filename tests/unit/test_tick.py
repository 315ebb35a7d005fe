"""The header of a tick: which publication it is, what it keeps, and what a message says of it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from celery_lock import LockError
from celery_lock.keys import UNKNOWN, MessageContext
from celery_lock.message import HEADER, Header, tick_header

DUE = 1_795_442_400.0
AT = datetime(2026, 11, 23, 14, tzinfo=timezone.utc)


def read(value: Any, *, retries: int = 0, nesting: int = 0) -> Header:
    return Header.read({HEADER: value}, retries=retries, nesting=nesting)


# -- what the scheduler writes ---------------------------------------------------------------


def test_a_tick_is_named_by_its_schedule_its_entry_and_its_time() -> None:
    header = read(tick_header("shop", "nightly", DUE))

    assert header.publication == "beat:shop:nightly:2026-11-23T14:00:00+00:00"
    assert header.beat == {"entry": "nightly", "due": "2026-11-23T14:00:00+00:00"}
    assert header.first_published == DUE
    assert header.key is None


def test_two_schedulers_write_the_same() -> None:
    assert tick_header("shop", "nightly", DUE) == tick_header("shop", "nightly", DUE)


def test_another_app_entry_or_time_is_another_publication() -> None:
    ticks = [
        ("shop", "nightly", DUE),
        ("shop", "nightly", DUE + 0.000001),
        ("shop", "hourly", DUE),
        ("blog", "nightly", DUE),
        ("a", "b:c", DUE),
        ("a:b", "c", DUE),
        ("a%3Ab", "c", DUE),
    ]

    assert len({tick_header(*tick)["publication"] for tick in ticks}) == len(ticks)


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.000001, 0.999999])
def test_the_time_of_a_tick_is_read_back_to_the_microsecond(fraction: float) -> None:
    written = tick_header("shop", "nightly", DUE + fraction)["beat"]["due"]

    assert datetime.fromisoformat(written) == AT + timedelta(seconds=fraction)


def test_a_tick_goes_through_json() -> None:
    written = tick_header("shop", "nightly", DUE + 0.25)

    assert json.loads(json.dumps(written)) == written


def test_a_key_that_the_schedules_author_named_is_kept_and_holds_for_retries() -> None:
    written = tick_header("shop", "nightly", DUE, {"v": 1, "key": "report", "theirs": 1})

    assert (read(written).key, read(written).extra) == ("report", {"theirs": 1})
    assert read(written, retries=2).key == "report"


def test_what_somebody_wrote_of_another_message_does_not_count() -> None:
    old = {"v": 1, "publication": "p", "attempt": 4, "first_conflict": 5.0, "retries": 0}

    assert tick_header("shop", "nightly", DUE, old) == tick_header("shop", "nightly", DUE)


@pytest.mark.parametrize("due", [float("nan"), float("inf"), 1e20])
def test_a_time_that_is_none_is_refused(due: float) -> None:
    with pytest.raises(LockError, match=r"tick of 'nightly' is due at .*, which is no time"):
        tick_header("shop", "nightly", due)


@pytest.mark.parametrize("given", ["report", {"key": 5}])
def test_a_header_of_the_author_that_is_none_is_refused(given: Any) -> None:
    with pytest.raises(LockError, match="celery_lock"):
        tick_header("shop", "nightly", DUE, given)


# -- what a message keeps of it --------------------------------------------------------------


def test_a_retry_knows_its_tick_and_is_a_publication_of_its_own() -> None:
    header = read(tick_header("shop", "nightly", DUE), retries=1)

    assert header.publication is None
    assert header.beat == {"entry": "nightly", "due": "2026-11-23T14:00:00+00:00"}
    assert header.first_published == DUE


def test_a_replacement_knows_its_tick_and_is_a_publication_of_its_own() -> None:
    header = read(tick_header("shop", "nightly", DUE), nesting=1)

    assert header.publication is None
    assert header.context == MessageContext("nightly", AT, DUE)


def test_a_message_that_is_sent_again_is_the_same_tick() -> None:
    header = read(tick_header("shop", "nightly", DUE))

    assert read(read(header.conflicted(5.0).write()).write()) == header.conflicted(5.0)


def test_a_retry_that_is_sent_again_is_the_same_tick() -> None:
    retry = read(tick_header("shop", "nightly", DUE), retries=1)

    assert read(retry.write(), retries=1) == retry
    assert read(retry.write(), retries=2).beat == retry.beat


@pytest.mark.parametrize("due", ["2026-11-23T14:00:00+00:00", "2026-11-23T15:00:00+01:00",
                                 "2026-11-23T14:00:00Z"])  # fmt: skip
def test_a_key_can_show_the_tick_in_utc(due: str) -> None:
    header = read({"v": 1, "beat": {"entry": "nightly", "due": due}, "first_published": 7})

    assert header.context == MessageContext("nightly", AT, 7)


def test_a_message_without_a_tick_has_nothing_to_show() -> None:
    assert read({"v": 1, "key": "k"}).context is UNKNOWN
    assert read({"v": 1, "first_published": 7.5}).context == MessageContext(first_published=7.5)


# -- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "nightly",
        5,
        [],
        {},
        {"entry": "nightly"},
        {"due": "2026-11-23T14:00:00+00:00"},
        {"entry": 5, "due": "2026-11-23T14:00:00+00:00"},
        {"entry": "nightly", "due": DUE},
        {"entry": "nightly", "due": "tomorrow"},
        {"entry": "nightly", "due": "2026-11-23T14:00:00"},
        {"entry": "nightly", "due": "0001-01-01T00:00:00+14:00"},
    ],
)
def test_a_tick_that_is_none_is_refused_with_what_to_send(value: Any) -> None:
    with pytest.raises(LockError, match=r"field 'beat' .* is no tick; send \{\"entry\""):
        read({"v": 1, "beat": value})


@pytest.mark.parametrize("value", ["", "5", True, [5], float("nan"), float("inf"), 1e20])
def test_a_time_of_publication_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(LockError, match=r"field 'first_published' .* is no (number|time)"):
        read({"v": 1, "first_published": value})
