"""Several beats and one schedule, in a time that the test moves."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import VERSION
from celery.beat import ScheduleEntry, Scheduler
from celery.schedules import crontab, schedule
from django_celery_beat.tzcrontab import TzAwareCrontab

from celery_lock.beat import LockedScheduler, LockedSchedulerMixin
from tests.unit.beat_world import NOON, Beat, World, every

pytestmark = pytest.mark.unit


def needs_57(why: str) -> pytest.MarkDecorator:
    """Before Celery 5.7 it does this to a plain beat as well."""
    return pytest.mark.skipif(VERSION < (5, 7), reason=why)


def three(world: World, **options: Any) -> None:
    for name in "abc":
        world.beat(name, **options)
        world.run(0.4)


def gaps(dues: list[float]) -> set[float]:
    return {round(b - a, 3) for a, b in pairwise(dues)}


# -- once --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.5, 1, 2, 10, 11, 60, 3600])
def test_three_beats_publish_each_tick_of_an_interval_once(seconds: float) -> None:
    world = World(every(seconds))
    three(world)

    world.run(20 * seconds)

    dues = world.dues("e")
    assert 19 <= len(dues) <= 20 + 1.2 / seconds
    assert gaps(dues) == {seconds}, "and it keeps its phase"


def test_three_plain_beats_publish_each_tick_three_times() -> None:
    world = World(every(10))
    three(world, kind=Scheduler)

    world.run(100)

    assert len(world.dues("e")) == 30


def test_three_beats_publish_a_crontab_once_on_the_minute() -> None:
    world = World(every(crontab()))  # type: ignore[arg-type]  # any schedule
    three(world)

    world.run(600)

    assert world.dues("e") == [60.0 * n for n in range(1, 11)]


def test_a_tick_costs_a_call_for_each_beat_and_one_for_the_confirm() -> None:
    world = World(every(10))
    three(world)
    world.run(30)
    before, ticks = sum(len(b.store.calls) for b in world.beats), len(world.sent)

    world.run(1000)

    calls = sum(len(b.store.calls) for b in world.beats) - before
    assert calls == 4 * (len(world.sent) - ticks)


def test_a_slow_entry_costs_one_look_more_for_each_beat_that_lost() -> None:
    world = World(every(60))
    three(world)
    world.run(90)

    def slowly(beat: Beat) -> None:
        world.next["publishing"] = slowly
        world.pause(beat, 0.05)  # the others ask while it publishes

    slowly(world.beats[0])
    before, ticks = sum(len(b.store.calls) for b in world.beats), len(world.sent)

    world.run(6000)

    calls = sum(len(b.store.calls) for b in world.beats) - before
    assert calls == 6 * (len(world.sent) - ticks)
    assert gaps(world.dues("e")) == {60}


def test_beats_that_wait_make_no_calls_and_sleep() -> None:
    world = World({f"e{n}": {"task": f"t:e{n}", "schedule": 86_400} for n in range(1000)})
    three(world)
    world.run(1)
    before = sum(len(b.store.calls) for b in world.beats)

    world.run(3600)

    assert sum(len(b.store.calls) for b in world.beats) == before
    assert all(len(b.slept) < 3600 / 300 + 5 for b in world.beats)


def test_a_thousand_entries_are_read_in_two_calls() -> None:
    world = World({f"e{n}": {"task": f"t:e{n}", "schedule": 86_400} for n in range(1000)})
    world.beat("first")
    world.run(1)

    second = world.beat("second")
    world.run(1)

    assert len(second.store.calls) == 2


def test_a_thousand_entries_are_read_in_few_calls_after_a_silent_start() -> None:
    world = World({f"e{n}": {"task": f"t:e{n}", "schedule": 86_400} for n in range(1000)})
    world.beat("first")
    world.run(1)
    second = world.beat("second")
    second.store.refuse()
    world.run(5)
    before = len(second.store.calls)

    second.store.heal()
    world.run(5)

    assert len(second.store.calls) - before == 3, "the first answer is to one entry"


def test_the_message_names_its_tick_and_has_an_id_made_from_it() -> None:
    world = World(every(10))
    world.beat("a")
    world.run(25)
    first, second = world.sent

    other = World(every(10))
    other.beat("b")
    other.run(15)

    assert first.task_id != second.task_id
    assert other.sent[0].task_id == first.task_id, "of the app, the entry and the due time"


# -- clocks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("wall", [3, -3, 3600, -86_400])
def test_a_lone_beat_with_a_wrong_clock_fires_on_time(wall: float) -> None:
    world = World(every(2))
    world.beat("a", wall=wall)

    world.run(21)

    assert gaps(world.dues("e")) == {2}
    assert all(0 <= sent.at - sent.due < 0.01 for sent in world.sent)


@pytest.mark.parametrize("wall", [3, -3])
def test_a_lone_beat_with_a_wrong_clock_fires_a_crontab_on_the_minute(wall: float) -> None:
    world = World(every(crontab()))  # type: ignore[arg-type]  # any schedule
    world.beat("a", wall=wall)

    world.run(305)

    assert world.dues("e") == [60, 120, 180, 240, 300]
    assert all(0 <= sent.at - sent.due < 0.01 for sent in world.sent)


def test_a_step_of_a_machines_clock_changes_nothing() -> None:
    world = World(every(2))
    beat = world.beat("a")
    world.run(5)
    now = beat.scheduler.app.now

    beat.scheduler.app.now = lambda: now() - timedelta(seconds=10)
    world.run(10)
    beat.scheduler.app.now = lambda: now() + timedelta(seconds=8)
    world.run(10)

    assert gaps(world.dues("e")) == {2}
    assert all(sent.at - sent.due < 0.01 for sent in world.sent)


def test_a_step_of_the_stores_clock_is_followed() -> None:
    world = World(every(10))
    three(world)
    world.run(25)

    world.memory.epoch += 3600
    world.run(60)

    dues = world.dues("e")
    assert len(dues) == len(set(dues)), "none twice"
    assert 6 <= len(dues) <= 9, "one for the hour that was skipped"


def test_an_entry_whose_schedule_says_no_time_waits_for_no_clock_that_was_set_back() -> None:
    class Ordered(schedule):
        ordered = False

        def is_due(self, last_run_at: datetime) -> tuple[bool, float | None]:
            return Ordered.ordered, None

    world = World(every(10) | every(Ordered(1), "ordered"))  # type: ignore[arg-type]  # any schedule
    beat = world.beat("a")
    world.run(25)

    world.memory.epoch -= 3600
    Ordered.ordered = True
    world.next["published"] = world.kill
    world.run(10)

    assert not beat.alive
    assert [sent.entry for sent in world.sent] == ["e", "e", "ordered"]


def test_nothing_fires_before_the_stores_clock_says_so() -> None:
    world = World(every(10))
    beat = world.beat("a")
    world.run(5)

    beat.scheduler._deciding.ledger.clock._offset += 6  # and so it takes the entry for due
    beat.wakes = world.now
    world.run(30)

    assert all(sent.at >= sent.due for sent in world.sent)
    assert gaps(world.dues("e")) == {10}


def test_a_seed_that_a_fast_clock_has_written_is_not_waited_for() -> None:
    world = World(every(10))
    beat = world.beat("a", wall=3600)
    world.run(0.1)

    world.run(25)

    assert len(world.dues("e")) == 2
    assert beat.alive


# -- deaths, pauses, refusals --------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "within"), [(1, 1), (2, 2), (30, 10), (86_400, 10)])
def test_a_tick_whose_beat_dies_after_the_claim_is_published_by_another(
    seconds: float, within: float
) -> None:
    world = World(every(seconds))
    three(world)
    world.run(1.1 * seconds)
    world.next["claimed"] = world.die

    world.run(2 * seconds + within)

    assert sum(not beat.alive for beat in world.beats) == 1
    assert gaps(world.dues("e")) == {seconds}, "none twice, none missed"
    late = max(sent.at - sent.due for sent in world.sent)
    assert late == pytest.approx(within, abs=0.01)


def test_a_copy_after_a_death_between_publish_and_confirm_has_the_same_task_id() -> None:
    world = World(every(10))
    three(world)
    world.next["published"] = world.die

    world.run(40)

    first, copy = (sent for sent in world.sent if world.dues("e").count(sent.due) == 2)
    assert first.task_id == copy.task_id
    assert gaps(sorted(set(world.dues("e")))) == {10}


@pytest.mark.parametrize("seconds", [9, 11])
def test_a_beat_that_stood_still_after_its_claim_does_not_publish(seconds: float) -> None:
    world = World(every(30))
    three(world)
    world.next["claimed"] = lambda beat: world.pause(beat, seconds)

    world.run(50)

    (sent,) = world.sent
    assert sent.at - sent.due == pytest.approx(10, abs=0.01)


def test_the_log_says_when_a_tick_was_due_as_people_write_a_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(every(30))
    three(world)
    world.next["claimed"] = lambda beat: world.pause(beat, 11)

    world.run(50)

    due = "the tick of 'e' due at 2026-03-10 12:00:30 UTC "
    said = [line.partition(due)[2] for line in caplog.messages if due in line]
    assert sorted(line.partition(" from ")[0] for line in said) == [
        "is not published here: this beat stood still for too long after its claim, and another"
        " one may have published it",
        "is taken over",
    ]


def test_a_beat_that_stood_still_for_less_than_that_publishes() -> None:
    world = World(every(10))
    three(world)
    world.next["claimed"] = lambda beat: world.pause(beat, 7)

    world.run(45)

    assert len(world.dues("e")) == len(set(world.dues("e"))) == 3
    assert gaps(world.dues("e")) == {17, 10}, "the interval begins anew after it"
    assert max(sent.at - sent.due for sent in world.sent) == pytest.approx(7, abs=0.1)


def test_a_publish_that_fails_twice_is_done_at_the_third_try_with_the_same_id() -> None:
    world = World(every(10))
    three(world)
    world.refuse = lambda beat: len(world.tried) <= 2

    world.run(25)

    assert len(world.tried) == 4
    assert world.dues("e") == sorted(set(world.dues("e")))
    assert gaps(world.dues("e")) == {13}
    assert world.sent[0].at - world.sent[0].due == pytest.approx(1 + 2, abs=0.01)


def test_a_tick_that_one_beat_cannot_publish_is_published_by_another_a_second_later() -> None:
    world = World(every(30))
    three(world)
    world.refuse = lambda beat: beat == world.tried[0]

    world.run(45)

    (sent,) = world.sent
    assert sent.by != world.tried[0]
    assert sent.at - sent.due == pytest.approx(1, abs=0.01)


def test_a_tick_that_can_never_be_published_is_tried_ever_less_often() -> None:
    world = World({"e": {"task": "t:e", "schedule": 3600, "options": {"headers": {}}}})
    world.entries["e"]["options"]["headers"]["celery_lock"] = {"v": 1, "key": 7}  # no header
    three(world)
    tried: list[float] = []
    for beat in world.beats:
        give_up = beat.scheduler._give_up
        beat.scheduler._give_up = lambda tick, f=give_up: (tried.append(world.now), f(tick))

    world.run(3600 + 600)

    assert gaps(tried) == {1, 2, 4, 8, 10}
    assert world.sent == []


def test_no_tick_of_a_fast_entry_is_missed_when_publishing_fails() -> None:
    world = World(every(1))
    three(world)
    world.refuse = lambda beat: len(world.tried) <= 2

    world.run(20)

    assert gaps(world.dues("e")) == {1}


def test_an_entry_behind_a_refused_one_gets_its_turn() -> None:
    world = World(every(10) | every(3, "f"))
    three(world)

    world.run(60)

    assert len(world.dues("f")) == len(set(world.dues("f"))) == 20
    assert gaps(world.dues("f")) == {3}


def test_all_beats_start_again_after_an_hour_and_the_entry_runs_once() -> None:
    world = World(every(60))
    world.beat("a")
    world.run(90)
    world.kill(world.beats[0])
    world.run(3600)

    world.beat("b")
    world.run(100)

    dues = world.dues("e")
    assert len(dues) == 3
    assert dues[1] >= 3600
    assert dues[2] - world.sent[1].at == pytest.approx(60, abs=0.01), "it begins anew with that run"


def test_an_entry_of_a_day_fires_though_its_beats_are_deployed_every_few_hours() -> None:
    world = World(every(86_400))
    for n in range(24):
        beat = world.beat(f"a{n}")
        world.run(3 * 3600)
        world.kill(beat)

    assert len(world.dues("e")) in (2, 3)


# -- the store ---------------------------------------------------------------------------------


def test_a_lost_answer_to_a_claim_loses_no_tick() -> None:
    world = World(every(10))
    three(world)
    world.run(5)
    for beat in world.beats:
        beat.store.lose_answer(times=1)

    world.run(60)

    assert len(world.dues("e")) == len(set(world.dues("e")))
    assert gaps(world.dues("e")) == {10, 11}
    late = max(sent.at - sent.due for sent in world.sent)
    assert late < 1.1, "it was granted, and who asked knows it again"


def test_a_store_that_is_down_is_waited_for_and_each_entry_runs_once_for_all_it_missed() -> None:
    world = World(every(10) | every(60, "f"))
    three(world)
    world.run(12)
    world.cut()
    world.run(100)
    assert len(world.sent) == 1

    world.heal()
    world.run(5)

    assert len(world.dues("e")) == 2
    assert len(world.dues("f")) == 1
    assert gaps([due % 10 for due in world.dues("e")]) == {0}, "the phase is kept"
    world.run(20)
    assert len(world.dues("e")) == 4


def test_a_tick_that_was_claimed_before_an_outage_is_among_those_that_run_once() -> None:
    world = World(every(10))
    three(world)

    def cut_and_die(beat: Beat) -> None:
        world.cut()
        world.die(beat)

    world.next["claimed"] = cut_and_die
    world.run(205)
    assert world.sent == []

    world.heal()
    world.run(12)

    assert [round(due) for due in world.dues("e")] == [210]


@needs_57("crontab.is_due() counts in steps of what it is late, which needs a clock that runs")
def test_a_tick_whose_beat_died_is_not_made_up_for_beyond_the_deadline() -> None:
    hourly = every(crontab(minute=0))  # type: ignore[arg-type]
    for late, runs in ((1800, 0), (20, 1)):
        world = World(hourly, beat_cron_starting_deadline=60)
        world.beat("a")
        world.next["claimed"] = world.die
        world.run(3600 + late)

        world.beat("b")
        world.run(60)

        assert len(world.sent) == runs, f"{late} s late"


def test_a_store_that_is_down_costs_a_call_a_second_for_a_thousand_entries() -> None:
    world = World({f"e{n}": {"task": f"t:e{n}", "schedule": 10} for n in range(1000)})
    beat = world.beat("a")
    world.run(1)
    beat.store.refuse()
    world.run(15)
    before = len(beat.store.calls)

    world.run(60)

    assert 55 <= len(beat.store.calls) - before <= 61
    assert beat.alive


def test_a_store_that_is_down_from_the_start_is_waited_for() -> None:
    world = World(every(10) | every(7, "f"))
    beat = world.beat("a", wall=3600)
    beat.store.refuse()
    world.run(30)
    assert world.sent == []

    beat.store.heal()
    world.run(25)

    assert (len(world.dues("e")), len(world.dues("f"))) == (2, 3)
    assert (gaps(world.dues("e")), gaps(world.dues("f"))) == ({10}, {7})


def test_with_fire_every_beat_publishes_with_the_same_id_while_the_store_is_down() -> None:
    world = World(every(10))
    three(world, on_store_error="fire")
    world.run(12)
    world.cut()

    world.run(20)
    world.heal()
    world.run(30)

    during = [sent for sent in world.sent if 12 < sent.due < 32]
    assert len(during) == 6
    assert len({sent.task_id for sent in during}) == 2
    after = [sent.due for sent in world.sent if sent.due >= 32]
    assert len(after) == len(set(after)) == 3
    assert gaps(sorted(set(world.dues("e")))) == {10}


def test_with_fire_a_silent_store_is_asked_once_a_second_for_a_hundred_entries() -> None:
    world = World({f"e{n}": {"task": f"t:e{n}", "schedule": 2} for n in range(100)})
    beat = world.beat("a", on_store_error="fire")
    world.run(5)
    beat.store.refuse()
    before = len(beat.store.calls)

    world.run(60)

    assert 30 <= len(beat.store.calls) - before <= 61
    assert len(set(world.dues("e0"))) == len(world.dues("e0")) == 32


def test_a_beat_sleeps_while_its_store_is_silent_however_much_is_due() -> None:
    world = World({f"e{n}": {"task": f"t:e{n}", "schedule": 5} for n in range(50)})
    beat = world.beat("a")
    world.run(130)
    beat.store.refuse()
    before = len(beat.slept)

    world.run(60)

    assert len(beat.slept) - before <= 2 * 60  # and not once for each entry that is due


def test_a_confirm_that_could_not_be_said_is_said_before_anybody_takes_over() -> None:
    world = World(every(2))
    three(world)
    world.run(1)
    world.next["published"] = lambda beat: world.cut()
    before = len(world.sent)
    world.run(5)
    assert len(world.sent) == before + 1

    world.heal()
    world.run(20)

    assert len(world.dues("e")) == len(set(world.dues("e")))


def test_a_flushed_store_is_written_anew_from_memory() -> None:
    world = World(every(10))
    three(world)
    world.run(25)

    world.flush()
    world.run(50)

    assert len(world.dues("e")) == len(set(world.dues("e")))
    assert gaps(world.dues("e")) == {10}


def test_a_flush_with_hundreds_of_entries_repeats_none_and_loses_none() -> None:
    world = World({f"e{n}": {"task": f"t:e{n}", "schedule": 10} for n in range(300)})
    three(world)
    world.run(25)

    world.flush()
    world.run(30)

    for n in range(300):
        assert len(world.dues(f"e{n}")) == len(set(world.dues(f"e{n}")))
        assert gaps(world.dues(f"e{n}")) == {10}


def test_a_store_that_is_flushed_while_a_new_beat_starts_keeps_the_phase() -> None:
    world = World(every(30))
    three(world)
    world.run(40)

    world.flush()
    world.run(7)
    world.beat("d")
    world.run(100)

    assert gaps(world.dues("e")) == {30}


def test_a_store_that_goes_back_in_time_repeats_nothing() -> None:
    world = World(every(10))
    three(world)
    world.run(5)
    saved: list[Any] = []

    def save(beat: Beat) -> None:
        saved.append(world.saved())

    for point in ("published", "granted"):  # before the claim's confirm, and with nothing open
        world.next[point] = save
        world.run(10)
        world.restore(saved.pop())
        world.run(25)

    assert len(world.dues("e")) == len(set(world.dues("e")))
    assert gaps(world.dues("e")) == {10}


def test_what_a_slow_beat_has_published_after_all_is_not_published_a_third_time() -> None:
    world = World(every(30))
    three(world)
    world.run(10)

    def slow(first: Beat) -> None:
        world.next["claimed"] = world.die  # of who takes it over
        world.pause(first, 11)

    world.next["publishing"] = slow
    world.run(60)

    dues = world.dues("e")
    assert dues == sorted(set(dues)), "its confirm has counted, though its claim was another's"
    assert gaps(dues) == {41}, "counted from the slow one"


def test_history_that_a_fast_clock_has_written_is_not_waited_for() -> None:
    class Remembering(LockedScheduler):
        def setup_schedule(self) -> None:
            super().setup_schedule()
            entry = self.schedule["e"]
            entry.last_run_at = self.app.now() + timedelta(hours=1)
            entry.total_run_count = 3

    world = World(every(10))
    world.beat("a", kind=Remembering)

    world.run(25)

    assert len(world.dues("e")) == 2


def test_history_of_a_schedule_file_is_gone_on_from() -> None:
    class Remembering(LockedScheduler):
        def setup_schedule(self) -> None:
            super().setup_schedule()
            entry = self.schedule["e"]
            entry.last_run_at = self.app.now() - timedelta(seconds=50)
            entry.total_run_count = 3

    world = World(every(60))
    world.beat("a", kind=Remembering)
    world.beat("b")

    world.run(100)

    assert world.dues("e") == [pytest.approx(10.25, abs=0.01), pytest.approx(70.25, abs=0.01)]


def test_the_entrys_own_options_and_headers_are_sent_and_stay_as_they_are() -> None:
    mine = {"x": "1", "celery_lock": {"v": 1, "key": "report"}}
    world = World({"e": {"task": "t:e", "schedule": 10, "options": {"headers": dict(mine)}}})
    beat = world.beat("a")
    sent: list[Any] = []
    beat.scheduler.send_task = lambda *args, **options: sent.append(options["headers"])

    world.run(15)

    (headers,) = sent
    assert headers["x"] == "1"
    assert headers["celery_lock"]["key"] == "report"
    assert headers["celery_lock"]["beat"]["entry"] == "e"
    assert beat.scheduler.schedule["e"].options["headers"] == mine


@pytest.mark.parametrize("name", [7, "", "\udc80"], ids=["a number", "empty", "no unicode"])
def test_an_entry_with_an_odd_name_is_published_as_well(name: Any) -> None:
    world = World({name: {"task": "t:e", "schedule": 10}})
    three(world)

    world.run(30)

    assert len(world.dues("e")) == len(set(world.dues("e"))) == 3


def test_a_task_id_that_the_schedule_names_is_kept() -> None:
    world = World({"e": {"task": "t:e", "schedule": 10, "options": {"task_id": "mine"}}})
    world.beat("a")

    world.run(15)

    assert [sent.task_id for sent in world.sent] == ["mine"]


def test_last_run_and_count_move_only_when_the_tick_is_confirmed() -> None:
    world = World(every(10))
    beat = world.beat("a")
    world.run(1)
    before = beat.scheduler.schedule["e"].last_run_at
    seen: list[Any] = []

    def look(beat: Beat) -> None:
        entry = beat.scheduler.schedule["e"]
        seen.append((entry.last_run_at, entry.total_run_count))

    world.next["publishing"] = look
    world.run(15)

    entry = beat.scheduler.schedule["e"]
    assert seen == [(before, 0)]
    assert (entry.last_run_at - before, entry.total_run_count) == (timedelta(seconds=10), 1)


def test_garbage_in_a_record_is_written_over() -> None:
    world = World(every(10))
    three(world)
    world.run(25)
    store = world.beats[0].store
    from celery_lock.model import Change

    (record,), _ = store.records("beat:shop", ["e"])
    store.change(Change("beat:shop", "e", record.stamp, "junk", "{[", 60))

    world.run(50)

    assert gaps(world.dues("e")) == {10}
    assert len(world.dues("e")) == len(set(world.dues("e")))


def test_a_record_that_a_later_version_has_written_hurts_nobody() -> None:
    world = World(every(10))
    beat = world.beat("a")
    world.run(25)
    from celery_lock.model import Change

    (record,), _ = beat.store.records("beat:shop", ["e"])
    text = record.value[:-1] + ', "more": [1]}'
    beat.store.change(Change("beat:shop", "e", record.stamp, record.stamp, text, 60))
    world.run(30)

    assert gaps(world.dues("e")) == {10}


def test_two_apps_on_one_server_each_fire_their_entry_of_the_same_name() -> None:
    world = World(every(10))
    world.beat("a")
    world.beat("b", main="bakery")

    world.run(35)

    assert len(world.dues("e")) == 6
    assert len({sent.task_id for sent in world.sent}) == 6


# -- schedules ---------------------------------------------------------------------------------


@pytest.mark.parametrize("beats", ["a", "ab"])
def test_a_schedule_that_does_not_say_when_to_ask_again_after_a_run_is_asked_soon(
    beats: str,
) -> None:
    class Silent(schedule):
        def is_due(self, last_run_at: datetime) -> tuple[bool, float | None]:
            due, seconds = super().is_due(last_run_at)
            return due, None if due else seconds

    world = World(every(Silent(30)))  # type: ignore[arg-type]  # any schedule
    for name in beats:
        world.beat(name)

    world.run(700)

    # a class of one's own has no grid: each run counts from the one before
    assert len(world.sent) == 23


def test_a_relative_interval_with_a_clock_elsewhere_is_due_at_midnight_there() -> None:
    there = ZoneInfo("America/New_York")
    world = World({})
    daily = schedule(
        timedelta(days=1),
        relative=True,
        nowfun=lambda: datetime.fromtimestamp(world.begins + world.now, there),
    )
    world.entries.update(every(daily))  # type: ignore[arg-type]  # any schedule
    for name in "ab":
        world.beat(name)

    world.run(3.5 * 86_400)

    times = [datetime.fromtimestamp(world.begins + sent.at, there) for sent in world.sent]
    assert [(time.hour, time.minute) for time in times] == [(0, 0)] * 3


def test_a_relative_interval_is_published_once_on_round_times() -> None:
    world = World(every(schedule(10, relative=True)))  # type: ignore[arg-type]
    three(world)

    world.run(60)

    assert len(world.dues("e")) == len(set(world.dues("e"))) == 6


@needs_57("Celery asks the next entry without looking at its time, so this one fires for ever")
def test_a_schedule_that_is_always_due_is_published_once_at_its_own_pace() -> None:
    class Always(schedule):
        def is_due(self, last_run_at: Any) -> Any:
            return True, 30.0

    world = World(every(Always(1)))  # type: ignore[arg-type]
    world.beat("a")
    world.run(0.1)
    world.beat("b")
    world.beat("c")

    world.run(300)

    assert 10 <= len(world.sent) <= 13


def test_an_interval_that_is_shortened_while_beats_run_keeps_what_has_run() -> None:
    world = World(every(60))
    three(world)
    world.run(70)
    for beat in world.beats:
        beat.scheduler.schedule["e"] = beat.scheduler.Entry(
            name="e", task="t:e", schedule=5, app=beat.scheduler.app
        )

    world.run(300)

    later = [due for due in world.dues("e") if due > 75]
    assert gaps(later) == {5}
    assert len(world.dues("e")) == len(set(world.dues("e")))


def test_an_entry_that_is_added_while_beats_run_fires_once() -> None:
    world = World(every(60))
    three(world)
    world.run(10)
    for beat in world.beats:
        beat.scheduler.add(name="f", task="t:f", schedule=schedule(5))
        world.run(0.3)

    world.run(300)

    assert gaps(world.dues("f")) == {5}


@needs_57("crontab.is_due() counts in steps of what it is late, which needs a clock that runs")
def test_an_entry_that_is_late_beyond_the_deadline_is_not_made_up_for() -> None:
    hourly = every(crontab(minute=0))  # type: ignore[arg-type]
    for deadline, runs in ((60, 0), (None, 1)):
        world = World(hourly, beat_cron_starting_deadline=deadline)
        beat = world.beat("a")
        world.run(3700)
        world.kill(beat)
        world.run(5400)
        before = len(world.sent)

        world.beat("b")
        world.run(300)

        assert len(world.sent) - before == runs, f"deadline {deadline}"


def test_a_crontab_in_a_time_zone_of_its_own_fires_by_that() -> None:
    eight = TzAwareCrontab(minute=0, hour=8, tz=ZoneInfo("Asia/Tokyo"))  # 23:00 in UTC
    world = World(every(eight))  # type: ignore[arg-type]  # any schedule
    three(world)

    world.run(3 * 86_400)

    assert world.dues("e") == [11 * 3600.0 + day * 86_400 for day in range(3)]


class Row:
    """What stands behind an entry for once in a database: it ends the entry by its count."""

    one_off = True
    total_run_count = 0
    last_run_at = None


class Once(ScheduleEntry):
    """An entry that is due until its row has counted a run."""

    def __init__(self, *args: Any, model: Row | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.model = model or Row()
        self.last_run_at = datetime.fromtimestamp(NOON, timezone.utc)  # the row was changed then

    def is_due(self) -> Any:
        return super().is_due() if not self.model.total_run_count else (False, 60.0)


def test_an_entry_for_once_fires_once_though_its_next_due_time_comes_before_the_claim_ends() -> (
    None
):
    class ForOnce(LockedScheduler):
        Entry = Once

    world = World(every(0.5))
    for name in "abc":
        world.beat(name, kind=ForOnce)
    world.next["publishing"] = lambda beat: world.pause(beat, 0.05)  # the others ask meanwhile

    world.run(20)

    assert len(world.sent) == 1


class Counting(Scheduler):
    """A user's own scheduler: counts what it sends, and reads its schedule from elsewhere."""

    def setup_schedule(self) -> None:
        self.sent = 0
        self.update_from_dict(self.app.conf.beat_schedule)

    def reserve(self, entry: Any) -> Any:
        self.sent += 1
        return super().reserve(entry)

    def tick(self, *args: Any, **options: Any) -> Any:
        self.turns = getattr(self, "turns", 0) + 1
        return super().tick(*args, **options)


def test_the_mixin_lies_over_a_users_scheduler() -> None:
    class Ours(LockedSchedulerMixin, Counting):
        pass

    world = World(every(10))
    three(world, kind=Ours)

    world.run(100)

    assert len(world.dues("e")) == len(set(world.dues("e"))) == 10
    assert sum(beat.scheduler.sent for beat in world.beats) == 10
