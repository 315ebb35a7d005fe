"""Which endings the broker is told of, by what ended the run and by the task's options."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from celery_lock.task.ended_by import EndedBy, ended_in, is_completion

BY_DEFAULT = {
    "acks_on_failure_or_timeout": True,
    "reject_on_worker_lost": None,
}
"""Options of a task in Celery 5.5 and 5.6, which have no others."""
OLD_OFF = {"acks_on_failure_or_timeout": False}
FAILURE_OFF = {"acks_on_failure": False}
TIMEOUT_OFF = {"acks_on_timeout": False}
ON_AGAIN = {**OLD_OFF, "acks_on_failure": True, "acks_on_timeout": True}
UNSET = {"acks_on_failure_or_timeout": None, "acks_on_failure": None, "acks_on_timeout": None}
REJECTS = {"reject_on_worker_lost": True}
RETRIES = {"retry_on_worker_lost": True}


def task(acks_late: bool, options: dict[str, Any]) -> Any:
    return SimpleNamespace(acks_late=acks_late, **{**BY_DEFAULT, **options})


@pytest.mark.parametrize("ended", EndedBy)
def test_with_early_acks_all_is_done_but_what_goes_on_elsewhere_or_was_rejected(
    ended: EndedBy,
) -> None:
    goes_on = {EndedBy.SENT_AGAIN, EndedBy.STOPPED, EndedBy.REJECTED}

    for options in ({}, OLD_OFF, FAILURE_OFF, TIMEOUT_OFF, REJECTS, RETRIES):
        assert is_completion(ended, task(False, options)) is (ended not in goes_on)


@pytest.mark.parametrize(
    ("ended", "options", "done"),
    [
        (EndedBy.RETURNED, {}, True),
        (EndedBy.RETURNED, {**OLD_OFF, **FAILURE_OFF, **REJECTS}, True),
        (EndedBy.IGNORED, OLD_OFF, True),
        (EndedBy.RETRIED, OLD_OFF, True),
        (EndedBy.RAISED, {}, True),
        (EndedBy.RAISED, UNSET, True),
        (EndedBy.RAISED, OLD_OFF, False),
        (EndedBy.RAISED, FAILURE_OFF, False),
        (EndedBy.RAISED, TIMEOUT_OFF, True),
        (EndedBy.RAISED, ON_AGAIN, True),
        (EndedBy.OUT_OF_MEMORY, {}, False),
        (EndedBy.REJECTED, {}, False),
        (EndedBy.SENT_AGAIN, {}, False),
        (EndedBy.TIME_LIMIT, {}, True),
        (EndedBy.TIME_LIMIT, UNSET, True),
        (EndedBy.TIME_LIMIT, OLD_OFF, False),
        (EndedBy.TIME_LIMIT, TIMEOUT_OFF, False),
        (EndedBy.TIME_LIMIT, FAILURE_OFF, True),
        (EndedBy.TIME_LIMIT, ON_AGAIN, True),
        (EndedBy.CHILD_LOST, {}, True),
        (EndedBy.CHILD_LOST, REJECTS, False),
        (EndedBy.CHILD_LOST, RETRIES, False),
        (EndedBy.CHILD_LOST, OLD_OFF, False),
        (EndedBy.CHILD_LOST, FAILURE_OFF, False),
        (EndedBy.REVOKED, {}, True),
        (EndedBy.REVOKED, FAILURE_OFF, True),
        (EndedBy.REVOKED, REJECTS, False),
        (EndedBy.REVOKED, RETRIES, False),
        (EndedBy.STOPPED, {}, False),
    ],
)
def test_with_late_acks_the_tasks_options_say_what_is_done(
    ended: EndedBy, options: dict[str, Any], done: bool
) -> None:
    assert is_completion(ended, task(True, options)) is done


@pytest.mark.parametrize(
    ("state", "ended"),
    [
        ("SUCCESS", EndedBy.RETURNED),
        ("FAILURE", EndedBy.RAISED),
        ("RETRY", EndedBy.RETRIED),
        ("IGNORED", EndedBy.IGNORED),
        ("REJECTED", EndedBy.REJECTED),
        (None, EndedBy.STOPPED),
        ("of a user's own", EndedBy.STOPPED),
    ],
)
def test_a_state_says_what_ended_the_run(state: str | None, ended: EndedBy) -> None:
    assert ended_in(state) is ended
