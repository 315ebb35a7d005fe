"""`lock beat`: what it says of entries, of claims, and of what it finds in a store."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery
from celery.bin.base import CLIContext
from celery.schedules import crontab
from click.testing import CliRunner, Result

from celery_lock import cli
from celery_lock.app.locks import AppLocks
from celery_lock.errors import StoreUnavailable
from celery_lock.model import Change, Feature
from tests.unit.beat_world import Beat, World

pytestmark = pytest.mark.unit

Desk = Callable[..., Result]


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Type at a shell beside a beat: with its app, and its store."""

    def type(beat: Beat, *words: str, app: Celery | None = None) -> Result:
        monkeypatch.setattr(AppLocks, "open_store", lambda self: beat.store)
        context = CLIContext(app=app or beat.scheduler.app, no_color=True, workdir=None)
        return CliRunner().invoke(cli.lock, ["beat", *words], obj=context)

    return type


def entries() -> dict[Any, dict[str, Any]]:
    """Made anew each time: a crontab keeps the time zone of the first app that it meets."""
    return {
        "feed": {"task": "t:feed", "schedule": 10.0},
        "nightly": {"task": "t:nightly", "schedule": crontab(hour=3, minute=30)},
    }


def world_of(**conf: Any) -> World:
    return World(entries(), **conf)


def lines(said: Result) -> list[str]:
    assert said.exit_code == 0, said.output
    return said.output.splitlines()[1:]  # the first is a note on memory://


def read(said: Result) -> dict[str, Any]:
    (line,) = lines(said)
    return {entry["name"]: entry for entry in json.loads(line)["entries"]}


def written(beat: Beat, name: str, value: str) -> None:
    """Another program writes a record."""
    (record,), _ = beat.store.records("beat:shop", [name])
    expected = None if record is None else record.stamp
    assert beat.store.inner.change(Change("beat:shop", name, expected, "x", value, 1e6)).done


# -- what it says --------------------------------------------------------------------------------


def test_it_says_what_has_run_how_often_and_what_runs_next_in_the_apps_time(desk: Desk) -> None:
    world = world_of(timezone="Europe/Berlin")
    beat = world.beat("host")
    world.run(25)

    said = lines(desk(beat))

    assert said == [
        "entry    last run                 runs  next",
        "feed     2026-03-10 13:00:20 CET  2     2026-03-10 13:00:30 CET  in 5.0 s",
        "nightly  never                    0     2026-03-11 03:30:00 CET"
        "  in 14 h 29 min; counted from 2026-03-10 13:00:00 CET",
    ]


def test_one_entry_is_shown_line_by_line(desk: Desk) -> None:
    world = world_of()
    beat = world.beat("host")
    world.run(25)

    assert lines(desk(beat, "feed")) == [
        "entry 'feed'",
        "  last run  2026-03-10 12:00:20 UTC, 5.0 s ago",
        "  runs      2",
        "  next      2026-03-10 12:00:30 UTC",
        "  state     in 5.0 s",
    ]


def test_an_open_claim_says_by_whom_and_until_when(desk: Desk) -> None:
    world = world_of()
    beat = world.beat("host")
    world.run(25)
    world.next["claimed"] = world.die
    world.run(7)

    (feed,) = [line for line in lines(desk(beat)) if line.startswith("feed")]
    fields = read(desk(beat, "feed", "--json"))["feed"]

    assert "2026-03-10 12:00:20 UTC  2     2026-03-10 12:00:30 UTC" in feed, "not counted yet"
    assert feed.endswith("  claimed by host (pid 1) until 2026-03-10 12:00:40 UTC")
    assert (fields["state"], fields["host"], fields["pid"], fields["by"], fields["try"]) == (
        "claimed", "host", 1, "host#1#0", 1,
    )  # fmt: skip
    assert fields["until"] - fields["now"] == pytest.approx(8, abs=0.01)


def test_a_claim_that_nobody_took_over_is_overdue(desk: Desk) -> None:
    world = world_of()
    beat = world.beat("host")
    world.run(25)
    world.next["claimed"] = world.die
    world.run(7 + 10)

    (feed,) = [line for line in lines(desk(beat)) if line.startswith("feed")]

    assert "OVERDUE by 2.0 s, claimed by host (pid 1) until" in feed
    assert read(desk(beat, "feed", "--json"))["feed"]["state"] == "overdue"


def test_a_tick_that_is_tried_again_says_which_try(desk: Desk) -> None:
    world = world_of()
    world.beat("first")
    world.run(25)
    world.next["claimed"] = world.die
    second = world.beat("second")
    world.next["claimed"] = world.die
    world.run(6)
    assert len([beat for beat in world.beats if beat.alive]) == 1
    world.next["claimed"] = world.die
    world.run(12)

    assert "claimed by second (pid 1), try 2 until" in desk(second).output


def test_a_tick_that_could_not_be_published_is_claimed_by_nobody(desk: Desk) -> None:
    world = world_of()
    beat = world.beat("host")
    world.run(25)
    world.refuse = lambda beat: True
    world.run(6)

    fields = read(desk(beat, "feed", "--json"))["feed"]

    assert "given up unpublished" in desk(beat).output
    assert (fields["state"], fields["by"], fields["host"]) == ("given up", None, None)


def test_an_entry_whose_beats_are_gone_is_overdue(desk: Desk) -> None:
    world = world_of()
    beat = world.beat("host")
    world.run(25)
    world.kill(beat)
    world.run(100)

    fields = read(desk(beat, "--json"))

    assert "OVERDUE by 95.0 s\n" in desk(beat).output
    assert fields["feed"]["overdue"] == pytest.approx(95, abs=0.1)
    assert fields["nightly"]["overdue"] is None


def test_a_record_whose_entry_is_not_in_the_settings_may_be_gone(desk: Desk) -> None:
    world = world_of()
    beat = world.beat("host")
    world.run(25)
    del beat.scheduler.app.conf.beat_schedule["feed"]
    world.kill(beat)
    world.run(100)

    assert "OVERDUE by 95.0 s, if it still exists" in desk(beat).output
    assert read(desk(beat, "--json"))["feed"]["declared"] is False


def test_an_entry_that_no_beat_has_read_is_shown_too(desk: Desk) -> None:
    world = world_of()
    beat = world.beat("host")
    world.run(25)
    beat.scheduler.app.conf.beat_schedule["new"] = {"task": "t", "schedule": 5}

    assert "no beat has read it yet" in desk(beat).output
    assert read(desk(beat, "new", "--json"))["new"]["state"] == "unread"


def test_an_app_whose_beats_never_ran_says_so(desk: Desk) -> None:
    beat = world_of().beat("host")

    said = lines(desk(beat))

    assert said[0] == (
        "no beat of the app 'shop' with a scheduler of celery_lock.beat has run yet"
        " (in memory://, lock_key_prefix 'celery-lock:')"
    )
    assert [line.split()[0] for line in said[1:]] == ["entry", "feed", "nightly"]


def test_an_app_without_any_entry_says_so_as_well(desk: Desk) -> None:
    beat = World({}).beat("host")

    assert len(lines(desk(beat))) == 1
    assert read(desk(beat, "--json")) == {}


@pytest.mark.parametrize("value", ["{[", '{"last": 1e18, "count": 1}'])
def test_a_record_that_is_none_of_ours_is_shown_as_such(desk: Desk, value: str) -> None:
    world = world_of()
    beat = world.beat("host")
    world.run(25)
    written(beat, "feed", value)

    (feed,) = [line for line in lines(desk(beat)) if line.startswith("feed")]

    assert feed.split(maxsplit=1)[1] == (
        "its record cannot be read: another program wrote it, and the next beat replaces it"
    )


def test_a_name_with_a_line_break_stays_on_its_line_and_is_found_as_it_is_shown(
    desk: Desk,
) -> None:
    world = World({"a\nb\x1b[2J": {"task": "t:a", "schedule": 10.0}})
    beat = world.beat("host")
    world.run(25)

    said = lines(desk(beat))
    shown = said[1].split("  ")[0]

    assert len(said) == 2
    assert shown == r"'a\nb\x1b[2J'"
    assert lines(desk(beat, shown))[0] == rf"entry {shown}"
    assert lines(desk(beat, "a\nb\x1b[2J"))[0] == rf"entry {shown}"


def test_a_program_finds_every_field_of_every_entry(desk: Desk) -> None:
    world = world_of()
    beat = world.beat("host")
    world.run(25)
    written(beat, "junk", "{[")
    beat.scheduler.app.conf.beat_schedule["new"] = {"task": "t", "schedule": 5}

    fields = read(desk(beat, "--json"))

    assert len({tuple(entry) for entry in fields.values()}) == 1
    assert {name: entry["state"] for name, entry in fields.items()} == {
        "feed": "waiting", "junk": "unreadable", "new": "unread", "nightly": "waiting",
    }  # fmt: skip
    assert fields["nightly"]["last_run"] is None
    assert fields["nightly"]["counted_from"] == pytest.approx(world.begins + 0.25, abs=0.01)
    assert fields["feed"]["next"] == pytest.approx(world.begins + 30.25, abs=0.01)


def test_entries_whose_names_are_numbers_are_shown_beside_others(desk: Desk) -> None:
    world = World({7: {"task": "t:seven", "schedule": 10.0}, **entries()})
    beat = world.beat("host")
    world.run(25)

    fields = read(desk(beat, "--json"))

    assert {name: (entry["runs"], entry["declared"]) for name, entry in fields.items()} == {
        "7": (2, True), "feed": (2, True), "nightly": (0, True),
    }  # fmt: skip
    assert lines(desk(beat, "7"))[0] == "entry '7'"


def test_ten_thousand_entries_are_shown_in_a_call_for_five_hundred(desk: Desk) -> None:
    world = World({f"e{n}": {"task": "t:e", "schedule": 86_400.0} for n in range(10_000)})
    beat = world.beat("host")
    world.run(1)
    before = len(beat.store.calls)

    said = lines(desk(beat))

    assert len(said) == 10_001
    asked = beat.store.calls[before:]
    assert asked.count("records") == 20
    assert "change" not in asked


# -- what goes wrong -----------------------------------------------------------------------------


def test_an_entry_that_does_not_exist_is_said_with_the_name_that_was_meant(desk: Desk) -> None:
    world = world_of()
    beat = world.beat("host")
    world.run(1)

    said = desk(beat, "nihgtly")

    assert said.exit_code == 2
    assert "there is no entry 'nihgtly' (did you mean 'nightly'?)" in said.output


@pytest.mark.parametrize("entry", [{"x": 1}, {"task": "t", "schedule": "soon"}, None, 7])
def test_an_entry_of_the_settings_that_is_wrong_is_the_beats_to_refuse(
    desk: Desk, entry: Any
) -> None:
    world = world_of()
    beat = world.beat("host")
    world.run(1)
    beat.scheduler.app.conf.beat_schedule["new"] = entry

    assert "no beat has read it yet" in lines(desk(beat))[2]


def test_a_store_without_an_answer_is_named_without_a_traceback(desk: Desk) -> None:
    beat = world_of().beat("host")
    beat.store.refuse()

    said = desk(beat)

    assert said.exit_code == 1
    assert "Error: the lock store memory:// is not available" in said.output
    assert "Traceback" not in said.output


def test_a_store_that_keeps_no_records_is_refused_with_the_stores_that_do(desk: Desk) -> None:
    beat = world_of().beat("host")
    beat.store.lacks = {Feature.RECORDS}

    said = desk(beat)

    assert said.exit_code == 2
    assert "needs a store with the feature 'records'" in said.output


def test_a_store_that_fails_between_two_calls_ends_it(desk: Desk) -> None:
    beat = world_of().beat("host")
    beat.store.refuse("names", error=StoreUnavailable("redis://shop:6379/0", "it hangs"))

    assert desk(beat).exit_code == 1


def test_it_changes_nothing(desk: Desk) -> None:
    world = world_of()
    beat = world.beat("host")
    world.run(25)
    before = beat.store.records("beat:shop", ["feed", "nightly"])

    desk(beat)
    desk(beat, "feed", "--json")

    assert beat.store.records("beat:shop", ["feed", "nightly"]) == before
