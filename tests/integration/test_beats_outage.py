"""Two beats while their store is down, by what they were told to do then: wait, or fire."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

import pytest

from celery_lock.beat.calls import OPEN_FOR
from tests.beats.beats import Beats
from tests.beats.entries import ENTRIES
from tests.beats.kinds import KINDS
from tests.beats.scenario import Scenario, Sent
from tests.beats.standstill import watched
from tests.beats.ticks import off_grid
from tests.services import STALL, RedisServer

pytestmark = pytest.mark.timeout(180)

(E1,) = (entry for entry in ENTRIES if entry.name == "e1-plain")
CALM = 4.0
"""Seconds before the outage."""
DOWN = 7.0
"""Seconds of outage."""
AFTER = 8.0
"""Seconds after it."""


@pytest.fixture(scope="module")
def played(redis_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenario]:
    """Two beats of each sort, a store that is killed and comes back, a broker that stays."""
    folder = tmp_path_factory.mktemp("outage")
    with (
        RedisServer(redis_binary, folder / "broker") as broker,
        RedisServer(redis_binary, folder / "store", appendonly=True) as store,
        watched() as stills,
    ):
        beats = {
            answer: Beats(
                KINDS["locked"],
                folder / answer,
                store=store.url_for(number),
                broker=broker.url_for(number),
                entries=[E1],
                conf={"lock_beat_on_store_error": answer},
            )
            for number, answer in enumerate(("wait", "fire"))
        }
        made = Scenario(beats, stills)
        try:
            for some in made.each():
                some.start(2)
            for some in made.each():
                some.wait_up()
            time.sleep(CALM)
            store.kill()
            made.mark("down")
            time.sleep(DOWN)
            made.mark("back")
            store.start()
            time.sleep(AFTER)
            made.mark("end")
        finally:
            for some in made.each():
                some.kill()
        yield made


def by_due(sent: list[Sent]) -> dict[float, list[Sent]]:
    """What was sent for each due time."""
    found = defaultdict(list)
    for one in sent:
        found[round(one.due, 3)].append(one)
    return found


def test_beats_that_fire_send_each_slot_of_an_outage_from_each_of_them_with_one_id(
    played: Scenario,
) -> None:
    sent = played.sent("fire", E1.name)
    down, back = played.marks["down"], played.marks["back"]
    sent_for = by_due(sent)
    within = {due: some for due, some in sent_for.items() if down + STALL < due < back - STALL}

    assert len(within) >= DOWN - 2 * STALL - played.still - 1
    for due, some in within.items():
        if not played.stood_still(due - E1.every, due + STALL):
            assert sorted(one.beat for one in some) == ["beat1", "beat2"]
    for some in sent_for.values():
        assert len({one.task_id for one in some}) == 1


def test_beats_that_wait_send_nothing_in_an_outage_and_one_run_for_it_afterwards(
    played: Scenario,
) -> None:
    sent = played.sent("wait", E1.name)
    down, back = played.marks["down"], played.marks["back"]

    # one that was claimed before the store died is published
    assert [one for one in sent if down + STALL < one.at < back] == []
    assert len([one for one in sent if one.at > back and one.due < back]) <= 1
    assert {len(some) for some in by_due(sent).values()} == {1}


@pytest.mark.parametrize("answer", ["wait", "fire"])
def test_after_an_outage_each_slot_is_sent_once_and_a_whole_interval_after_the_last(
    played: Scenario, answer: str
) -> None:
    sent = played.sent(answer, E1.name)
    settled = played.marks["back"] + OPEN_FOR + E1.claim_life + STALL
    after = by_due([one for one in sent if one.at > settled])

    assert len(after) >= AFTER - (settled - played.marks["back"]) - played.still - 1
    assert {len(some) for some in after.values()} == {1}
    assert off_grid(played, [some[0] for some in after.values()], E1, min(after)) == []
    at = [one.at for one in sent if one.at > settled]
    in_time = 0.3  # a run that is late by no more than this keeps the phase
    assert min(two - one for one, two in pairwise(at)) > E1.every - in_time - 0.05
