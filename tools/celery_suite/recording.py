"""A plugin of pytest that bounds each test of Celery's suite, and writes down how it came out.

The suite repeats its flaky tests and gives each five minutes: a fault of ours would hide in the
one, and cost hours in the other.
`$SUITE_RECORD` names the file, one JSON object a line; `$SUITE_SECONDS` bounds a test;
`$SUITE_ACKS` is `early` or `late`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from celery.app.control import Inspect
from celery.contrib.testing import app as testing_app
from celery.contrib.testing.manager import ManagerMixin
from kombu.exceptions import ContentDisallowed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One run for each test, within our time."""
    for item in items:
        item.own_markers[:] = [m for m in item.own_markers if m.name not in ("flaky", "timeout")]
        item.add_marker(pytest.mark.timeout(float(os.environ["SUITE_SECONDS"]), method="signal"))


class Record:
    """What became of each test."""

    def __init__(self) -> None:
        self.path = Path(os.environ["SUITE_RECORD"])
        self.now: dict[str, Any] = {}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.now = {"test": nodeid, "came": "hung", "seconds": 0.0, "said": ""}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.now["seconds"] += report.duration
        says = report.when == "call" or report.outcome != "passed"
        if says and self.now["came"] in ("hung", "passed"):
            self.now["came"] = "xfailed" if hasattr(report, "wasxfail") else report.outcome
            self.now["said"] = _last_words(report)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        with self.path.open("a") as record:
            record.write(json.dumps(self.now) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    """Write down what comes, and ask the suite's one worker without waiting for others."""
    first = Inspect.__init__

    def asks_one(self: Inspect, *args: Any, limit: int | None = 1, **kwargs: Any) -> None:
        first(self, *args, limit=limit, **kwargs)  # type: ignore[misc]

    Inspect.__init__ = asks_one  # type: ignore[method-assign]
    make = testing_app.TestApp

    def made(*args: Any, config: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        late = os.environ["SUITE_ACKS"] == "late"
        return make(*args, config={**(config or {}), "task_acks_late": late}, **kwargs)

    testing_app.TestApp = made
    ManagerMixin.wait_until_idle = _wait_until_idle  # type: ignore[method-assign]
    config.pluginmanager.register(Record(), "celery-suite-record")


def _last_words(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    said = crash.message if crash else str(report.longrepr or "")
    return said[:500]


def _wait_until_idle(manager: Any) -> None:
    """As the suite's own, which looks once: messages that are on their way come a moment later."""
    control, idle = manager.app.control, 0
    while idle < 3:
        sent = control.purge()
        inspect = control.inspect()
        try:
            work = [*(inspect.active() or {}).values(), *(inspect.reserved() or {}).values()]
        except ContentDisallowed:  # as the suite's own has it
            return
        idle = 0 if sent or any(work) else idle + 1
