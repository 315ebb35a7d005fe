"""The demo's own judgement: each thing that can go wrong is found, and nothing else."""

from __future__ import annotations

from examples.point_charging.points import Hold
from examples.point_charging.show import lost_update
from examples.point_charging.story import TopUp
from examples.point_charging.verdict import Verdict, judge

TOP_UPS = [TopUp(0, 1, 10), TopUp(1, 1, 20), TopUp(2, 2, 5)]


def hold(
    top_up_id: int, start: float, end: float, token: int | None = None, user_id: int = 1
) -> Hold:
    return Hold(top_up_id, user_id, "A", start, end, 100, 110, token)


def verdict(balances: dict[int, int], *history: Hold) -> Verdict:
    return judge(TOP_UPS, 100, balances, history)


RIGHT = (hold(0, 0, 1, 7), hold(1, 1, 2, 8), hold(2, 0.5, 1.5, 3, user_id=2))
SUMS = {1: 130, 2: 105}


def test_a_right_run_has_no_faults() -> None:
    assert verdict(SUMS, *RIGHT).faults == []


def test_points_that_are_missing_are_a_wrong_sum() -> None:
    found = verdict({1: 120, 2: 105}, *RIGHT)

    assert found.lost == 10
    assert found.faults == ["wrong sums, for users: 1"]


def test_losses_and_gains_that_cancel_out_are_wrong_sums_all_the_same() -> None:
    found = verdict({1: 120, 2: 115}, *RIGHT)

    assert found.lost == 0
    assert found.faults == ["wrong sums, for users: 1, 2"]


def test_a_top_up_that_did_not_run_is_lost() -> None:
    assert verdict(SUMS, *RIGHT[:1], *RIGHT[2:]).faults == ["top-ups lost: 1"]


def test_a_top_up_that_ran_twice_is_found_though_the_sums_are_right() -> None:
    again = hold(0, 2, 3, 9)

    assert verdict(SUMS, *RIGHT, again).faults == ["top-ups run twice: 0"]


def test_holds_of_one_user_must_not_overlap() -> None:
    found = verdict(SUMS, hold(0, 0, 1, 7), hold(1, 0.9, 2, 8), RIGHT[2])

    assert found.faults == ["overlapping holds, in top-ups: 1"]


def test_the_holds_of_every_user_are_looked_at() -> None:
    one, two = hold(0, 0, 2, user_id=2), hold(1, 1, 3, user_id=2)

    assert verdict(SUMS, one, two).overlaps == [(one, two)]


def test_a_hold_inside_a_long_one_is_found_behind_a_short_one() -> None:
    long, short, inside = hold(0, 0, 10), hold(1, 1, 2), hold(2, 3, 4)

    found = verdict(SUMS, long, short, inside)

    assert found.overlaps == [(long, short), (long, inside)]


def test_holds_of_two_users_may_overlap() -> None:
    assert verdict(SUMS, *RIGHT).overlaps == []


def test_a_token_must_be_above_the_one_before() -> None:
    found = verdict(SUMS, hold(0, 0, 1, 8), hold(1, 1, 2, 8), RIGHT[2])

    assert found.faults == ["fencing tokens that do not grow, in top-ups: 1"]


def test_a_user_who_is_missing_in_the_database_has_lost_everything() -> None:
    found = verdict({1: 130}, *RIGHT)

    assert [row.user_id for row in found.sums if row.lost] == [2]


def test_a_lost_update_is_told_step_by_step() -> None:
    one = Hold(0, 1, "A", 1.000, 1.004, 100, 110, None)
    two = Hold(1, 1, "B", 1.002, 1.006, 100, 120, None)

    told = lost_update(verdict(SUMS, one, two))

    assert "A reads 100 (0.0 ms), B reads 100 (2.0 ms), A writes 110 (4.0 ms)" in told
    assert "B writes 120 (6.0 ms); 10 points are gone" in told
