"""What the matrix calls wrong."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.faults.bodies import tell
from tests.faults.rows import LONG_TTL, Row, rows
from tests.faults.scenario import SOON, Outcome, Trial, outcome
from tests.faults.watch import noticed

FIRST, NEXT = "first", "next"


def row(ending: str) -> Row:
    return next(one for one in rows() if one.ending.name == ending and one.pool == "prefork")


class WrittenTrials:
    """Two trials of one row, with histories that are written by hand."""

    def __init__(self, folder: Path, ending: str) -> None:
        self.trials = []
        for twin in ("locked", "plain"):
            watch: Any = SimpleNamespace(passed_on={}, reaped={})
            sent = [FIRST, NEXT]
            book = folder / twin
            self.trials.append(Trial(row(ending), twin, twin, book, FIRST, sent, watch))

    def run(
        self,
        task_id: str,
        start: float,
        end: float | None,
        *,
        how: str = "done",
        lost: bool = False,
        twin: str = "both",
        token: int | None = None,
    ) -> None:
        for trial in self.trials:
            if twin in ("both", trial.twin):
                name = f"{task_id}-{start}"
                told = {"run": name, "key": trial.key, "task_id": task_id, "publication": name}
                more = {
                    "pid": 7,
                    "retry_no": 0,
                    "token": token or round(start * 10),
                    "holder": name,
                }
                tell(trial.book, "start", **told, **{**more, "at": start})
                if end is not None:
                    tell(trial.book, "end", **told, how=how, lost=lost, **{"at": end})

    def died(self, at: float, *, reaped: float) -> None:
        for trial in self.trials:
            tell(trial.book, "died", pid=7, **{"at": at})
            trial.watch.reaped[7] = reaped  # type: ignore[union-attr]  # it is there

    def judge(self) -> Outcome:
        return outcome(*self.trials)


@pytest.fixture
def written(tmp_path: Path) -> WrittenTrials:
    return WrittenTrials(tmp_path, "return")


def test_one_after_the_other_is_as_promised(written: WrittenTrials) -> None:
    written.run(FIRST, 1.0, 2.0)
    written.run(NEXT, 2.1, 3.0)

    judged = written.judge()

    assert judged.verdict == "ok"
    assert judged.seconds == pytest.approx(0.1)


def test_an_overlap_is_wrong(written: WrittenTrials) -> None:
    written.run(FIRST, 1.0, 2.0)
    written.run(NEXT, 1.9, 3.0)

    assert written.judge().wrong == ("1 overlaps",)


def test_a_plain_task_s_overlap_is_not(written: WrittenTrials) -> None:
    written.run(FIRST, 1.0, 2.0)
    written.run(NEXT, 1.9, 3.0, twin="plain")
    written.run(NEXT, 2.1, 3.0, twin="locked")

    assert written.judge().wrong == ()


def test_a_key_that_was_free_too_late_is_wrong(written: WrittenTrials) -> None:
    written.run(FIRST, 1.0, 2.0)
    written.run(NEXT, 2.0 + SOON + 0.2, 9.0)

    assert written.judge().wrong == ("the key was free after 1.2 s, not 1",)


def test_a_key_that_was_never_free_is_wrong(written: WrittenTrials) -> None:
    written.run(FIRST, 1.0, 2.0)
    written.run(NEXT, 2.1, 3.0, twin="plain")

    assert written.judge().wrong == ("1 did not run, 0 without a lock", "the key stayed taken")


def test_what_a_plain_task_loses_too_is_no_fault_of_the_lock(written: WrittenTrials) -> None:
    written.run(FIRST, 1.0, 2.0, how="cut")
    written.run(NEXT, 2.1, 3.0)

    assert written.judge().wrong == ()


def test_a_task_that_only_the_lock_lost_is_wrong(written: WrittenTrials) -> None:
    written.run(FIRST, 1.0, 2.0, how="cut", twin="locked")
    written.run(FIRST, 1.0, 2.0, twin="plain")
    written.run(NEXT, 2.1, 3.0)

    assert written.judge().wrong == ("1 did not run, 0 without a lock",)


def test_a_lost_lease_is_wrong_where_nothing_explains_it(written: WrittenTrials) -> None:
    written.run(FIRST, 1.0, 2.0, lost=True)
    written.run(NEXT, 2.1, 3.0)

    assert written.judge().wrong == ("a lease was lost",)


def test_of_a_paused_worker_only_its_own_lease_may_be_lost(tmp_path: Path) -> None:
    written = WrittenTrials(tmp_path, "paused past its ttl")
    written.run(FIRST, 1.0, 5.0, lost=True)
    written.run(NEXT, 3.0, 6.0)

    assert written.judge().wrong == ()

    written.run("another", 5.5, 7.0)
    assert written.judge().wrong == ("1 overlaps",)


def test_the_seconds_until_celery_has_noticed_a_death_are_told_apart(tmp_path: Path) -> None:
    written = WrittenTrials(tmp_path, "child killed")
    written.run(FIRST, 1.0, None)
    written.died(2.0, reaped=5.0)
    written.run(NEXT, 5.3, 6.0)

    judged = written.judge()

    assert judged.wrong == ()
    assert judged.seconds == pytest.approx(3.3)
    assert judged.unnoticed == pytest.approx(3.0)
    assert judged.seconds < LONG_TTL


def test_celery_s_log_says_when_it_noticed_a_death() -> None:
    now = time.time()
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    exited = "MainProcess] Process 'ForkPoolWorker-4' pid:1827 exited with 'signal 9 (SIGKILL)'"
    log = f"something else\n[{when},250: ERROR/{exited}\n"

    (seen,) = noticed(log).items()

    assert seen[0] == 1827
    assert seen[1] == pytest.approx(int(now) + 0.25 - (time.time() - time.monotonic()), abs=0.01)
