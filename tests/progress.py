"""How far the tests are: a line every half minute, also where pytest-xdist shows only dots."""

from __future__ import annotations

import time
from pathlib import PurePosixPath
from typing import Any

import pytest

__all__ = ["Progress", "pytest_configure"]

EVERY = 30.0
"""Seconds between two lines."""


class Progress:
    """Counts the tests that have ended, and says where they are."""

    def __init__(self, reporter: Any, *, clock: Any = time.monotonic) -> None:
        self._reporter, self._clock = reporter, clock
        self._began = self._said = clock()
        self._ended: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One step of a test has ended, in this process or in another one."""
        if report.when != "teardown":
            return
        self._ended.add(report.nodeid)
        now = self._clock()
        if now - self._said < EVERY:
            return
        self._said = now
        total = max(self._reporter._session.testscollected, len(self._ended))
        percent = 100 * len(self._ended) // total
        room = PurePosixPath(report.nodeid.partition("::")[0]).parent
        self._reporter.ensure_newline()
        self._reporter.write_line(
            f"{percent} %: {len(self._ended)} of {total} tests after"
            f" {(now - self._began) / 60:.1f} min, now in {room}"
        )


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Report, unless this is a process of pytest-xdist, which has no terminal."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Progress(reporter), "progress of celery_lock")
