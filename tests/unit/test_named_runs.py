"""Runs of messages that share a task id: which are copies, and which have policies of their own."""

from __future__ import annotations

from typing import Any

import pytest

from celery_lock import Lock, constant, fail, is_skipped, requeue, skip, wait
from celery_lock.app.locks import locks_of
from celery_lock.message import HEADER
from celery_lock.message.delivery import in_queue
from celery_lock.message.transports import AMQP, REDIS, Transport

from .engine import Ended, Engine, deliver, locked

NAMED = {HEADER: {"v": 1, "id": "id-1", "publication": "n-1"}}


class Job:
    """A task, and what its policy was asked."""

    def __init__(self, policy: Any, transport: Transport = REDIS) -> None:
        self.engine, self.attempts = Engine(), []  # type: tuple[Engine, list[int]]

        def asked(conflict: Any) -> Any:
            self.attempts.append(conflict.attempt)
            return policy

        lock = Lock("k", on_conflict=asked)

        def job(task: Any) -> str:
            return "ran"

        self.task = locked(self.engine.app(), lock, name="job", bind=True)(job)
        locks_of(self.task.app).transport = transport

    def deliver(self, **request: Any) -> Ended:
        return deliver(self.task, **{"headers": NAMED, **request})


@pytest.mark.parametrize(
    ("policy", "state"),
    [
        (skip(), "SUCCESS"),
        (fail(), "FAILURE"),
        (wait(1), "FAILURE"),
        (requeue(constant(1)), "IGNORED"),
    ],
)
@pytest.mark.parametrize("nameless", [False, True])
def test_the_same_message_out_of_another_queue_gets_its_policy(
    policy: Any, state: str, nameless: bool
) -> None:
    """An exchange has put one message into two queues: each is to run."""
    job = Job(policy)
    name = "tag-1" if nameless else "n-1"
    job.engine.hold(task_id="id-1", publication=in_queue(name, "another"), ttl=60)

    ended = job.deliver(headers={} if nameless else NAMED)

    assert (ended.state, job.attempts) == (state, [1])
    assert is_skipped(ended.result) is (state == "SUCCESS")
    assert [sent.header["attempt"] for sent in job.engine.sent] == [1] * (state == "IGNORED")


def test_another_message_of_the_same_task_waits_its_turn() -> None:
    """It is taken for an earlier try of the task, and no policy may lose a retry."""
    job = Job(skip())
    job.engine.hold(task_id="id-1", publication=in_queue("n-0", "celery"), ttl=60)

    assert job.deliver().state == "IGNORED"

    assert job.attempts == []
    assert [sent.header["turns"] for sent in job.engine.sent] == [1]


def test_a_message_keeps_its_name_over_all_that_we_send() -> None:
    job = Job(requeue(constant(1)))
    job.engine.hold(ttl=600)

    job.deliver()
    for _ in range(3):
        job.deliver(headers={HEADER: job.engine.sent[-1].header})

    assert {sent.header["publication"] for sent in job.engine.sent} == {"n-1"}
    assert job.attempts == [1, 2, 3, 4]


@pytest.mark.parametrize(("redelivered", "names"), [(False, 3), (True, 1)])
def test_equal_messages_without_a_name_are_told_apart_once_they_are_sent_again(
    redelivered: bool, names: int
) -> None:
    """Where RabbitMQ says that it is a copy, it must not be: it may be the first one's."""
    job = Job(requeue(constant(1)), AMQP)
    job.engine.hold(ttl=600)

    for tag in range(3):
        job.deliver(headers={}, tag=tag, redelivered=redelivered)

    assert len({sent.header["publication"] for sent in job.engine.sent}) == names
