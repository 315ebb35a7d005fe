"""The policy on its own: no worker and no server is needed to test a pure function."""

from __future__ import annotations

import time
from dataclasses import replace

from celery_lock import Conflict, constant, fail, requeue, skip
from celery_lock.model import Holder

from .policy import STUCK, patience

FIRST = Conflict(
    key="catalogue:7",
    task="fetch",
    task_id="mine",
    holder=Holder("theirs", node="A@example", pid=1, since=time.time()),
    attempt=1,
    waited=0.0,
    expires_in=30.0,
    redelivered=False,
    in_canvas=False,
)


def test_a_task_on_its_own_is_sent_again_twice_and_then_skipped() -> None:
    assert patience(FIRST) == requeue(constant(0.2))
    assert patience(replace(FIRST, attempt=2)) == requeue(constant(0.2))
    assert patience(replace(FIRST, attempt=3)) == skip()


def test_a_task_whose_result_somebody_needs_is_sent_again_for_ever() -> None:
    assert patience(replace(FIRST, attempt=99, in_canvas=True)) == requeue(constant(0.2))


def test_a_stuck_holder_is_no_reason_to_wait() -> None:
    stuck = replace(FIRST.holder, since=time.time() - STUCK - 1)

    assert patience(replace(FIRST, holder=stuck, in_canvas=True)) == fail()
