"""Log lines: what they say, and that no burst fills a disk or hides a loss."""

from __future__ import annotations

import json
import logging
import math
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from celery.app.log import TaskFormatter

from celery_lock.errors import span
from celery_lock.events import Fact, Observers, Subject
from celery_lock.events.log_lines import LogLines
from celery_lock.events.log_words import words
from celery_lock.model import Decision, Holder
from celery_lock.policies import fail, requeue, skip, wait

from .facts import (
    ONE_OF_EACH,
    acquired,
    conflicted,
    copy_dropped,
    lost,
    released,
    store_failed,
    switched_off,
)
from .forking import holds_in_a_child

DAY = 86_400.0


class Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self.records]

    @property
    def levels(self) -> list[str]:
        return [record.levelname for record in self.records]


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def logger(kept: Kept) -> logging.Logger:
    logger = logging.Logger("celery_lock.of_a_test", logging.INFO)
    logger.addHandler(kept)
    return logger


@pytest.fixture
def lines(time: Time, logger: logging.Logger) -> LogLines:
    return LogLines(time, logger)


def said(fact: Fact) -> str:
    template, *values = words(fact)
    return str(template % tuple(values))


# -- what a line says ------------------------------------------------------------------------


def test_a_skip_names_the_key_its_holder_and_what_was_decided() -> None:
    assert said(conflicted(skip())) == (
        "Task shop.charge[id-1]: skipped, will not run: lock 'user:7' is held by task id-2 on web-1"
        " (pid 17) since 2023-11-14 22:13:20 UTC, free in at most 12.2 s unless renewed; attempt 1"
    )


@pytest.mark.parametrize(
    ("decision", "decided"),
    [
        (requeue(), "sent again to run later"),
        (wait(10), "waits here for up to 10 s"),
        (fail(), "fails with LockConflict"),
    ],
)
def test_each_decision_is_said(decision: Decision, decided: str) -> None:
    assert f": {decided}: lock 'user:7'" in said(conflicted(decision, attempt=3))


def test_what_is_not_known_of_a_holder_is_left_out() -> None:
    assert "is held by task id-2, free" in said(conflicted(holder=Holder("id-2")))


def test_a_moment_that_is_none_does_not_cost_the_line() -> None:
    assert "since 1e+300," in said(conflicted(holder=Holder("id-2", since=1e300)))


def test_what_another_program_wrote_stays_on_one_line() -> None:
    forged = "x\nERROR all is lost"

    lines = [
        said(conflicted(key=forged, holder=Holder(forged, node=forged))),
        said(lost(by=forged)),
        said(store_failed(error=forged)),
    ]

    assert all("\n" not in line for line in lines)


def test_a_loss_says_why_and_by_whom() -> None:
    assert "lock 'user:7' LOST (expired), token 5" in said(lost())
    assert "LOST (taken by id-2), token 5" in said(lost(reason="taken", by="id-2"))


def test_a_late_release_says_what_may_have_happened() -> None:
    assert said(released()).endswith("given back after 1.5 s, token 5")
    assert "another task may have run at the same time" in said(released(in_time=False))


def test_a_failing_store_is_named_once_with_what_happens_now() -> None:
    assert said(store_failed()) == (
        "Task shop.charge[id-1]: acquire of lock 'user:7' failed: the lock store redis://db:6379/1"
        " is not available: no answer within 2 s; the task is sent again to run later"
    )
    assert "failed at the store redis://db:6379/1: refused" in said(store_failed(error="refused"))
    assert "WITHOUT a lock" in said(store_failed(answer="run"))


def test_a_hold_outside_a_task_is_named_and_no_task_is() -> None:
    hold = Holder.outside("web-1", 17, "ab.3")
    nobody = Subject(task="", task_id="", template="user:{user_id}")

    assert "is held by hold() on web-1 (pid 17), free" in said(conflicted(holder=hold))
    assert said(acquired(nobody)).startswith("hold(): lock 'user:7' taken")
    assert said(store_failed(nobody, answer="fail")).endswith("; hold() raises it")
    assert said(store_failed(nobody, answer="retry")).endswith("tried again in the background")


def test_a_beat_says_what_it_does_without_a_store_and_names_no_task() -> None:
    waits = said(store_failed(call="tick", answer="wait", error="refused"))
    fires = said(store_failed(call="tick", answer="fire", error="refused"))

    assert waits == (
        "beat: no tick can be claimed at the store redis://db:6379/1: refused; what is due waits,"
        " and runs once when it answers"
    )
    assert fires.endswith("every beat publishes what is due, with the same task id")


def test_an_acquire_says_its_token_and_its_wait() -> None:
    assert "'user:7' taken, token 5, after a wait of 0.3 s" in said(acquired(waited=0.3))


@pytest.mark.parametrize(
    "fact",
    [
        acquired(token=None),
        lost(token=None),
        released(token=None),
        released(token=None, in_time=False),
    ],
    ids=["acquired", "lost", "released", "released late"],
)
def test_a_store_without_tokens_is_heard_of_as_well(fact: Fact) -> None:
    assert "token" not in said(fact)


def test_lines_of_one_kind_share_their_template() -> None:
    for fact, other in zip(
        ONE_OF_EACH,
        (
            acquired(key="b", waited=3.0),
            conflicted(wait(3), attempt=2, key="b"),
            copy_dropped(key="b", publication="tag-2"),
            lost(key="b", by="x"),
            released(key="b"),
            store_failed(key="b", error="c"),
            switched_off(key="b"),
        ),
        strict=True,
    ):
        assert words(fact)[0] == words(other)[0]


# -- levels ----------------------------------------------------------------------------------


def test_at_info_a_healthy_lock_says_nothing(lines: LogLines, kept: Kept) -> None:
    for fact in (acquired(), conflicted(requeue(), 2), conflicted(wait(1), 2), released()):
        lines(fact)

    assert kept.lines == []


def test_at_info_trouble_is_heard(lines: LogLines, kept: Kept) -> None:
    for fact in (
        conflicted(skip()),
        conflicted(requeue()),
        lost(),
        released(in_time=False),
        store_failed(),
    ):
        lines(fact)

    assert kept.levels == ["INFO", "INFO", "WARNING", "WARNING", "ERROR"]


def test_at_debug_everything_is_heard(lines: LogLines, kept: Kept, logger: logging.Logger) -> None:
    logger.setLevel(logging.DEBUG)

    for _ in range(1000):
        lines(acquired())
        lines(released())

    assert kept.levels == ["DEBUG"] * 2000


# -- budgets ---------------------------------------------------------------------------------


def test_a_burst_of_ten_thousand_conflicts_writes_a_hundred_lines_and_one_sum(
    lines: LogLines, kept: Kept, time: Time
) -> None:
    for _ in range(10_000):
        lines(conflicted())
        time.now += 0.001
    written = len(kept.lines)
    time.now += 60
    lines(conflicted())

    assert written == 100
    assert len(kept.lines) == 102
    assert "9900 more lines like this one were left out, to write at most 100" in kept.lines[100]
    assert kept.levels[100:] == ["INFO", "INFO"]


def test_no_sixty_seconds_have_more_than_their_lines_wherever_a_minute_begins(
    lines: LogLines, kept: Kept, time: Time
) -> None:
    moments: list[float] = []
    for at, conflicts in ((0, 1), (59, 99), (60, 200), (119, 200), (121, 200), (180.5, 200)):
        time.now = 1000.0 + at
        before = len(kept.records)
        for _ in range(conflicts):
            lines(conflicted())
        moments += [at for line in kept.lines[before:] if "left out" not in line]

    assert len(moments) == 300
    assert all(sum(at <= m < at + 60 for m in moments) <= 100 for at in moments)


def test_too_much_for_long_gives_one_sum_a_minute(lines: LogLines, kept: Kept, time: Time) -> None:
    for second in range(600):
        for _ in range(1 if second < 50 else 20):
            lines(conflicted())
        time.now += 1

    sums = [line for line in kept.lines if "left out" in line]
    assert 5 <= len(sums) <= 10
    assert len(kept.lines) - len(sums) >= 500


def test_a_steady_trickle_is_written_whole(lines: LogLines, kept: Kept, time: Time) -> None:
    for _ in range(1000):
        lines(conflicted())
        time.now += 0.61

    assert len(kept.lines) == 1000


@pytest.mark.parametrize("next_fact", [acquired(), conflicted(), released(), store_failed()])
def test_the_sum_of_a_burst_that_has_ended_comes_with_whatever_happens_next(
    lines: LogLines, kept: Kept, time: Time, next_fact: Fact
) -> None:
    for _ in range(150):
        lines(conflicted())

    time.now += 60
    lines(next_fact)
    lines(next_fact)

    assert [line for line in kept.lines if "50 more lines" in line] == [kept.lines[100]]


def test_the_sum_does_not_come_before_its_minute_is_over(
    lines: LogLines, kept: Kept, time: Time
) -> None:
    for _ in range(150):
        lines(conflicted())

    time.now += 59
    lines(acquired())

    assert len(kept.lines) == 100


def test_each_sum_waits_for_its_own_minute(lines: LogLines, kept: Kept, time: Time) -> None:
    for _ in range(150):
        lines(conflicted())
    time.now += 50
    for _ in range(150):
        lines(lost())

    time.now += 10
    lines(acquired())
    after_a_minute = kept.lines[200:]
    time.now += 50
    lines(acquired())

    assert ["LOST" in line for line in after_a_minute] == [False]
    assert ["LOST" in line for line in kept.lines[200:]] == [False, True]


def test_the_end_of_a_process_says_the_sum(lines: LogLines, kept: Kept) -> None:
    for _ in range(150):
        lines(conflicted())

    lines.flush()
    lines.flush()

    assert len(kept.lines) == 101
    assert "50 more lines" in kept.lines[100]


def test_an_interpreter_that_ends_says_the_sum() -> None:
    program = (
        "import logging; logging.basicConfig(level='INFO');"
        "from tests.unit.facts import conflicted;"
        "from celery_lock.events.log_lines import log_lines;"
        "[log_lines(conflicted()) for _ in range(150)]"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )

    assert "50 more lines" in ended.stderr.splitlines()[-1]


def test_a_burst_of_conflicts_hides_no_loss(lines: LogLines, kept: Kept) -> None:
    for _ in range(500):
        lines(conflicted())
    lines(lost())
    lines(released(in_time=False))
    lines(store_failed())

    assert kept.levels[100:] == ["WARNING", "WARNING", "ERROR"]


def test_lines_that_nobody_wants_use_up_no_budget(lines: LogLines, kept: Kept, time: Time) -> None:
    for _ in range(500):
        lines(conflicted(requeue(), attempt=2))
    lines(conflicted(requeue()))
    time.now += 60
    lines(conflicted(requeue()))

    assert len(kept.lines) == 2
    assert not any("left out" in line for line in kept.lines)


def test_a_store_that_fails_is_an_error_once_a_minute(
    lines: LogLines, kept: Kept, time: Time
) -> None:
    for _ in range(360):  # three minutes
        lines(store_failed())
        time.now += 0.5

    assert kept.levels == ["ERROR", "WARNING", "ERROR", "WARNING", "ERROR"]
    assert "119 more lines like this one were left out, to write at most 1 a" in kept.lines[1]


def test_one_line_that_is_left_out_is_no_more_than_one(
    lines: LogLines, kept: Kept, time: Time
) -> None:
    for _ in range(2):
        lines(store_failed())
    time.now += 60
    lines(store_failed())

    assert "1 more line like this one was left out, to write at most 1 a" in kept.lines[1]


def test_each_kind_of_failure_is_said_by_itself(lines: LogLines, kept: Kept) -> None:
    for _ in range(10):
        lines(store_failed())
        lines(store_failed(call="renew", answer="retry"))
        lines(store_failed(url="redis://other:6379/0"))

    assert kept.levels == ["ERROR"] * 3


def test_threads_share_one_budget(lines: LogLines, kept: Kept) -> None:
    def burst() -> None:
        for _ in range(500):
            lines(conflicted())

    threads = [threading.Thread(target=burst) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines.flush()

    assert len(kept.lines) == 101
    assert "1900 more lines" in kept.lines[100]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_has_its_own_budget_though_the_mutex_was_taken(
    lines: LogLines, kept: Kept
) -> None:
    for _ in range(150):
        lines(conflicted())
    kept.records.clear()

    def writes_a_line_and_no_sum() -> bool:
        lines.flush()
        lines(conflicted())
        return len(kept.lines) == 1

    with lines._own.value.mutex:
        assert holds_in_a_child(writes_a_line_and_no_sum)


def test_a_handler_that_comes_to_a_lock_itself_does_not_hang(
    lines: LogLines, kept: Kept, logger: logging.Logger
) -> None:
    class Locking(logging.Handler):
        """Runs a locked task for a line, as a handler that mails by Celery would when eager."""

        def emit(self, record: logging.LogRecord) -> None:
            if record.levelname == "WARNING":
                lines(conflicted())

    logger.addHandler(Locking())

    lines(lost())

    assert kept.levels == ["WARNING", "INFO"]


class Request:
    """A filter that reads what only a web request has, and fails everywhere else."""

    def __init__(self, *but: str) -> None:
        self.but = but

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelname not in self.but:
            raise RuntimeError("working outside of a request")
        return True


def test_a_filter_that_raises_costs_a_line_and_no_more(
    lines: LogLines, kept: Kept, logger: logging.Logger, capfd: pytest.CaptureFixture[str]
) -> None:
    logger.addFilter(Request("WARNING"))

    lines(conflicted())
    lines(lost())

    assert kept.levels == ["WARNING"]
    assert "RuntimeError: working outside of a request" in capfd.readouterr().err


def test_a_sum_that_cannot_be_written_costs_nothing_else(
    lines: LogLines, kept: Kept, time: Time, logger: logging.Logger
) -> None:
    for _ in range(200):
        lines(conflicted())
    time.now += 61
    logger.addFilter(Request("WARNING"))

    lines(lost())

    assert kept.levels[100:] == ["WARNING"]


def test_lines_go_to_the_logger_of_the_package(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "celery_lock"):
        observers = Observers(LogLines(Time()))
        for fact in ONE_OF_EACH:
            observers.notify(fact)

    assert Counter(record.name for record in caplog.records) == {"celery_lock": 7}
    assert [record.levelname for record in caplog.records] == [
        "DEBUG",
        "INFO",
        "INFO",
        "WARNING",
        "DEBUG",
        "ERROR",
        "INFO",
    ]


# -- words that are true ---------------------------------------------------------------------


def test_a_floor_is_not_said_to_be_held_by_a_holder_that_has_ended() -> None:
    assert said(conflicted(skip(), live=False, expires_in=86_340.0)) == (
        "Task shop.charge[id-1]: skipped, will not run: lock 'user:7' is kept taken by at_least,"
        " free in 23 h 59 min; its last holder was task id-2 on web-1 (pid 17)"
        " since 2023-11-14 22:13:20 UTC; attempt 1"
    )


def test_a_key_that_is_kept_for_a_retry_is_not_said_to_be_held() -> None:
    retry = Holder.for_retry("id-2", 3)

    assert said(conflicted(requeue(), holder=retry, expires_in=90_000.0)) == (
        "Task shop.charge[id-1]: sent again to run later: lock 'user:7' is kept for retry 3 of task"
        " id-2, for at most 1 day 1 h; attempt 1"
    )


def test_who_gave_up_waiting_is_not_said_to_meet_a_conflict() -> None:
    assert "fails with LockConflict:" in said(conflicted(fail()))
    assert "fails with LockWaitTimeout:" in said(conflicted(fail(), waited_out=True))
    assert "skipped, will not run:" in said(conflicted(skip(), waited_out=True))


def test_long_durations_are_written_as_people_say_them() -> None:
    assert "free in at most 2 h 00 min unless" in said(conflicted(expires_in=7199.7))
    assert "after a wait of 10 min 00 s" in said(acquired(waited=600.0))
    assert "given back after 23 h 59 min," in said(released(held=86_340.0))
    assert "given back after 3 days, token 5, but" in said(released(held=3 * DAY, in_time=False))
    assert "waits here for up to 15 min 00 s:" in said(conflicted(wait(900)))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (119.94, "119.9 s"),
        (119.96, "2 min 00 s"),
        (3599.6, "1 h 00 min"),
        (86_399.6, "1 day"),
        (90_000.0, "1 day 1 h"),
        (86_340.0, "23 h 59 min"),
        (7 * DAY, "7 days"),
        (math.inf, "inf s"),
        (math.nan, "nan s"),
    ],
)
def test_a_span_is_said_in_the_two_units_that_matter(seconds: float, text: str) -> None:
    assert span(seconds) == text


# -- fields ----------------------------------------------------------------------------------


def test_a_record_has_the_facts_as_fields(lines: LogLines, kept: Kept) -> None:
    lines(conflicted(requeue()))

    (record,) = kept.records
    fields = vars(record)
    assert (fields["key"], fields["template"]) == ("user:7", "user:{user_id}")
    assert (fields["holder"], fields["holder_task"]) == ("id-2#web-1#17#ab", "id-2")
    assert (fields["attempt"], fields["decision"]) == (1, "requeue")
    assert (fields["task_id"], fields["task_name"]) == ("id-1", "shop.charge")
    assert record.name == "celery_lock.of_a_test"


@pytest.mark.parametrize("fact", ONE_OF_EACH, ids=lambda fact: type(fact).__name__)
def test_every_record_has_its_key_and_template_and_goes_through_json(
    lines: LogLines, kept: Kept, logger: logging.Logger, fact: Fact
) -> None:
    logger.setLevel(logging.DEBUG)
    plain = vars(logging.makeLogRecord({}))

    lines(fact)

    (record,) = kept.records
    own = {name: value for name, value in vars(record).items() if name not in plain}
    assert (own["key"], own["template"]) == ("user:7", "user:{user_id}")
    assert json.loads(json.dumps(own, allow_nan=False)) == own


def test_a_sum_has_the_fields_of_the_last_line_and_their_number(
    lines: LogLines, kept: Kept, time: Time
) -> None:
    for _ in range(130):
        lines(conflicted())
    lines.flush()

    fields = vars(kept.records[-1])
    assert (fields["key"], fields["left_out"]) == ("user:7", 30)


def test_celerys_formatter_names_the_task_of_a_line_outside_of_any_task(
    lines: LogLines, kept: Kept
) -> None:
    lines(lost())

    line = TaskFormatter("%(task_name)s[%(task_id)s] %(key)s", use_color=False).format(
        kept.records[0]
    )

    assert line == "shop.charge[id-1] user:7"


def test_a_users_own_record_factory_may_have_fields_of_these_names(
    lines: LogLines, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Record(logging.LogRecord):
        """What many projects add to each of their records."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.task_id, self.key = "theirs", "theirs"

    monkeypatch.setattr(logging, "_logRecordFactory", Record)

    lines(lost())

    (record,) = kept.records
    assert (vars(record)["key"], vars(record)["template"]) == ("theirs", "user:{user_id}")
