"""The benchmarks' arithmetic: medians, ratios round by round, verdicts; and how turns are taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import names, renewals
from benchmarks.arithmetic import quantile, ratios, spread
from benchmarks.beats import gap_after, per_due_time
from benchmarks.results import Results, column
from benchmarks.rounds import in_turns, seconds_each
from benchmarks.targets import (
    CYCLE,
    GAP,
    HELD,
    PERMITS,
    PROCESSOR,
    PUBLISHING,
    TAKING,
    TWO_LOCKS,
    Verdict,
    verdicts,
)

from .bench_run import a_run, section


def missed(results: Results) -> list[Verdict]:
    return [verdict for verdict in verdicts(results) if not verdict.met]


# -- medians, spreads, ratios ----------------------------------------------------------------


def test_a_spread_is_the_median_and_where_eight_tenths_of_the_rounds_lie() -> None:
    found = spread([float(number) for number in (11, 1, 6, 3, 8, 2, 7, 9, 5, 10, 4)])

    assert (found.median, found.low, found.high, found.rounds) == (6, 2, 10, 11)


def test_one_pause_of_the_machine_does_not_move_a_spread() -> None:
    found = spread([1.0] * 20 + [500.0])

    assert (found.median, found.high) == (1, 1)


def test_a_spread_of_one_round_is_that_round() -> None:
    found = spread([4.0])

    assert (found.median, found.low, found.high, found.rounds) == (4, 4, 4, 1)


def test_a_spread_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="one round at least"):
        spread([])


def test_a_quantile_lies_between_two_values_if_need_be() -> None:
    assert quantile([30.0, 10.0, 20.0], 0.25) == 15
    assert quantile([30.0, 10.0, 20.0], 1) == 30


def test_ratios_are_taken_round_by_round() -> None:
    """A machine that was slow for a round was slow for both."""
    found = ratios({"base": [1.0, 10.0], "twice": [2.0, 20.0]}, "base")

    assert found == {"base": [1, 1], "twice": [2, 2]}


def test_series_that_were_not_measured_in_the_same_rounds_have_no_ratios() -> None:
    with pytest.raises(ValueError, match="twice has 1 rounds and base 2"):
        ratios({"base": [1.0, 10.0], "twice": [2.0]}, "base")


def test_a_column_is_scaled_and_its_ratios_are_not() -> None:
    found = column({"base": [0.001], "other": [0.003]}, "base", scale=1e6)

    assert found["other"].value.median == pytest.approx(3000)
    assert found["other"].ratio is not None
    assert found["other"].ratio.median == pytest.approx(3)


def test_a_column_without_a_base_has_no_ratios() -> None:
    assert column({"one": [1.0]}, None)["one"].ratio is None


# -- taking turns ----------------------------------------------------------------------------


def test_everybody_has_a_turn_in_every_round_and_the_first_round_is_thrown_away() -> None:
    taken: list[str] = []

    def turn(name: str) -> float:
        taken.append(name)
        return taken.count(name)

    found = in_turns({name: lambda name=name: turn(name) for name in "abc"}, 5)  # type: ignore[misc]

    assert found == {name: [2, 3, 4, 5, 6] for name in "abc"}
    rounds = ["".join(taken[first : first + 3]) for first in range(0, 18, 3)]
    assert all(sorted(each) == ["a", "b", "c"] for each in rounds)
    assert len(set(rounds)) > 1, "each in another order"


def test_no_round_begins_when_the_time_is_up_but_one_is_measured() -> None:
    """On a machine that is busy a run has fewer rounds, and an end."""
    found = in_turns({"a": lambda: 1.0, "b": lambda: 2.0}, 5, seconds=0)

    assert found == {"a": [1.0], "b": [2.0]}


def test_a_turn_makes_so_many_calls_and_returns_what_one_takes() -> None:
    calls: list[None] = []

    took = seconds_each(lambda: calls.append(None), 50)

    assert len(calls) == 50
    assert 0 <= took < 1


def test_the_keeper_that_is_measured_renews_all_its_leases_each_time() -> None:
    renew, leases = renewals.keeper_of("memory://", 3)

    for _ in range(3):
        renew()

        assert len(leases) == 3
        assert all(lease.remaining() > 0.9 * renewals.TTL for lease in leases)


# -- several beats ---------------------------------------------------------------------------


def test_messages_are_counted_for_each_slot_that_is_near() -> None:
    assert per_due_time([10.0, 11.0, 12.0]) == (1.0, 0.0)
    assert per_due_time([10.0, 10.3, 11.0, 11.3]) == (2.0, 0.0)
    assert per_due_time([10.0, 11.0, 14.0]) == (1.0, 2.0)


def test_a_gap_is_how_much_longer_than_usual_nothing_was_sent() -> None:
    assert gap_after(10.2, [9.0, 10.0, 11.0, 12.0], 20.0) == 0.0
    assert gap_after(10.2, [9.0, 10.0, 13.5, 14.0], 20.0) == 2.5
    assert gap_after(10.2, [9.0, 10.0], 20.0) == 9.0, "nobody was back"


# -- what a run leaves -----------------------------------------------------------------------


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    results = a_run()

    results.write(file)

    assert Results.read(file) == results


def test_a_row_or_section_that_is_not_there_is_named() -> None:
    results = a_run()

    with pytest.raises(KeyError, match="no section 'speed'"):
        results.section("speed")
    with pytest.raises(KeyError, match="cycle has no row 'etcd'"):
        results.section(names.CYCLE).row("etcd")


# -- the targets -----------------------------------------------------------------------------


def test_a_run_that_meets_its_targets_misses_none() -> None:
    assert missed(a_run(cycle=CYCLE, redis_py=CYCLE / 0.72)) == []
    assert missed(a_run(worker=0.9, theirs=0.9, publisher=PUBLISHING)) == []
    assert missed(a_run(processor=0.999 + PROCESSOR, held=HELD)) == []


def test_a_cycle_may_not_be_longer_than_so_many_round_trips() -> None:
    (verdict,) = missed(a_run(cycle=1.46))

    assert verdict.target == "acquire and release, of two PINGs on a raw socket: at most 1.45"
    assert verdict.found == 1.46


def test_a_cycle_must_be_shorter_than_that_of_redis_pys_lock() -> None:
    (verdict,) = missed(a_run(cycle=1.2, redis_py=1.5))

    assert "redis-py Lock: at most 0.72" in verdict.target
    assert verdict.found == pytest.approx(0.8)


def test_a_held_key_may_not_take_more_bytes_than_so_many() -> None:
    (verdict,) = missed(a_run(held=321))

    assert verdict.target == "bytes of a key that is held: at most 320"


@pytest.mark.parametrize(("leases", "trips", "met"), [(1, 1, True), (1, 2, False)])
def test_a_few_leases_are_renewed_in_one_round_trip(leases: int, trips: int, met: bool) -> None:
    assert (missed(a_run(trips={leases: trips})) == []) is met


@pytest.mark.parametrize(("trips", "met"), [(101, True), (102, False)])
def test_many_leases_are_renewed_in_batches_of_a_hundred(trips: int, met: bool) -> None:
    assert (missed(a_run(trips={10_000: trips})) == []) is met


def test_a_worker_and_a_publisher_are_judged_with_each_pool_and_each_kind_of_key() -> None:
    for wrong, word in (
        (a_run(worker=0.89, theirs=0.9), "worker, of redis-py Lock in the body: at least 1"),
        (a_run(publisher=0.97), "publisher: at least 0.98"),
        (a_run(processor=1.61), "processor time added, of redis-py Lock in the body: at most 0.6"),
    ):
        found = [verdict.target for verdict in missed(wrong)]

        assert len(found) == 4
        assert all(target.endswith(f", {word}") for target in found)
        for part in ("prefork", "threads", names.TEMPLATE, names.DIGEST):
            assert len([target for target in found if part in target]) == 2


def test_publishers_that_take_the_key_are_judged_with_each_broker_and_scope() -> None:
    assert missed(a_run(taking=TAKING)) == []

    found = [verdict.target for verdict in missed(a_run(taking=0.79))]

    assert len(found) == 4
    for part in ("redis", "rabbitmq", names.UNTIL_STARTED, names.UNTIL_FINISHED):
        assert len([target for target in found if part in target]) == 2
    assert all(target.endswith(": at least 0.8") for target in found)


@pytest.mark.parametrize(
    ("title", "most", "more"),
    [
        (names.SENT, 1.0, 1.05),
        (names.MISSED, 0.0, 1.0),
        (names.GAP, GAP, GAP + 0.1),
        (names.IDLE, 0.0, 1.0),
    ],
)
def test_beats_are_judged_by_what_they_send_and_ask(title: str, most: float, more: float) -> None:
    assert missed(a_run(beats={title: most})) == []

    wrong = missed(a_run(beats={title: more}))

    assert [verdict.target.split(":")[0] for verdict in wrong] == [
        names.locked_beats(2),
        names.locked_beats(3),
    ]


def test_a_tick_may_cost_a_call_for_each_beat_and_one() -> None:
    (wrong,) = missed(a_run(beats={names.CALLS: 4.0}))

    assert wrong.target == f"{names.locked_beats(2)}: {names.CALLS}: at most 3"


def test_a_cycle_with_ten_permits_is_judged_beside_one_with_one() -> None:
    assert missed(a_run(cycle=1.0, permits=PERMITS)) == []

    (wrong,) = missed(a_run(cycle=1.0, permits=PERMITS + 0.1))

    assert wrong.target == f"acquire and release with limit=10, of {names.ENGINE}: at most 1.3"


def test_a_cycle_of_two_locks_is_judged_beside_one_of_one() -> None:
    assert missed(a_run(cycle=1.0, two=TWO_LOCKS)) == []

    (wrong,) = missed(a_run(cycle=1.0, two=TWO_LOCKS + 0.1))

    assert wrong.target == f"acquire and release of two locks, of {names.ENGINE}: at most 1.6"


def test_what_was_not_measured_is_not_judged_as_met() -> None:
    with pytest.raises(KeyError):
        verdicts(Results({}, [section(names.CYCLE, {names.ENGINE: {}})]))
