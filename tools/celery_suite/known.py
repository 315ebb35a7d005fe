"""Tests of Celery's suite that are left out or come out otherwise, each with its cause."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from tools.celery_suite.settings import LOCKS, PLAIN, Setting

__all__ = ["KNOWN", "LEFT_OUT", "SLOW", "SUBSET", "Known", "is_one_of"]


def is_one_of(test: str, patterns: Iterable[str]) -> bool:
    """Whether a test of the suite has one of these names; `*` stands for anything."""
    name = test.removeprefix("t/integration/")
    return any(fnmatchcase(name, pattern.replace("[", "[[]")) for pattern in patterns)


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
        named = is_one_of(test, (self.test,))
        return named and setting.lock in self.locks and setting.broker in self.brokers


SLOW = (
    "test_canvas.py::test_chord::test_*abling_flag_allow_error_cb_on_chord_header",
    "test_canvas.py::test_chord::test_flag_allow_error_cb_on_chord_header_on_upgraded_chord",
    "test_canvas.py::test_chord::test_*large_header",
    "test_mem_leak_in_exception_handling.py::test_mem_leak_unhandled_exceptions",
)
"""Tests that wait for minutes by themselves, most of them for something that must not come."""

LEFT_OUT = {
    "test_backend_leak_in_fixture_teardown.py::*": "needs no server and no task of the suite, and"
    " a minute for twenty workers in one process",
    "test_tasks.py::test_trace_log_arguments::*": "looks for a log line 10 ms after the result, and"
    " fails every other time on a machine that does other things, plainly",
    "test_canvas.py::test_chord::test_redis_subscribed_channels_leak": "counts channels of the"
    " whole server, and is an expected failure of Celery's",
}

KNOWN: tuple[Known, ...] = ()

_TASK = "test_tasks.py::test_tasks::test_"
_CHAIN = "test_canvas.py::test_chain::test_"

SUBSET = (
    "test_canvas.py::test_group::test_nested_group_chord_counting_chain",
    "test_canvas.py::test_link_error::*",
    "test_canvas.py::test_stamping_mechanism::test_stamps_remain_on_task_retry",
    "test_tasks.py::test_apply_tasks::*",
    "test_tasks.py::test_class_based_tasks::*",
    "test_tasks.py::test_task_replacement::*",
    _CHAIN + "*_with_empty_chain",
    _CHAIN + "chain_of_nine_chords",
    _CHAIN + "chain_replaced_with_a_chain_and_*",
    _CHAIN + "eager_chain_inside_task",
    _CHAIN + "parent_ids",
    _CHAIN + "second_order_replace",
    _CHAIN + "simple_chain",
    _TASK + "basic_task",
    _TASK + "fail*",
    _TASK + "properties",
    _TASK + "pydantic_annotations",
    _TASK + "reject_*",
    _TASK + "request_time_limits_*",
    _TASK + "retry_*",
    _TASK + "task_retried_*",
    _TASK + "wrong_arguments",
)
"""About half a minute in one setting: each way in which a task ends, and the quick ones of each
kind of canvas. All of them pass, or fail as Celery expects, without a lock."""
