"""Tests of Celery's suite that are left out or come out otherwise, each with its cause."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from tools.celery_suite.settings import LOCKS, PLAIN, Setting

__all__ = ["KNOWN", "LEFT_OUT", "SUBSET", "Known"]


@dataclass(frozen=True)
class Known:
    """A test that a lock changes, and why that is right."""

    test: str
    """Its name in the suite; `*` stands for anything."""
    cause: str
    locks: tuple[str, ...] = field(default=tuple(lock for lock in LOCKS if lock != PLAIN))
    brokers: tuple[str, ...] = ("redis", "rabbit")

    def covers(self, test: str, setting: Setting) -> bool:
        """Whether it speaks of this test in this setting."""
        named = fnmatchcase(test.removeprefix("t/integration/"), self.test.replace("[", "[[]"))
        return named and setting.lock in self.locks and setting.broker in self.brokers


LEFT_OUT = {
    "test_backend_leak_in_fixture_teardown.py::*": "needs no server and no task of the suite, and"
    " a minute for twenty workers in one process",
    "test_canvas.py::test_chord::test_redis_subscribed_channels_leak": "counts channels of the"
    " whole server, and is an expected failure of Celery's",
}

KNOWN: tuple[Known, ...] = ()

SUBSET: tuple[str, ...] = ("test_group_chains.py::*",)
"""About a minute: canvas, retries, replacements, wrong arguments, revokes."""
