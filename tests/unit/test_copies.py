"""Orders of events around the end of a run: which copy is dropped, which waits, which runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from celery import signals
from celery.contrib.abortable import ABORTED, AbortableTask
from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded

from celery_lock import Lock, LockedTask, fail, requeue, skip, wait
from celery_lock.app import notes
from celery_lock.app.locks import locks_of
from celery_lock.errors import StoreUnavailable
from celery_lock.events import Conflicted, CopyDropped
from celery_lock.message import HEADER, Header, Unsent
from celery_lock.message.sqs_queues import QueueFacts
from celery_lock.message.transports import AMQP, REDIS, SQS, UNKNOWN, VIRTUAL, Transport
from celery_lock.model import MET_FOR
from celery_lock.task.run import Run

from .engine import Ended, Engine, deliver, locked

LATE = {"acks_late": True}
HOUR = 3600.0
KEEPS = 960.0
"""Seconds that a record outlives the last moment at which a copy is expected."""
WAITS = 10.0
"""Seconds for which a copy waits for an end that is never told."""


class Task:
    """A task on one transport, how often its body ran, and what the body does."""

    def __init__(
        self, lock: Lock | None = None, transport: Transport = REDIS, **options: Any
    ) -> None:
        self.engine = Engine()
        self.runs = 0
        self.during: Callable[[Any], Any] = lambda task: "done"

        def body(task: Any, user_id: int = 7) -> Any:
            self.runs += 1
            return self.during(task)

        app = self.engine.app()
        options = {"name": "t", "bind": True, **options}
        self.task = locked(app, lock or Lock("k", on_conflict=requeue()), **options)(body)
        locks_of(app).transport = transport

    def deliver(self, **request: Any) -> Ended:
        return deliver(self.task, **request)

    def raises(self, error: BaseException) -> None:
        def during(task: Any) -> None:
            raise error

        self.during = during

    def again(self) -> dict[str, Any]:
        """The headers of the message that was sent last."""
        return {HEADER: self.engine.sent[-1].header}

    def tells(self) -> None:
        """Let the completions be told that wait for that."""
        self.engine.move(1)

    def tick(self, seconds: float) -> None:
        self.engine.clock.move(seconds)

    def remembers(self) -> bool:
        """A release would record the end, if only where a copy was seen."""
        ends = [asked["end"] for asked in self.engine.store.asked("release")]
        return any(end is not None and end.publication for end in ends)

    def was_dropped(self) -> bool:
        return bool(self.engine.told(CopyDropped))


def written_to(backend: Any) -> list[str]:
    """Return the states that are written to a result backend from now on."""
    own, states = backend.store_result, []

    def store_result(task_id: str, result: Any, state: str, **more: Any) -> Any:
        states.append(state)
        return own(task_id, result, state, **more)

    backend.store_result = store_result
    return states


@contextmanager
def receiver(signal: Any, raises: BaseException) -> Iterator[None]:
    """A user's own receiver of a signal of Celery, which raises."""

    def users(**_: Any) -> None:
        raise raises

    signal.connect(users, weak=False)
    try:
        yield
    finally:
        signal.disconnect(users)


def dies(task: Task, **request: Any) -> None:
    """The process dies when the key is given back and nothing that follows is out."""
    with receiver(signals.task_success, SystemExit(9)), suppress(SystemExit):
        task.deliver(**request)


# -- ended, and told -------------------------------------------------------------------------


def test_a_copy_is_dropped_once_all_that_follows_the_run_was_told() -> None:
    task = Task(**LATE)
    task.deliver(redelivered=True)
    task.tells()

    ended = task.deliver(redelivered=True)

    assert ended.state == "IGNORED"
    assert (task.runs, task.was_dropped(), task.engine.sent) == (1, True, [])


def test_a_copy_that_comes_before_that_waits_its_turn() -> None:
    task = Task(Lock("k", on_conflict=skip()), **LATE)
    task.deliver(redelivered=True)

    early = task.deliver(redelivered=True)
    task.tells()
    late = task.deliver(headers=task.again(), tag="tag-2")

    assert (early.state, late.state, task.runs) == ("IGNORED", "IGNORED", 1)
    assert len(task.engine.sent) == 1
    assert task.was_dropped()
    assert task.engine.told(Conflicted) == []


def test_a_copy_runs_where_the_worker_died_before_anything_followed() -> None:
    task = Task(**LATE)
    dies(task, redelivered=True)
    task.tells()

    waits = task.deliver(redelivered=True)
    task.tick(WAITS)
    runs = task.deliver(headers=task.again(), tag="tag-2")

    assert (waits.state, runs.state, task.runs) == ("IGNORED", "SUCCESS", 2)
    assert not task.was_dropped()


def test_a_copy_waits_no_longer_than_an_end_counts_for() -> None:
    task = Task(**LATE)
    dies(task, redelivered=True)
    headers: dict[str, Any] = {}
    for _ in range(40):
        if task.deliver(headers=headers, redelivered=not headers).state == "SUCCESS":
            break
        headers = task.again()
        task.tick(task.engine.sent[-1].delay)

    assert task.runs == 2
    assert sum(again.delay for again in task.engine.sent) <= WAITS + 0.01


def test_a_chain_whose_next_step_cannot_be_sent_runs_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = Task(ignore_result=True, **LATE)

    def after_it() -> None:
        raise AssertionError("it is never sent")

    after = locked(task.task.app, name="after")(after_it)

    def stops(*args: Any, **options: Any) -> None:
        raise SystemExit(9)

    monkeypatch.setattr(type(after), "apply_async", stops)
    with suppress(SystemExit):
        task.deliver(redelivered=True, chain=[after.si()])
    task.tells()
    task.tick(WAITS)

    assert task.deliver(redelivered=True).state == "SUCCESS"
    assert task.runs == 2


def test_no_result_backend_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task(**LATE)
    task.deliver(redelivered=True)
    task.tells()
    task.task.backend.forget("id-1")

    def asked(*args: Any, **options: Any) -> None:
        raise AssertionError("a worker cannot read what was sent to somebody else")

    monkeypatch.setattr(type(task.task.backend), "get_state", asked)

    assert task.deliver(redelivered=True).state == "IGNORED"
    assert task.runs == 1


def test_a_users_receiver_that_raises_keeps_nothing_from_being_told() -> None:
    task = Task(**LATE)

    with receiver(signals.task_postrun, ValueError("theirs")):
        task.deliver(redelivered=True)
    task.tells()

    assert task.deliver(redelivered=True).state == "IGNORED"


def test_a_worker_that_was_started_in_an_except_clause_tells_too() -> None:
    task = Task(**LATE)

    try:
        raise ValueError("the reason to start it")
    except ValueError:
        task.deliver(redelivered=True)
    task.tells()

    assert task.deliver(redelivered=True).state == "IGNORED"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # Celery before 5.7 finds it odd
def test_a_handler_that_rejects_the_message_after_the_body_takes_the_completion_back() -> None:
    class Handled(LockedTask):
        abstract = True
        rejects = True

        def after_return(self, *args: Any, **options: Any) -> None:
            if type(self).rejects:
                raise Reject("after all", requeue=False)

    task = Task(base=Handled, **LATE)
    with suppress(Reject):
        task.deliver(redelivered=True)
    Handled.rejects = False
    task.tells()
    task.tick(WAITS)

    assert task.deliver(redelivered=True).state == "SUCCESS"


def test_what_a_task_class_of_a_user_makes_of_the_end_counts() -> None:
    class Strict(LockedTask):
        abstract = True
        accepts = False

        def __call__(self, *args: Any, **options: Any) -> Any:
            result = super().__call__(*args, **options)
            if not type(self).accepts:
                raise Reject("not good enough", requeue=False)
            return result

    task = Task(base=Strict, **LATE)
    assert task.deliver(redelivered=True).state == "REJECTED"
    Strict.accepts = True
    task.tells()
    task.tick(WAITS)

    assert task.deliver(redelivered=True).state == "SUCCESS"
    assert task.runs == 2


# -- which endings are completions -----------------------------------------------------------


def ends_twice(task: Task, error: BaseException | None) -> bool:
    """Whether a message that ended so, and comes again within the hour, is dropped."""
    if error is not None:
        task.raises(error)
    with suppress(SystemExit, KeyboardInterrupt):
        task.deliver(redelivered=True)
    task.tells()
    task.tick(WAITS)
    task.during = lambda task: "done"
    task.deliver(redelivered=True)
    assert task.runs == (1 if task.was_dropped() else 2)
    return task.was_dropped()


ENDINGS = [
    # what ends the body, options, dropped with early acks, and with late ones
    (None, {}, True, True),
    (ValueError("no"), {}, True, True),
    (ValueError("no"), {"acks_on_failure_or_timeout": False}, True, False),
    (SoftTimeLimitExceeded(), {}, True, True),
    (SoftTimeLimitExceeded(), {"acks_on_failure_or_timeout": False}, True, False),
    (Ignore(), {}, True, True),
    (Retry("by hand"), {}, True, True),
    (Reject("no", requeue=False), {}, False, False),
    (Reject("later", requeue=True), {}, False, False),
    (MemoryError(), {}, True, False),
    (SystemExit(1), {}, False, False),
    (KeyboardInterrupt(), {}, False, False),
]


@pytest.mark.parametrize(("error", "options", "early", "late"), ENDINGS, ids=repr)
def test_a_copy_is_dropped_only_where_the_broker_was_told_that_the_message_is_done(
    error: BaseException | None, options: dict[str, Any], early: bool, late: bool
) -> None:
    assert ends_twice(Task(**options), error) is early
    assert ends_twice(Task(**options, **LATE), error) is late


@pytest.mark.parametrize("options", [LATE, {}], ids=["acks late", "by default"])
def test_a_message_that_was_sent_again_and_then_rejected_runs_when_it_comes_back(
    options: dict[str, Any],
) -> None:
    """Through a dead-letter queue, or by the hand of an operator: the headers are the same."""
    task = Task(**options)
    lease = task.engine.hold()
    task.deliver()
    task.engine.free(lease)
    task.raises(Reject("upstream is down", requeue=False))
    sent = task.again()
    task.deliver(headers=sent, tag="tag-2")
    task.tells()
    task.during = lambda task: "done"

    back = task.deliver(headers=sent, tag="tag-3", redelivered=False)

    assert (back.state, task.runs) == ("SUCCESS", 2)


def test_a_message_that_was_sent_again_and_then_told_is_dropped_when_it_comes_back() -> None:
    task = Task(**LATE)
    lease = task.engine.hold()
    task.deliver()
    task.engine.free(lease)
    sent = task.again()
    task.deliver(headers=sent, tag="tag-2")
    task.tells()

    assert task.deliver(headers=sent, tag="tag-3").state == "IGNORED"
    assert task.runs == 1


@pytest.mark.parametrize("policy", [skip(), fail()])
@pytest.mark.parametrize("options", [{}, LATE], ids=["early", "late"])
def test_a_message_that_ended_without_a_lease_is_told_by_a_step_of_its_own(
    policy: Any, options: Any
) -> None:
    task = Task(Lock("k", on_conflict=policy), **options)
    lease = task.engine.hold()
    task.deliver(redelivered=True)
    task.tells()
    task.engine.free(lease)

    assert task.deliver(redelivered=True).state == "IGNORED"
    assert (task.runs, task.was_dropped()) == (0, True)


def test_a_refused_message_that_leads_into_a_dead_letter_queue_runs_when_it_comes_back() -> None:
    task = Task(Lock("k", on_conflict=fail()), acks_on_failure_or_timeout=False, **LATE)
    lease = task.engine.hold()
    task.deliver(redelivered=True)
    task.tells()
    task.engine.free(lease)

    assert task.deliver(redelivered=True).state == "SUCCESS"


def test_a_run_without_its_lock_is_told_once_the_store_is_back() -> None:
    task = Task(Lock("k", on_store_error="run"), **LATE)
    task.engine.store.refuse("acquire", "complete", error=StoreUnavailable("memory://", "down"))
    task.deliver(redelivered=True)
    task.engine.settle()

    assert task.deliver(redelivered=True).state == "IGNORED"
    assert task.runs == 1


def test_a_message_that_was_sent_again_is_not_done() -> None:
    task = Task(**LATE)
    lease = task.engine.hold()
    task.deliver(redelivered=True)
    task.tells()
    task.engine.free(lease)

    assert task.deliver(headers=task.again(), tag="tag-2").state == "SUCCESS"


@pytest.mark.parametrize("transport", [REDIS, AMQP], ids=lambda row: row.driver)
@pytest.mark.parametrize("options", [{}], ids=["early"])
def test_a_send_without_an_answer_counts_as_sent(
    transport: Transport, options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run stayed in its process, got the key and came to its end: the message came too."""
    monkeypatch.setattr(Run, "pause", lambda self, seconds: None)
    task = Task(transport=transport, **options)
    lease = task.engine.hold()
    sender = locks_of(task.task.app).sender
    taken: list[dict[str, Any]] = []

    def is_taken(raw: Any, header: Header, *, delay: float) -> None:
        taken.append({HEADER: header.write()})
        task.engine.free(lease)
        raise Unsent("no answer")

    monkeypatch.setattr(sender, "send", is_taken)
    first = task.deliver(tag=1 if transport is AMQP else "tag-1")
    task.tells()

    copy = task.deliver(headers=taken[0], tag="tag-2")

    assert (first.state, copy.state, task.runs) == ("SUCCESS", "IGNORED", 1)


def test_a_process_notes_no_completion_of_what_it_sends_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If it is killed before it has said how that ended, the main process tells none."""
    monkeypatch.setattr(Run, "pause", lambda self, seconds: None)
    noted: list[str] = []
    monkeypatch.setattr(notes, "note", lambda *note: noted.append(note[-1]))
    task = Task()
    lease = task.engine.hold()
    seen: list[str] = []

    def is_lost(raw: Any, header: Header, *, delay: float) -> None:
        seen.append(noted[-1])
        if len(seen) == 2:
            task.engine.free(lease)
        raise Unsent("no answer")

    monkeypatch.setattr(locks_of(task.task.app).sender, "send", is_lost)
    task.during = lambda self: seen.append(noted[-1])
    task.deliver()

    assert seen == ["", "", "tag-1@celery"]


def test_a_run_that_gets_the_key_after_its_copy_was_completed_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The send had no answer, and all the same another worker has run what was sent."""
    monkeypatch.setattr(Run, "pause", lambda self, seconds: None)
    task = Task(transport=AMQP)
    lease = task.engine.hold()
    sender = locks_of(task.task.app).sender

    def is_run(raw: Any, header: Header, *, delay: float) -> None:
        task.engine.free(lease)
        task.deliver(headers={HEADER: header.write()}, tag=2)
        task.tells()
        raise Unsent("no answer")

    monkeypatch.setattr(sender, "send", is_run)

    assert task.deliver(tag=1).state == "IGNORED"
    assert (task.runs, task.was_dropped()) == (1, True)


# -- who asks, who writes, how long ----------------------------------------------------------


def first_after_its_copy(task: Task, **first: Any) -> Ended:
    task.deliver(redelivered=True)
    task.tells()
    return task.deliver(**first)


@pytest.mark.parametrize("transport", [REDIS, SQS, VIRTUAL, UNKNOWN], ids=lambda row: row.driver)
@pytest.mark.parametrize("options", [{}, LATE], ids=["early", "late"])
def test_a_first_delivery_that_comes_after_its_copy_does_not_run(
    transport: Transport, options: Any
) -> None:
    """It lay prefetched, or with an eta, in a busy worker."""
    task = Task(transport=transport, **options)
    sqs = {"delivery_info": {"sqs_message": {"MessageId": "m-1"}}}
    redelivered = {
        "sqs_message": {"MessageId": "m-1", "Attributes": {"ApproximateReceiveCount": 2}}
    }
    if transport is SQS:
        task.deliver(properties={"delivery_tag": "r-2", "delivery_info": redelivered})
        task.tells()
        ended = task.deliver(properties={"delivery_tag": "r-1", **sqs})
    else:
        ended = first_after_its_copy(task, ago=5000)

    assert (ended.state, task.runs) == ("IGNORED", 1)


def test_what_lies_in_the_executor_as_the_connection_is_lost_asks_on_rabbitmq() -> None:
    for options in ({}, LATE):
        task = Task(transport=AMQP, **options)

        ended = first_after_its_copy(task, tag=1, ago=1, era=1)

        assert (ended.state, task.runs) == ("IGNORED", 1)


def test_a_first_delivery_on_rabbitmq_does_not_ask() -> None:
    """Two messages that were given one id by hand are equal in all; both are to run."""
    task = Task(transport=AMQP, **LATE)
    task.deliver(tag=1, ago=1)
    task.tells()

    assert task.deliver(tag=2, ago=1).state == "SUCCESS"


def records(task: Task, **request: Any) -> bool:
    """A copy of a message that ran so, and that nobody has met, is dropped."""
    task.deliver(**request)
    task.tells()
    runs = task.runs
    task.deliver(**{**request, "redelivered": True})
    return task.runs == runs


def test_the_usual_message_leaves_no_record() -> None:
    assert not records(Task(), ago=1)
    assert not records(Task(**LATE), ago=1)
    assert not records(Task(transport=AMQP), tag=1, ago=1)


@pytest.mark.parametrize("transport", [AMQP, SQS], ids=lambda row: row.driver)
def test_where_a_copy_comes_unannounced_each_late_ack_leaves_one(transport: Transport) -> None:
    assert records(Task(transport=transport, **LATE), tag=1, ago=1)


@pytest.mark.parametrize("options", [{}, LATE], ids=["early", "late"])
def test_a_message_leaves_one_that_lay_here_for_half_its_visibility_timeout(options: Any) -> None:
    assert not records(Task(**options), ago=HOUR / 2 - 60)
    assert records(Task(**options), ago=HOUR / 2 + 60)


@pytest.mark.parametrize("transport", [AMQP, SQS], ids=lambda row: row.driver)
def test_a_message_leaves_one_that_is_acknowledged_early_by_a_worker_that_runs_bodies_itself(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The solo pool sends the acknowledgement after the body, and after those beside it."""
    row = transport if transport is AMQP else transport.for_queue(QueueFacts(HOUR))
    row = replace(row, reads=None)
    assert not records(Task(transport=row), tag=1, ago=1)

    monkeypatch.setattr("celery_lock.task.ending.acknowledges_last", lambda app: True)
    assert records(Task(transport=row), tag=1, ago=1)


def test_a_message_leaves_one_where_nobody_knows_yet_how_soon_a_copy_comes() -> None:
    """SQS has not said yet what the visibility timeout of the queue is."""
    assert records(Task(transport=SQS), ago=1)


@pytest.mark.parametrize("options", [{}, LATE], ids=["early", "late"])
def test_a_message_leaves_one_whose_worker_has_connected_anew(options: Any) -> None:
    assert records(Task(**options), ago=1, era=1)
    assert not records(Task(**options), ago=1, era=0)


@pytest.mark.parametrize("options", [{}, LATE], ids=["early", "late"])
def test_a_message_leaves_one_that_ends_while_its_worker_stops(
    options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be killed before it acknowledges, and Celery may miss the result of a child."""
    monkeypatch.setattr("celery_lock.task.ending.stopping", lambda: True)

    assert records(Task(**options), ago=1)


def test_a_message_of_a_tick_leaves_one() -> None:
    tick = {"v": 1, "key": "k", "publication": "p", "beat": {"entry": "e", "due": "2026-11-29T02:00:00+00:00"}, "retries": 0, "nesting": 0}  # noqa: E501  # fmt: skip

    task = Task()
    task.deliver(headers={HEADER: tick}, ago=1)
    task.tells()

    assert task.deliver(headers={HEADER: tick}, id="id-2", tag="tag-2", ago=1).state == "IGNORED"


def test_a_message_leaves_one_whose_copy_asked_while_it_ran() -> None:
    """Its own worker believes in an hour, and another one has given it out after a minute."""
    for options in ({}, LATE):
        task = Task(**options)
        met: list[Ended] = []
        task.during = lambda self, task=task, met=met: met.append(task.deliver(redelivered=True))
        task.deliver(ago=1)
        task.tells()

        copy = task.deliver(headers=task.again(), tag="tag-2")

        assert [one.state for one in met] == ["IGNORED"]
        assert (copy.state, task.runs) == ("IGNORED", 1)


def test_a_wait_for_the_key_leaves_none() -> None:
    task = Task(Lock("k", on_conflict=wait(20)))
    task.engine.hold(ttl=5)

    assert not records(task, ago=1)


def lives(task: Task, seconds: float, **request: Any) -> None:
    """The record of a message that ran so lives for so long."""
    task.deliver(**request)
    task.tells()
    task.tick(seconds - 5)
    assert task.deliver(**{**request, "redelivered": True}).state == "IGNORED"
    task.tick(10)
    assert task.deliver(**{**request, "redelivered": True}).state == "SUCCESS"


@pytest.mark.parametrize(
    ("transport", "life"),
    [
        (REDIS, HOUR + KEEPS),
        (AMQP, KEEPS),
        (SQS, HOUR + KEEPS),
        (VIRTUAL, HOUR + KEEPS),
        (UNKNOWN, HOUR + KEEPS),
    ],
    ids=lambda value: getattr(value, "driver", value),
)
def test_a_record_outlives_the_last_moment_at_which_a_copy_may_come(
    transport: Transport, life: float
) -> None:
    lives(Task(transport=transport, **LATE), life, redelivered=True)


def test_what_was_sent_again_is_remembered_for_a_day() -> None:
    """It may have gone to the end of a backlog of hours."""
    task = Task(**LATE)
    lease = task.engine.hold()
    task.deliver()
    task.engine.free(lease)

    lives(task, MET_FOR, headers=task.again(), tag="tag-2")


def test_a_copy_that_was_met_is_remembered_for_a_day() -> None:
    task = Task(**LATE)
    task.during = lambda self: task.deliver(redelivered=True) and None
    task.deliver(ago=1)
    task.tells()

    task.tick(MET_FOR - 60)

    assert task.deliver(redelivered=True).state == "IGNORED"
    assert task.runs == 1


# -- messages of one task id, and none at all ---------------------------------------------------


def test_a_copy_that_was_sent_again_does_not_run_after_the_first_was_completed() -> None:
    """It met the first one running, and waits in the queue while that one ends."""
    task = Task(**LATE)
    lease = task.engine.hold(task_id="id-1")
    task.deliver(redelivered=True)
    again = {HEADER: task.engine.sent[-1].header}
    task.engine.free(lease)
    task.deliver(redelivered=True)  # the first, once more

    ended = task.deliver(headers=again, tag="tag-2")

    assert ended.state == "IGNORED"
    assert task.runs == 1


def test_a_message_that_was_sent_again_is_known_by_its_publication_when_it_is_completed() -> None:
    task = Task()
    lease = task.engine.hold()
    task.deliver()
    again = {HEADER: task.engine.sent[-1].header}
    task.engine.free(lease)
    task.deliver(headers=again, tag="tag-2")

    ended = task.deliver(redelivered=True)  # its worker had died before it acknowledged the first

    assert ended.state == "IGNORED"
    assert task.runs == 1


def test_an_eager_task_needs_no_broker() -> None:
    """Its tests run where the driver of the real one may not be installed."""
    task = Task(**LATE)
    del locks_of(task.task.app).transport
    task.task.app.conf.broker_url = "nosuch://elsewhere"

    assert task.task.apply().get() == "done"
    assert not task.remembers()


def test_an_eager_task_records_nothing_whatever_its_header_says() -> None:
    """A test may hand on the headers of a message that was sent again."""
    task = Task()
    lease = task.engine.hold()
    task.deliver()
    task.engine.free(lease)

    assert task.task.apply(headers={HEADER: task.engine.sent[-1].header}).get() == "done"

    assert not task.remembers()


def test_a_task_id_that_is_used_twice_runs_twice_though_it_met_a_conflict() -> None:
    task = Task(**LATE)
    locks_of(task.task.app).transport = AMQP
    task.deliver(tag=1)
    task.engine.clock.move(1)
    lease = task.engine.hold()
    task.deliver(tag=2)
    task.engine.free(lease)

    ended = task.deliver(tag=3, headers={HEADER: task.engine.sent[-1].header})

    assert ended.state == "SUCCESS"
    assert task.runs == 2


@pytest.mark.parametrize("options", [{}, LATE], ids=["early", "late"])
def test_messages_that_are_equal_in_all_run_as_often_as_they_were_sent(options: Any) -> None:
    """From a process without a name for them, on RabbitMQ: two meet the first, which then ends."""
    task = Task(transport=AMQP, **options)

    def others_come(self: Any) -> None:
        task.during = lambda self: "done"
        for tag in (2, 3):
            assert task.deliver(tag=tag, ago=1).state == "IGNORED"

    task.during = others_come
    task.deliver(tag=1, ago=1)
    task.tells()
    sent = [{HEADER: again.header} for again in task.engine.sent]

    ended = [task.deliver(headers=headers, tag=4).state for headers in sent]

    assert ended == ["SUCCESS", "SUCCESS"]
    assert task.runs == 3
    task.tells()
    copies = [task.deliver(headers=headers, tag=5, redelivered=True).state for headers in sent]
    assert (copies, task.runs) == (["IGNORED", "IGNORED"], 3)


def test_a_retry_is_no_copy_of_the_try_before_it() -> None:
    task = Task(max_retries=3, **LATE)
    task.raises(Retry("later", sig=task.task.s()))
    task.deliver(redelivered=True)
    task.during = lambda task: "done"

    ended = task.deliver(redelivered=True, retries=1, tag="tag-2")

    assert ended.state == "SUCCESS"


@pytest.mark.parametrize("outcome", ["FAILURE", "SUCCESS"])
def test_a_copy_that_is_dropped_leaves_the_result_of_its_task(outcome: str) -> None:
    """Celery tells STARTED before it calls a task, and writes over what is there with that."""
    task, id = Task(track_started=True, **LATE), f"dropped {outcome}"
    backend = task.task.backend
    if outcome == "FAILURE":
        task.raises(ValueError("no such user"))
    task.deliver(redelivered=True, id=id)
    task.tells()
    written = written_to(backend)

    assert task.deliver(redelivered=True, id=id).state == "IGNORED"

    assert (task.was_dropped(), written) == (True, [])
    assert backend.get_state(id) == outcome


def test_a_task_is_started_when_its_body_is_and_not_while_it_waits_for_its_key() -> None:
    task, states = Task(track_started=True, **LATE), []
    backend = task.task.backend
    task.during = lambda each: states.append(backend.get_state(each.request.id))
    other = task.engine.hold()

    task.deliver(id="waits")
    states.append(backend.get_state("waits"))
    task.engine.free(other)
    task.deliver(id="waits", headers=task.again())

    assert states == ["PENDING", "STARTED"]
    assert backend.get_state("waits") == "SUCCESS"


@pytest.mark.parametrize("said", [{}, {"ignore_result": True}, {"ignore_result": False}])
@pytest.mark.parametrize("ignores", [False, True])
def test_a_task_is_started_only_where_its_end_is_written_too(
    ignores: bool, said: dict[str, Any]
) -> None:
    """Which of task and call counts depends on the version of Celery."""
    task = Task(track_started=True, ignore_result=ignores, **LATE)
    written = written_to(task.task.backend)

    task.deliver(id=f"{ignores} {said}", **said)

    assert written in (["STARTED", "SUCCESS"], [])


@pytest.mark.parametrize("said", [None, True, False])
@pytest.mark.parametrize("lock", [Lock("b"), None], ids=["locked", "without a lock"])
def test_a_class_under_a_locked_one_is_tracked_as_it_says(said: bool | None, lock: Any) -> None:
    """Of a locked one we write STARTED, of others Celery does."""
    task = Task(track_started=True, **LATE)
    app, own = task.task.app, {} if said is None else {"track_started": said}
    derived = type("Derived", (type(task.task),), {"name": "derived", "lock": lock, **own})
    app.register_task(derived())
    made = app.tasks["derived"]
    written = written_to(made.backend)

    deliver(made, id=f"derived {said} {lock}")

    assert written == [*([] if said is False else ["STARTED"]), "SUCCESS"]


@pytest.mark.parametrize("aborted", [True, False])
def test_a_task_that_was_aborted_as_it_waited_for_its_key_stays_aborted(aborted: bool) -> None:
    """Its body asks whether it was, which STARTED would hide."""
    klass = type("Both", (LockedTask, AbortableTask), {"abstract": True})
    task, id = Task(track_started=True, base=klass, **LATE), f"aborted {aborted}"
    if aborted:
        task.task.backend.store_result(id, result=None, state=ABORTED)
    asked: list[bool] = []
    task.during = lambda each: asked.append(each.is_aborted())
    written = written_to(task.task.backend)

    task.deliver(id=id)

    assert asked == [aborted]
    assert written == [*([] if aborted else ["STARTED"]), "SUCCESS"]
