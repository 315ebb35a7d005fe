"""Beats as processes, each with a folder of its own as on a machine of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.beats.book import note
from tests.beats.database import env_of
from tests.beats.entries import ENTRIES, ONLY, Entry
from tests.beats.inside import BOOK, CONF, HOME, STORE, order, step_clock
from tests.beats.kinds import Kind
from tests.services import Process
from tests.services.worker import CHECKOUT

__all__ = ["APP", "Beat", "Beats"]

APP = "tests.beats.app"
STARTED = r"beat: Starting\.\.\."


class Beat:
    """One beat. It may be started again after its end."""

    def __init__(self, number: int, kind: Kind, folder: Path, env: Mapping[str, str]) -> None:
        self.number = number
        self.home = folder / f"beat{number}"
        self.home.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "celery", "-A", APP, "beat", "-S", kind.scheduler]
        argv += ["--loglevel", "INFO", "--pidfile", "", "--schedule", str(self.home / "schedule")]
        env = {**env, HOME: str(self.home)}
        self.process = Process(argv, cwd=self.home, log=self.home / "beat.log", env=env)
        self._book = env[BOOK]
        self._up = False
        self.started = 0.0
        self.paused = False
        self.stopping = False

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.time() - self.started

    def start(self) -> None:
        """Start it; nothing is left of an order that its predecessor did not come to."""
        order(self.home)
        self._up, self.stopping, self.started = False, False, time.time()
        self.process.start()
        self._note("start")

    def up(self) -> bool:
        """It runs, schedules, and nothing is ordered that will end it."""
        if not self.process.alive() or self.paused or self.stopping:
            return False
        self._up = self._up or bool(re.search(STARTED, self.process.logs(since_start=True)))
        return self._up and not self.ordered()

    def ordered(self) -> bool:
        """It has an order that it has not come to."""
        with contextlib.suppress(OSError):
            return bool((self.home / "order").read_text())
        return False

    def wait_up(self) -> None:
        """Wait until it schedules."""
        self.process.wait_for_log(STARTED, 30, since_start=True)

    def kill(self) -> None:
        """kill -9."""
        self._note("killed")
        self.process.kill()

    def pause(self) -> None:
        """SIGSTOP."""
        self.paused = True
        self._note("paused")
        self.process.pause()

    def resume(self) -> None:
        """SIGCONT."""
        self.process.resume()
        self._note("resumed")
        self.paused = False

    def stop(self) -> None:
        """SIGTERM, as a deploy does."""
        self.stopping = True
        self._note("stopped")
        self.process.stop()

    def _note(self, what: str) -> None:
        note(self._book, what, beat=self.home.name, pid=self.process.pid)


class Beats:
    """Several beats of one kind over one schedule.

    Args:
        store, broker: URLs.
        entries: the schedule; of a database its rows are the schedule.
        conf: more settings.
        database: the file, for a kind that needs one.
    """

    def __init__(
        self,
        kind: Kind,
        folder: Path,
        *,
        store: str,
        broker: str,
        entries: Sequence[Entry] = ENTRIES,
        conf: Mapping[str, Any] | None = None,
        database: Path | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.kind = kind
        self.folder = folder
        self.book = folder / "book.jsonl"
        self.all: list[Beat] = []
        env = {name: value for name, value in os.environ.items() if not name.startswith("CELERY_")}
        env |= {"PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1"}
        env |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONFAULTHANDLER": "1"}
        env |= {"CELERY_BROKER_URL": broker, BOOK: str(self.book), STORE: store}
        env |= {CONF: json.dumps(dict(conf or {}))}
        env |= {ONLY: ",".join(entry.name for entry in entries)}
        self._env = env | (env_of(database) if database else {})

    def start(self, number: int = 1, *, off: float = 0.0) -> list[Beat]:
        """Start so many more, whose clocks are off by so many seconds."""
        new = []
        for _ in range(number):
            beat = Beat(len(self.all) + 1, self.kind, self.folder, self._env)
            if off:
                step_clock(beat.home, off)
            self.all.append(beat)
            beat.start()
            new.append(beat)
        return new

    def wait_up(self) -> None:
        """Wait until all schedule."""
        for beat in self.all:
            beat.wait_up()

    def kill(self) -> None:
        """End them, whatever they are at."""
        for beat in self.all:
            beat.process.kill()
