"""The checker of histories finds what is wrong with one, and nothing in one that is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.faults.history import Finding, Run, find, read, runs_of


def run(start: float, end: float | None, token: int | None = None, **more: Any) -> Run:
    name = more.pop("name", f"run-{start}")
    known = {"key": "k", "task_id": name, "publication": name, "retry_no": 0, "pid": 1}
    return Run(name=name, start=start, end=end, token=token, **{"how": "done", **known, **more})


# -- overlaps --------------------------------------------------------------------------------


def test_runs_one_after_the_other_are_right() -> None:
    assert find([run(0, 1, 1), run(1, 2, 2), run(5, 6, 3)]).clean


def test_runs_are_taken_in_the_order_of_their_start() -> None:
    assert find([run(5, 6, 3), run(1, 2, 2), run(0, 1, 1)]).clean


def test_a_run_that_starts_before_the_end_of_another_is_an_overlap() -> None:
    first, second = run(0, 1, 1), run(0.99, 2, 2)

    found = find([first, second])

    assert found.overlaps == ((first, second),)
    assert not found.clean


def test_an_overlap_is_found_behind_a_run_in_between() -> None:
    long, within, later = run(0, 9, 1), run(1, 2, 2), run(3, 4, 3)

    assert find([long, within, later]).overlaps == ((long, within), (long, later))


def test_a_run_that_never_ended_overlaps_all_that_follow() -> None:
    open_one, later = run(0, None, 1, how="open"), run(99, 100, 2)

    assert find([open_one, later]).overlaps == ((open_one, later),)


def test_runs_of_two_keys_may_be_inside_at_once() -> None:
    assert find([run(0, 2, 1), run(1, 3, 1, key="other")]).clean


def test_an_overlap_with_a_run_that_was_told_of_its_loss_is_excused_and_shown() -> None:
    paused, later = run(0, 5, 1, lost=True), run(3, 4, 2)

    found = find([paused, later])

    assert found.clean
    assert found.excused == ((paused, later),)
    assert found.leases_lost == (paused,)


def test_the_one_that_came_later_excuses_nothing() -> None:
    first, later = run(0, 5, 1), run(3, 4, 2, lost=True)

    assert find([first, later]).overlaps == ((first, later),)


# -- tokens ----------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [6, 7])
def test_a_token_that_does_not_grow_is_found(token: int) -> None:
    first, second = run(0, 1, 7), run(2, 3, token)

    found = find([first, second])

    assert found.backward == ((first, second),)
    assert not found.clean


def test_the_next_retry_of_a_task_may_keep_its_lease() -> None:
    first = run(0, 1, 7, task_id="t", how="again")

    assert find([first, run(2, 3, 7, task_id="t", retry_no=1)]).clean
    assert not find([first, run(2, 3, 7, task_id="t", retry_no=0)]).clean
    assert not find([first, run(2, 3, 6, task_id="t", retry_no=1)]).clean


def test_plain_tasks_have_no_tokens_to_compare() -> None:
    assert find([run(0, 1), run(1, 2)]).clean


# -- lost and double -------------------------------------------------------------------------


def test_a_task_that_never_ran_is_lost() -> None:
    assert find([run(0, 1, task_id="a")], ["a", "b"]).lost == ("b",)


@pytest.mark.parametrize("how", ["cut", "dead", "open", "again"])
def test_a_task_that_no_run_brought_to_its_end_is_lost(how: str) -> None:
    assert find([run(0, 1, task_id="a", how=how)], ["a"]).lost == ("a",)


def test_a_task_that_was_cut_and_ran_again_is_not_lost() -> None:
    runs = [run(0, 1, 1, task_id="a", how="dead"), run(2, 3, 2, task_id="a")]

    assert find(runs, ["a"]) == Finding()


def test_a_publication_that_ended_twice_is_double() -> None:
    found = find([run(0, 1, 1, publication="p"), run(2, 3, 2, publication="p")])

    assert found.double == ("p",)
    assert not found.clean


def test_a_task_id_that_is_sent_twice_may_run_twice() -> None:
    twice = [
        run(0, 1, 1, task_id="a", publication="p"),
        run(2, 3, 2, task_id="a", publication="q"),
    ]

    assert find(twice, ["a"]).clean


def test_a_publication_that_was_cut_once_is_not_double() -> None:
    runs = [run(0, 1, 1, publication="p", how="cut"), run(2, 3, 2, publication="p")]

    assert find(runs).clean


# -- lines -----------------------------------------------------------------------------------


def line(what: str, at: float, **more: Any) -> dict[str, Any]:
    known = {"run": "r1", "key": "k", "task_id": "t", "publication": "p", "retry_no": 0, "pid": 7}
    return {"what": what, "at": at, **known, **more}


def test_a_run_ends_where_its_body_said_so() -> None:
    lines = [line("start", 1.0, token=5), line("end", 2.0, how="again", lost=True)]

    assert runs_of(lines) == [
        Run("r1", "k", "t", "p", 0, 7, start=1.0, end=2.0, token=5, how="again", lost=True)
    ]


def test_a_run_whose_process_died_ends_with_it() -> None:
    (dead,) = runs_of([line("start", 1.0), line("died", 3.0), line("died", 4.0)])

    assert (dead.end, dead.how) == (3.0, "dead")


def test_a_process_that_dies_later_has_not_ended_its_earlier_runs() -> None:
    (ended,) = runs_of([line("start", 1.0), line("end", 2.0, how="done"), line("died", 3.0)])

    assert (ended.end, ended.how) == (2.0, "done")


def test_a_run_that_the_next_one_found_dead_had_ended_before_it() -> None:
    """Who watches the process may be told of its death a little later than the next body."""
    lines = [
        line("start", 1.0),
        line("start", 2.0, run="r2", pid=8, dead=["r1"]),
        line("died", 2.1),
    ]

    first, second = runs_of(lines)

    assert first.end == 2.0
    assert find([first, second]).overlaps == ()


def test_a_run_of_which_nothing_more_is_known_is_open() -> None:
    (run_,) = runs_of([line("start", 1.0)])

    assert (run_.end, run_.how) == (None, "open")


def test_a_line_that_is_half_written_is_no_line(tmp_path: Path) -> None:
    file = tmp_path / "history"
    file.write_text('{"what": "start"}\n{"what": "en')

    assert read(file) == [{"what": "start"}]
    assert read(tmp_path / "none") == []
