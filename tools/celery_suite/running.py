"""The suite is run in one setting: some tests at a time, each share on servers of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.services import Process, RabbitServer, RedisServer, WaitedTooLong
from tools.celery_suite.known import SLOW, is_one_of
from tools.celery_suite.settings import PLAIN, Setting

__all__ = ["Outcome", "Suite"]

CHECKOUT = Path(__file__).parents[2]
SHARE = 12
"""Tests for one process: a worker is started for each, and what hangs costs the others of it."""
WARM_UP = "t/integration/test_tasks.py::test_tasks::test_basic_task"
"""Starts the suite's worker: some tests of this file use it, and do not ask for it."""
SECONDS = 90
"""For one test; the longest usual one takes half of that on a machine that does other things."""
SLOW_SECONDS = 420
"""For one of the slow tests; the longest takes 280 s."""


@dataclass(frozen=True)
class Outcome:
    """How one test came out."""

    came: str
    said: str = ""
    seconds: float = 0.0

    @property
    def line(self) -> str:
        """What was said last, as one line."""
        return " ".join(self.said.split())[:300]


class Suite:
    """Celery's tests, and the servers that they are run on."""

    def __init__(
        self, root: Path, folder: Path, redis: str, rabbit: RabbitServer | None, jobs: int
    ) -> None:
        self.root = root
        self.folder = folder
        self.redis = redis
        self.rabbit = rabbit
        self.jobs = jobs
        self._numbers = count(1)

    def run(self, setting: Setting, tests: Sequence[str]) -> dict[str, Outcome]:
        """Run some tests, `jobs` shares of them at the same time."""
        slow = [test for test in tests if is_one_of(test, SLOW)]
        usual = [test for test in tests if test not in slow]
        shares = [[test] for test in slow]  # first, so that nobody waits for them in the end
        shares += [usual[start : start + SHARE] for start in range(0, len(usual), SHARE)]
        with ThreadPoolExecutor(self.jobs) as pool:
            found: dict[str, Outcome] = {}
            for outcomes in pool.map(lambda share: self._run_share(setting, share), shares):
                found.update(outcomes)
        return found

    def _run_share(self, setting: Setting, tests: Sequence[str]) -> dict[str, Outcome]:
        folder = self.folder / f"{next(self._numbers)}"
        folder.mkdir(parents=True)
        record = folder / "record"
        with ExitStack() as stack:
            redis = stack.enter_context(RedisServer(self.redis, folder / "redis"))
            broker = redis.url
            if setting.broker == "rabbit":
                assert self.rabbit is not None
                vhost = self.rabbit.new_vhost()
                stack.callback(self.rabbit.delete_vhost, vhost)
                broker = self.rabbit.url_for(vhost)
            plugins = ["-p", "tools.celery_suite.recording"]
            if setting.lock != PLAIN:
                plugins += ["-p", "tools.celery_suite.locking"]
            seconds = SLOW_SECONDS if is_one_of(tests[0], SLOW) else SECONDS
            first = [WARM_UP] if any(WARM_UP.split("::")[0] in test for test in tests) else []
            pytest = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"]
            run = Process(
                [*pytest, *plugins, *first, *tests],
                cwd=self.root,
                env=environment(redis, broker, setting, record) | {"SUITE_SECONDS": str(seconds)},
                log=folder / "log",
            )
            stack.callback(run.kill)  # with its worker, whatever became of it
            run.start()
            with suppress(WaitedTooLong):
                run.wait(seconds * (2 + len(tests) // 3))
        lines = record.read_text().splitlines() if record.exists() else []
        came = {one.pop("test"): Outcome(**one) for one in map(json.loads, lines)}
        return {test: came.get(test, Outcome("lost", f"see {folder}/log")) for test in tests}


def environment(
    redis: RedisServer | None, broker: str, setting: Setting | None, record: Path
) -> dict[str, str]:
    """What Celery's conftest and our plugins read."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("CELERY_")}
    env |= {"PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1", "TEST_BROKER": broker}
    env |= {"WORKER_LOGLEVEL": "INFO", "PATH": f"{Path(sys.executable).parent}:{env['PATH']}"}
    env |= {"SUITE_RECORD": str(record), "SUITE_SECONDS": str(SECONDS), "SUITE_ACKS": "early"}
    if redis is not None:
        env |= {"TEST_BACKEND": redis.url, "SUITE_STORE": redis.url}
        env |= {"REDIS_HOST": redis.host, "REDIS_PORT": str(redis.port)}
    if setting is not None:
        env |= {"SUITE_LOCK": setting.lock, "SUITE_ACKS": setting.acks}
    return env
