"""What the tasks of these plays note: when each run was at its body, and what it saw there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from redis import Redis

__all__ = ["URL", "noted", "overlaps", "running", "until"]

URL = os.environ.get("TEST_REDIS", "redis://127.0.0.1:6379")


def _client() -> Redis:
    return Redis.from_url(URL, decode_responses=True)


@contextmanager
def running(name: str, seconds: float = 0.2, **seen: Any) -> Iterator[None]:
    """Be at a body for a while, and note from when until when."""
    began = time.time()
    yield
    time.sleep(seconds)
    with _client() as client:
        client.rpush(f"runs:{name}", json.dumps({**seen, "began": began, "ended": time.time()}))


def noted(name: str) -> list[dict[str, Any]]:
    """Return the runs of a name, in the order of their beginnings."""
    with _client() as client:
        runs = [json.loads(run) for run in client.lrange(f"runs:{name}", 0, -1)]
    return sorted(runs, key=lambda run: run["began"])


def overlaps(name: str) -> int:
    """Return how many runs began before the one before them had ended."""
    runs = noted(name)
    return sum(after["began"] < before["ended"] for before, after in pairwise(runs))


def until(is_so: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until something is so, but not for ever: what is judged says what is missing."""
    deadline = time.monotonic() + seconds
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.1)
