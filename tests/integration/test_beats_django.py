"""Two beats over the tables of django-celery-beat: what is to fire once fires once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timezone

import pytest

from tests.beats.database import writer
from tests.beats.scenario import DATABASE_FILE, Scenario, scenario_of
from tests.services import RedisServer

pytestmark = pytest.mark.timeout(300)

OURS, PLAIN = "database", "plain-database"

NOTICED = 7.0
"""Seconds in which a beat has seen that a row was changed: it looks every five."""


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).isoformat()


@pytest.fixture(scope="module")
def played(redis_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenario]:
    """Two beats of each kind, with rows that fire once, and one that is enabled again."""
    folder = tmp_path_factory.mktemp("django-beats")
    with (
        RedisServer(redis_binary, folder / "redis") as server,
        scenario_of(server, folder, (OURS, PLAIN), ()) as made,
    ):
        play(made)
        yield made


def play(played: Scenario) -> None:
    with ExitStack() as stack:
        writers = [stack.enter_context(writer(one.folder / DATABASE_FILE)) for one in played.each()]
        for beats in played.each():
            beats.start(2)
        for beats in played.each():
            beats.wait_up()
        later = played.marks["later"] = time.time() + NOTICED
        for write in writers:
            write(
                [
                    {"name": "once", "every": 1, "one_off": True},
                    {"name": "off", "every": 1, "enabled": False},
                    {"name": "clocked", "clocked": iso(later), "one_off": True},
                    {"name": "later", "every": 1, "start_time": iso(later)},
                    {"name": "expired", "every": 1, "expires": iso(later)},
                ]
            )
        time.sleep(later + NOTICED - time.time())
        played.mark("enabled")
        for write in writers:
            write([{"name": "once", "enabled": True}])
        time.sleep(NOTICED)
        played.mark("end")
        for beats in played.each():
            beats.kill()


@pytest.mark.parametrize("name", ["once", "clocked"])
def test_what_is_to_fire_once_fires_once_over_all_beats(played: Scenario, name: str) -> None:
    assert len(played.sent(OURS, name, last="enabled")) == 1


def test_without_the_store_each_beat_fires_what_is_to_fire_once(played: Scenario) -> None:
    assert len(played.sent(PLAIN, "clocked", last="enabled")) == 2


def test_an_entry_for_once_that_is_enabled_again_fires_once_more(played: Scenario) -> None:
    assert len(played.sent(OURS, "once", "enabled")) == 1


def test_a_clocked_entry_fires_at_its_time(played: Scenario) -> None:
    (sent,) = played.sent(OURS, "clocked")

    assert 0.0 <= sent.at - played.marks["later"] < NOTICED


def test_nothing_fires_before_its_start_time_and_then_once_a_due_time(played: Scenario) -> None:
    sent = played.sent(OURS, "later", last="end")

    assert sent[0].at >= played.marks["later"]
    seconds = played.marks["end"] - sent[0].at
    assert seconds - 2 <= len(sent) <= seconds + 2


def test_nothing_fires_that_is_not_enabled(played: Scenario) -> None:
    assert played.sent(OURS, "off") == []


def test_an_entry_that_expires_fires_until_then(played: Scenario) -> None:
    sent = played.sent(OURS, "expired")

    assert sent
    assert sent[-1].at < played.marks["later"] + 0.5
