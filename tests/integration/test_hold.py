"""Keys held outside of tasks in real processes: threads, greenlets, forks, and whatever stops
them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from celery_lock.stores import open_store
from tests.services import RedisServer

ROOT = Path(__file__).parents[2]
PLAYS = ("threads", "greenlets", "coroutines", "forks", "signals", "exceptions", "leaves")
STOPPED = ("greenlets", "signals", "exceptions")


def play(name: str, server: RedisServer, db: int) -> dict[str, Any]:
    url = f"redis://127.0.0.1:{server.port}/{db}"
    said = subprocess.run(
        [sys.executable, "-m", "tests.integration.apps.hold_app", name],
        cwd=ROOT,
        env={**os.environ, "CELERY_LOCK_TEST_STORE": url},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.returncode == 0, said.stderr
    if name not in STOPPED:  # a stop may fall into somebody's __del__ too, where it is ignored
        assert "Traceback" not in said.stderr, said.stderr
    answer: dict[str, Any] = json.loads(said.stdout)
    return {**answer, "url": url}


@pytest.fixture(scope="module")
def plays(module_redis: RedisServer) -> dict[str, dict[str, Any]]:
    """What came of each, in a database of its own; two at a time."""
    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(lambda at: play(at[1], module_redis, at[0] + 1), enumerate(PLAYS))
        return dict(zip(PLAYS, answers, strict=True))


def test_threads_take_turns(plays: Any) -> None:
    came = plays["threads"]

    assert (came["with"], came["free"]) == (120, True)
    assert came["without"] < 120


def test_greenlets_take_turns_and_a_time_limit_leaves_no_key_behind(plays: Any) -> None:
    came = plays["greenlets"]

    assert (came["with"], came["hits"], came["free"]) == (60, 150, True)


def test_threads_of_asyncio_take_turns(plays: Any) -> None:
    came = plays["coroutines"]

    assert (came["with"], came["free"]) == (40, True)


def test_forked_workers_take_turns_and_give_back_nothing_of_their_parents(plays: Any) -> None:
    came = plays["forks"]

    assert (came["with"], came["failed"]) == (45, [0, 0, 0, 0])
    assert (came["mine"], came["free"]) == (True, True)


@pytest.mark.parametrize("what", ["signals", "exceptions"])
def test_what_stops_a_hold_anywhere_leaves_no_key_behind(plays: Any, what: str) -> None:
    came = plays[what]

    assert came["hits"] > 30
    assert came["free"]


def test_a_process_that_never_left_its_block_gives_the_key_back_as_it_leaves(plays: Any) -> None:
    came = plays["leaves"]

    assert came["held"]
    assert open_store(came["url"]).peek("script") is None
