"""Several beats over one schedule, as real processes: each tick is sent once, on time, by anybody.

Each scenario is played once, by all schedulers at the same time; its tests look at what came of it.
What is looked at is what beats publish: no worker takes part.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence

import pytest

from tests.beats import inside
from tests.beats.book import read
from tests.beats.entries import ENTRIES, GRID, Entry
from tests.beats.kinds import KINDS
from tests.beats.scenario import Scenario, Sent, scenario_of
from tests.beats.ticks import left_out, off_grid, twice
from tests.services import STALL, RedisServer

pytestmark = pytest.mark.timeout(300)  # a scenario is played by all schedulers at once

OURS = ("locked", "locked-persistent", "locked-own", "database")
PLAIN = ("persistent",)

E1, E2 = (entry for entry in ENTRIES if entry.name in ("e1-plain", "e2-plain"))
SECONDS = 6.0
"""How long a scenario is watched: a few due times of each entry."""


@pytest.fixture(scope="module")
def server(redis_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(redis_binary, tmp_path_factory.mktemp("beats-redis")) as server:
        yield server


def late(sent: Sequence[Sent]) -> list[Sent]:
    """What was not sent as it was due. The first one may be for a due time before the start: a row
    of a database is due since it was written."""
    assert sent[0].at >= sent[0].due
    return [one for one in sent[1:] if not 0.0 <= one.at - one.due < STALL]


# -- a wrong clock ------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[3.0, -3.0], ids=["3 s fast", "3 s slow"])
def alone(
    request: pytest.FixtureRequest, server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scenario]:
    """One beat of each kind, whose clock is wrong."""
    with server.client() as client:
        client.flushall()
    folder = tmp_path_factory.mktemp("alone")
    with scenario_of(server, folder, (*OURS, *PLAIN), (E1, GRID)) as made:
        for beats in made.each():
            beats.start(off=request.param)
        for beats in made.each():
            beats.wait_up()
        made.mark("up")
        time.sleep(SECONDS)
        made.mark("end")
        for beats in made.each():
            beats.kill()
        yield made


@pytest.mark.parametrize("kind", OURS)
def test_a_lone_beat_with_a_wrong_clock_fires_an_interval_on_time(
    alone: Scenario, kind: str
) -> None:
    sent = alone.sent(kind, E1.name)

    assert len(alone.sent(kind, E1.name, "up", "end")) >= SECONDS - alone.still - 1
    assert off_grid(alone, sent, E1, sent[0].due) == []
    assert late(sent) == []


@pytest.mark.parametrize("kind", [kind for kind in OURS if not KINDS[kind].database])
def test_a_lone_beat_with_a_wrong_clock_fires_at_the_time_on_the_wall(
    alone: Scenario, kind: str
) -> None:
    sent = alone.sent(kind, GRID.name)

    assert len(alone.sent(kind, GRID.name, "up", "end")) >= (SECONDS - alone.still) / GRID.every - 1
    assert off_grid(alone, sent, GRID, 0.0) == []
    assert late(sent) == []


@pytest.mark.parametrize("kind", PLAIN)
def test_without_the_store_a_wrong_clock_fires_at_a_wrong_time(alone: Scenario, kind: str) -> None:
    sent = alone.sent(kind, GRID.name, "up")

    on_time = [one for one in sent if one.at % GRID.every < GRID.every / 4]
    assert len(on_time) <= len(sent) / 2, "chance brought more of them to their time"


# -- two beats, and what befalls them -----------------------------------------------------------


@pytest.fixture(scope="module")
def lives(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenario]:
    """Two beats out of phase; one that dies with a claim; all that start again."""
    with server.client() as client:
        client.flushall()
    with scenario_of(server, tmp_path_factory.mktemp("lives"), (*OURS, *PLAIN), (E1, E2)) as made:
        for beats in made.each():
            beats.start()
        for beats in made.each():
            beats.wait_up()
        time.sleep(0.4)
        for beats in made.each():
            beats.start()
        for beats in made.each():
            beats.wait_up()
        made.mark("two")
        time.sleep(SECONDS)
        made.mark("claimed")
        for beats in made.each():
            inside.order(beats.all[0].home, inside.CLAIMED)
        for beats in made.each():
            beats.all[0].process.wait()
        made.mark("dead")
        time.sleep(SECONDS)
        made.mark("killed")
        for beats in made.each():
            beats.all[0].start()
            beats.all[0].wait_up()
            beats.all[1].kill()
        time.sleep(SECONDS)
        made.mark("stopped")
        for beats in made.each():
            for beat in beats.all:
                beat.stop()
        made.mark("none")
        time.sleep(3)
        made.mark("again")
        for beats in made.each():
            for beat in beats.all:
                beat.start()
        for beats in made.each():
            beats.wait_up()
        made.mark("back")
        time.sleep(SECONDS)
        made.mark("end")
        for beats in made.each():
            beats.kill()
        yield made


@pytest.mark.parametrize("entry", [E1, E2], ids=lambda entry: entry.name)
@pytest.mark.parametrize("kind", OURS)
def test_two_beats_out_of_phase_send_each_slot_once(
    lives: Scenario, kind: str, entry: Entry
) -> None:
    sent = lives.sent(kind, entry.name, last="claimed")

    assert twice(sent, entry) == []
    assert off_grid(lives, sent, entry, sent[0].due) == []
    assert {one.beat for one in sent} <= {"beat1", "beat2"}
    watched = SECONDS - lives.still
    assert len(lives.sent(kind, entry.name, "two", "claimed")) >= watched / entry.every - 1


@pytest.mark.parametrize("kind", PLAIN)
def test_two_plain_beats_send_each_slot_twice(lives: Scenario, kind: str) -> None:
    sent = lives.sent(kind, E1.name, "two", "claimed")

    assert len(twice(sent, E1)) >= SECONDS - lives.still - 2


@pytest.mark.parametrize("entry", [E1, E2], ids=lambda entry: entry.name)
@pytest.mark.parametrize("kind", OURS)
def test_a_beat_that_dies_with_a_claim_leaves_no_gap_beyond_the_claims_time(
    lives: Scenario, kind: str, entry: Entry
) -> None:
    sent = lives.sent(kind, entry.name, "claimed", "killed")
    (lost,) = (line for line in read(lives.beats[kind].book) if line["what"] == "injected")

    gaps = [b.at - a.at for a, b in itertools.pairwise(sent)]
    assert max(gaps) < entry.every + entry.claim_life + STALL
    assert twice(sent, entry) == []
    assert left_out(lives, sent, entry) == []
    assert sent[-1].at > lost["at"]


@pytest.mark.parametrize("kind", OURS)
def test_what_a_dead_beat_had_claimed_is_sent_with_the_same_id(lives: Scenario, kind: str) -> None:
    book = read(lives.beats[kind].book)
    (lost,) = (line for line in book if line["what"] == "injected")
    begun = [line for line in book if line["what"] == "publishing"]
    (claimed,) = [line for line in begun if line["pid"] == lost["pid"]][-1:]

    again = [line for line in begun if line["pid"] != lost["pid"]]
    taken = [
        line for line in again if (line["entry"], line["due"]) == (claimed["entry"], claimed["due"])
    ]
    assert [line["task_id"] for line in taken] == [claimed["task_id"]]


@pytest.mark.parametrize("entry", [E1, E2], ids=lambda entry: entry.name)
@pytest.mark.parametrize("kind", OURS)
def test_kill_9_of_a_beat_between_ticks_leaves_no_gap(
    lives: Scenario, kind: str, entry: Entry
) -> None:
    sent = lives.sent(kind, entry.name, "killed", "stopped")

    gaps = [b.at - a.at for a, b in itertools.pairwise(sent)]
    # the kill may have met a claim
    assert max(gaps) < entry.every + entry.claim_life + STALL
    assert twice(sent, entry) == []


@pytest.mark.parametrize("entry", [E1, E2], ids=lambda entry: entry.name)
@pytest.mark.parametrize("kind", OURS)
def test_beats_that_all_start_again_run_once_for_what_they_missed_and_not_right_after(
    lives: Scenario, kind: str, entry: Entry
) -> None:
    before = lives.sent(kind, entry.name, last="stopped")
    after = lives.sent(kind, entry.name, "again")

    assert twice([*before, *after], entry) == []
    # its phase is that of the last run: one that was late may have changed it before
    assert off_grid(lives, [before[-1], *after], entry, before[-1].due) == []
    # a run that is late by no more than this counts as one in time, and keeps the phase
    in_time = max(0.3, entry.every / 10)
    assert min(b.at - a.at for a, b in itertools.pairwise(after)) > entry.every - in_time - 0.05
    early = [one for one in after if one.due < lives.marks["again"]]
    assert len(early) <= 1, "one run for all due times that went by"
    # one that a beat was stopped with, between its claim and its message, is sent as it was
    # claimed; the book may lack the claim, for the stop may have come before its line
    stops = [line["at"] for line in read(lives.beats[kind].book) if line["what"] == "stopped"]
    stopped_with = after[0].due <= max(at for at in stops if at < lives.marks["again"])
    late = after[0].at - after[0].due
    assert late < entry.every + STALL + lives.still or stopped_with, "and that for the latest"
