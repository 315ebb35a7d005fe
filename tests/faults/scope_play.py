"""Plays one row of the scopes, and judges what came of it."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.faults import scope_app
from tests.faults.bodies import dead
from tests.faults.scope_events import PERMITS, PLAYS
from tests.faults.scope_rows import QUEUE_TTL, ScopeRow
from tests.faults.scope_stage import Stage, staged
from tests.services import RabbitServer
from tests.services.sqs_server import SqsServer

__all__ = ["ScopeOutcome", "play_scope"]

SOON = 8.0
"""Seconds after a death at most: Celery looks for dead children each five seconds, and what was
running runs again."""
_environment = threading.Lock()


@dataclass(frozen=True)
class ScopeOutcome:
    """One row, played."""

    row: ScopeRow
    lost: int
    twice: int
    overlaps: int
    seconds: float
    more: tuple[str, ...] = ()

    @property
    def wrong(self) -> tuple[str, ...]:
        """What is not as promised."""
        wrong = list(self.more)
        if self.lost > self.row.may_lose:
            wrong.append(f"{self.lost} lost")
        if self.overlaps:
            wrong.append(f"{self.overlaps} beyond the limit")
        # nothing is held while the body runs: what comes again runs again, as a plain task does
        if self.twice and self.row.scope != "until_started":
            wrong.append(f"{self.twice} came to their end twice")
        longest = SOON + (0.0 if self.row.seen else QUEUE_TTL)
        if self.seconds > longest:
            wrong.append(f"the key was free after {self.seconds:.1f} s")
        return tuple(wrong)

    @property
    def verdict(self) -> str:
        """`ok`, or what is wrong."""
        return "; ".join(self.wrong) or "ok"


def play_scope(
    row: ScopeRow, binary: str, folder: Path, rabbit: RabbitServer | None, sqs: SqsServer
) -> ScopeOutcome:
    """Play one row."""
    with staged(row, binary, folder, rabbit, sqs) as stage:
        on_error = row.what.rpartition(", ")[2] if "store is down" in row.what else ""
        with _environment:  # the app reads it as it is made
            env = stage.env(**({scope_app.ON_STORE_ERROR: on_error} if on_error else {}))
            os.environ.update(env)
            try:
                stage.app = scope_app.make_app(broker_url=stage.url)
                for task in stage.app.tasks.values():
                    task.app  # noqa: B018  # bound now, while the variables stand
            finally:
                for name in env:
                    os.environ.pop(name, None)
        stage.stack.callback(stage.app.close)
        stage.now()
        play = PLAYS[row.what]
        if row.limit != 1:
            play = PERMITS.get(row.what, play)
        more = play(stage)
        lost, seconds = stage.wait_ended()
        time.sleep(0.5)  # whoever still comes now comes too often
        return _judged(stage, lost, seconds, more or ())


def _judged(stage: Stage, lost: set[str], seconds: float, more: tuple[str, ...]) -> ScopeOutcome:
    lines = stage.lines()
    ends = [line["task_id"] for line in lines if line["what"] == "end"]
    twice = sum(ends.count(one) > 1 for one in set(ends))
    running: dict[int, str] = {}
    overlaps = 0
    for line in lines:
        if line["what"] == "start":
            running = {pid: one for pid, one in running.items() if not dead(pid)}
            running[line["pid"]] = line["task_id"]
            limit = line["limit"] if stage.row.limit != 1 else 1
            copies = len(running) - len(set(running.values()))
            if stage.row.scope != "until_started":
                overlaps += len(running) > limit or copies > 0
        elif line["what"] == "end":
            running.pop(line["pid"], None)
    return ScopeOutcome(stage.row, len(lost), twice, overlaps, seconds, more)
