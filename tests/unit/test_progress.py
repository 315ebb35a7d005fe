"""What a long run of the tests says on its way."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.progress import Progress


class Reporter:
    _session = SimpleNamespace(testscollected=8)

    def __init__(self) -> None:
        self.lines: list[str] = []

    def ensure_newline(self) -> None: ...

    def write_line(self, line: str) -> None:
        self.lines.append(line)


def ended(name: str, when: str = "teardown") -> Any:
    return SimpleNamespace(nodeid=f"tests/integration/test_x.py::{name}", when=when)


def test_a_run_says_every_half_minute_how_far_it_is_and_in_which_room() -> None:
    reporter, now = Reporter(), [0.0]
    progress = Progress(reporter, clock=lambda: now[0])

    for name, at in (("a", 10.0), ("b", 31.0), ("c", 40.0)):
        now[0] = at
        progress.pytest_runtest_logreport(ended(name, "call"))
        progress.pytest_runtest_logreport(ended(name))

    assert reporter.lines == ["25 %: 2 of 8 tests after 0.5 min, now in tests/integration"]
