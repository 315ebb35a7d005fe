"""What tasks did, one line each in a file that all processes of a test append to."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

VARIABLE = "TEST_HISTORY"


def tell(what: str, job: Any, **more: Any) -> None:
    """Add a line. Small appends of several processes do not mix."""
    line = json.dumps({"what": what, "job": job, "at": time.monotonic(), "pid": os.getpid()} | more)
    with open(os.environ[VARIABLE], "a") as file:
        file.write(line + "\n")


class History:
    """A file of such lines, for the test that reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.env = {VARIABLE: str(path)}

    def lines(self, what: str | None = None, job: Any = None) -> list[dict[str, Any]]:
        """The lines, in the order of their time (one clock for all processes of a machine)."""
        text = self.path.read_text() if self.path.exists() else ""
        lines = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
        lines.sort(key=lambda line: line["at"])
        return [
            line
            for line in lines
            if what in (None, line["what"]) and (job is None or line["job"] == job)
        ]

    def wait(self, what: str, job: Any = None, *, count: int = 1, timeout: float = 20.0) -> Any:
        """Wait for so many lines, and return them."""
        from tests.services import wait_for  # a worker, which only tells, would load all servers

        return wait_for(
            lambda: (found := self.lines(what, job))[: len(found) * (len(found) >= count)],
            f"{count} lines of {what} {job or ''}",
            timeout=timeout,
            explain=lambda: "\n".join(map(str, self.lines())),
        )

    def overlaps(self, job: Any = None) -> list[tuple[Any, Any]]:
        """Starts of a job that came before the end of its run before."""
        running: dict[Any, Any] = {}
        found = []
        for line in self.lines(job=job):
            if line["what"] == "start":
                if line["job"] in running:
                    found.append((running[line["job"]], line))
                running[line["job"]] = line
            elif line["what"] == "end":
                running.pop(line["job"], None)
        return found
