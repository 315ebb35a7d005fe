"""However a task ends, its lock ends with it: the endings that matter most, in prefork."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.bodies import CLEANUP
from tests.faults.history import Run, find, read, runs_of
from tests.faults.plan import judged, sessions
from tests.faults.rows import EARLY, LONG_TTL, REJECT, Row, rows
from tests.faults.scenario import Outcome, Target, play, target_of
from tests.faults.setup import NEXT, SEEN, Setup, setups
from tests.services import STALL, wait_for

SHARED = (
    "child killed",
    "hard time limit",
    "hard time limit, SystemExit swallowed",
    "revoked with TERM",
    "revoked with KILL",
    "retry at once",
    "Reject, requeued",
)
ALONE = ("cold shutdown",)
CHOSEN = [
    row
    for row in rows()
    if row.pool == "prefork"
    and row.acks.name in (EARLY, REJECT)
    and row.ending.name in (*SHARED, *ALONE)
]


def ending(name: str) -> Row:
    return next(row for row in CHOSEN if row.ending.name == name and row.acks.name == EARLY)


@pytest.fixture(scope="module")
def setup(redis_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    folder = tmp_path_factory.mktemp("endings")
    with setups(redis_binary, folder, [SEEN]) as made:
        yield made[SEEN.name]


@pytest.fixture(scope="module")
def target(setup: Setup) -> Iterator[Target]:
    with target_of(setup, ending("child killed").ending, "prefork", 4) as target:
        yield target


@pytest.fixture(scope="module")
def outcome_of(setup: Setup, target: Target) -> Callable[[Row], Outcome]:
    """Plays an ending when it is first asked for, with all its acks modes at once."""
    known: dict[str, Outcome] = {}

    def look(row: Row) -> Outcome:
        if row.name not in known:
            some = [one for one in CHOSEN if one.ending is row.ending]
            if row.ending.alone:
                outcomes = [one for session in sessions(some) for one in session.play(setup)]
            else:
                outcomes = judged(some, play(target, some), STALL)
            known.update({one.row.name: one for one in outcomes})
        return known[row.name]

    return look


@pytest.mark.parametrize("row", CHOSEN, ids=lambda row: row.name)
def test_a_key_is_free_as_soon_as_the_end_is_seen_and_no_task_is_lost(
    outcome_of: Callable[[Row], Outcome], row: Row
) -> None:
    """The ttl is half a minute: who gets the key has not waited for that."""
    outcome = outcome_of(row)

    assert outcome.verdict == "ok", outcome


# -- one task of its own --------------------------------------------------------------------


@dataclass
class OneKey:
    """Tasks of one key, sent by hand."""

    setup: Setup
    book: Path
    key: str

    def send(self, task: str, queue: str, *args: Any, **options: Any) -> str:
        result = self.setup.app.tasks[f"faults.{task}"].apply_async(
            (str(self.book), self.key, *args), queue=queue, **options
        )
        return str(result.id)

    def runs(self, task_id: str = "") -> list[Run]:
        runs = sorted(runs_of(read(self.book)), key=lambda run: run.start)
        return [run for run in runs if task_id in ("", run.task_id)]

    def ended(self, task_id: str) -> Run:
        def last() -> Run | None:
            return next((run for run in self.runs(task_id) if run.how == "done"), None)

        run = wait_for(last, "the task's end", explain=lambda: str(self.runs()))
        assert run is not None
        return run

    def facts(self, name: str, task_id: str) -> int:
        """How often the workers told it."""
        lines = read(self.setup.facts)
        return sum(line["what"] == name and line["task_id"] == task_id for line in lines)


@pytest.fixture
def one_key(setup: Setup, tmp_path: Path) -> OneKey:
    return OneKey(setup, tmp_path / "book.jsonl", uuid.uuid4().hex[:8])


def test_a_retry_does_not_meet_the_lock_of_the_run_that_sent_it(
    target: Target, one_key: OneKey
) -> None:
    """The first run goes on for a while after it has sent the second one."""
    task_id = one_key.send("locked.early", target.queue, "retries")

    last = one_key.ended(task_id)

    first = one_key.runs(task_id)[0]
    assert first.how == "again"
    assert first.end is not None
    assert last.start - first.end < 1.0 + STALL
    assert find(one_key.runs(), [task_id]).clean
    assert one_key.facts("Conflicted", task_id) == 0, f"it was sent again for {CLEANUP} s"


def test_a_hard_time_limit_gives_the_key_back_once(target: Target, one_key: OneKey) -> None:
    """Celery tells of it twice, and the second time without the task's id."""
    task_id = one_key.send("locked.early", target.queue, "waits", time_limit=1)
    wait_for(lambda: one_key.runs(task_id), "its body")
    after = one_key.send("locked.next", NEXT, 0.1)

    one_key.ended(after)

    assert find(one_key.runs()).clean
    time.sleep(0.5)  # for a second one
    assert one_key.facts("Released", task_id) == 1


def test_a_key_that_is_kept_across_retries_is_given_to_nobody_between_them(
    target: Target, one_key: OneKey
) -> None:
    task_id = one_key.send("across.early", target.queue, "retries later")
    wait_for(lambda: one_key.runs(task_id), "its body")
    after = one_key.send("across.next", NEXT, 0.1)

    came = one_key.ended(after)

    first, last = one_key.runs(task_id)
    assert (first.how, last.how) == ("again", "done")
    assert last.end is not None
    assert last.end <= came.start < last.end + 1.0 + STALL
    assert find(one_key.runs(), [task_id, after]).clean


def test_a_cold_shutdown_keeps_no_key_for_a_retry_that_nobody_sent(
    setup: Setup, one_key: OneKey
) -> None:
    """Celery tells of a retry then (acks early), and sends nothing."""
    with target_of(setup, ending("cold shutdown").ending, "prefork", 1) as target:
        task_id = one_key.send("across.early", target.queue, "waits")
        wait_for(lambda: one_key.runs(task_id), "its body")
        after = one_key.send("across.next", NEXT, 0.1)
        time.sleep(0.2)  # it waits for the key

        target.worker.process.signal(signal.SIGQUIT)

        came = one_key.ended(after)
        cut = one_key.runs(task_id)[0]
        assert cut.how == "cut"
        assert cut.end is not None
        assert came.start - cut.end < 1.0 + STALL < LONG_TTL
