"""The plays: each sends a task or two, does something with a key, and says what came of it.

A play is a generator. It yields what it waits for, and returns the facts; the player looks at all
plays in turn, so that they run at the same time in one worker.
`EXPECTED` has the facts that are right, beside every tool.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from itertools import pairwise
from typing import Any

from celery import chord

from tests.beside import app as tasks
from tests.beside.stage import Sent, Stage

__all__ = ["FOLLOWED", "PLAYS", "Play"]

Play = Generator[Callable[[], Any], None, Any]


def requeue_to_the_bound(stage: Stage) -> Play:
    stage.take("bounded")
    sent = stage.send(tasks.bounded, "bounded")
    yield sent.ended
    return [stage.noted("attempts", sent), sent.end()]


def requeue_for_a_time(stage: Stage) -> Play:
    stage.take("timed")
    sent = stage.send(tasks.timed, "timed")
    yield sent.ended
    attempts = stage.noted("attempts", sent)
    return [attempts == numbers(len(attempts)), 2 <= len(attempts) <= 6, sent.end()]


def requeue_then_skip(stage: Stage) -> Play:
    stage.take("turned")
    sent = stage.send(tasks.turned, "turned")
    yield sent.ended
    return [len(stage.noted("received", sent)), sent.end()]


def a_function_of_the_attempt(stage: Stage) -> Play:
    stage.take("third")
    sent = stage.send(tasks.third_time, "third")
    yield sent.ended
    return [stage.noted("attempts", sent), str(sent.end())[:9]]


def pauses_grow(stage: Stage) -> Play:
    stage.take("growing")
    sent = stage.send(tasks.growing, "growing")
    yield sent.ended
    times = [float(each) for each in stage.noted("met", sent)]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    grown = all(pause >= 0.19 * 3**number for number, pause in enumerate(pauses))
    return [stage.noted("attempts", sent), grown, sent.end()]


def requeue_until_it_is_free(stage: Stage) -> Play:
    """It sees of its message what a plain task sees, and belongs to its sender's trace."""
    stage.take("patient")
    beside, sent = stage.send(tasks.plain, "patient"), stage.send(tasks.patient, "patient")
    yield lambda: len(stage.noted("received", sent)) >= 3
    stage.give_back("patient")
    yield sent.ended
    yield beside.ended
    return alike(sent, beside)


def skip(stage: Stage) -> Play:
    stage.take("skip")
    sent = stage.send(tasks.skipped, "skip")
    yield sent.ended
    return sent.end()


def wait(stage: Stage) -> Play:
    stage.take("wait")
    beside, sent = stage.send(tasks.plain, "wait"), stage.send(tasks.waits, "wait")
    began = time.monotonic()
    yield lambda: stage.noted("received", sent) and time.monotonic() > began + 0.5
    stage.give_back("wait")
    yield sent.ended
    yield beside.ended
    return alike(sent, beside)


def wait_in_vain(stage: Stage) -> Play:
    stage.take("vain")
    sent = stage.send(tasks.waits_in_vain, "vain")
    yield sent.ended
    return sent.end()


def fail(stage: Stage) -> Play:
    stage.take("fail")
    sent = stage.send(tasks.failed, "fail")
    yield sent.ended
    return sent.end()


def a_retry_keeps_its_key(stage: Stage) -> Play:
    sent = stage.send(tasks.kept, "k")
    yield lambda: sent.state() == "RETRY"
    kept = not stage.free("kept:k")
    other = stage.send(tasks.skipped, "kept:k")
    yield other.ended
    tasks.note("gate", sent.id, "open")
    yield sent.ended
    yield lambda: stage.free("kept:k")
    return [kept, other.end(), sent.end()]


def a_retry_counts_anew(stage: Stage) -> Play:
    stage.take("again")
    sent = stage.send(tasks.again, "again")
    yield lambda: len(stage.noted("attempts", sent)) >= 2
    stage.give_back("again")
    yield lambda: sent.state() == "RETRY"
    before = len(stage.noted("attempts", sent))
    stage.take("again")
    yield lambda: len(stage.noted("attempts", sent)) >= before + 2
    stage.give_back("again")
    yield sent.ended
    attempts = stage.noted("attempts", sent)
    first, second = attempts[:before], attempts[before:]
    return [first == numbers(len(first)), second == numbers(len(second)), sent.end()]


def a_key_named_in_the_header(stage: Stage) -> Play:
    stage.take("order:7")
    header = {"celery_lock": {"v": 1, "key": "order:7"}}
    sent = stage.send(tasks.named, "seven", headers=header)
    yield lambda: len(stage.noted("attempts", sent)) >= 2
    stage.give_back("order:7")
    yield sent.ended
    attempts = stage.noted("attempts", sent)
    return [attempts == numbers(len(attempts)), stage.noted("keys", sent), sent.end()]


def a_tenant_in_a_header(stage: Stage) -> Play:
    stage.take("red:celery:t")
    sent = stage.send(tasks.tenants, "t", headers={"tenant": "red"})
    other = stage.send(tasks.tenants, "t", headers={"tenant": "blue"})
    yield lambda: len(stage.noted("attempts", sent)) >= 2
    stage.give_back("red:celery:t")
    yield sent.ended
    yield other.ended
    return [stage.noted("keys", sent), sent.end(), other.end()]


def a_tenant_whose_publisher_takes_the_key(stage: Stage) -> Play:
    first, again, other = (
        stage.send(tasks.published, "p", headers={"tenant": tenant})
        for tenant in ("red", "red", "blue")
    )
    tasks.note("gate", "p", "open")
    yield first.ended
    yield other.ended
    return [first.id == again.id, first.end(), other.end()]


def a_bucket_of_the_publication(stage: Stage) -> Play:
    first, second = stage.send(tasks.hourly, "b"), stage.send(tasks.hourly, "b")
    yield first.ended
    yield second.ended
    alone = stage.send_signature(tasks.increase.si(1) | tasks.hourly.si("chained"))
    yield alone.ended
    key = str(first.end())
    return [key[:9], key == second.end(), alone.end() == key.replace(":b:", ":chained:")]


def a_chain(stage: Stage) -> Play:
    stage.take("chain")
    sent = stage.send_signature(tasks.step.s("chain") | tasks.increase.s() | tasks.increase.s())
    began = time.monotonic()
    yield lambda: time.monotonic() > began + 0.7
    stage.give_back("chain")
    yield sent.ended
    return sent.end()


def a_chord(stage: Stage) -> Play:
    stage.take("chord")
    sent = stage.send_signature(chord([tasks.step.s("chord") for _ in range(3)], tasks.total.s()))
    began = time.monotonic()
    yield lambda: time.monotonic() > began + 0.7
    stage.give_back("chord")
    yield sent.ended
    return sent.end()


def a_task_that_sends_another(stage: Stage) -> Play:
    """Headers that are carried along make no copy of what is sent."""
    stage.take("order")
    sent = [stage.send(tasks.order, "order") for _ in range(2)]
    yield lambda: all(len(stage.noted("received", each)) >= 2 for each in sent)
    stage.give_back("order")
    for each in sent:
        yield each.ended
    yield lambda: len(stage.noted("labels", "order")) >= 2
    return len(set(stage.noted("labels", "order")))


def a_replacement_counts_anew(stage: Stage) -> Play:
    stage.take("moved")
    stage.take("moved.next")
    sent = stage.send(tasks.moved, "moved")
    yield lambda: len(stage.noted("attempts", sent)) >= 2
    stage.give_back("moved")
    yield sent.ended
    attempts = stage.noted("attempts", sent)
    return [attempts[:-4] == numbers(len(attempts) - 4), attempts[-4:], sent.end()]


def a_task_that_sends_itself(stage: Stage) -> Play:
    """Under one id, but it is new work."""
    stage.take("anew:self")
    sent = stage.send(tasks.anew, "self")
    yield lambda: len(stage.noted("attempts", sent)) >= 2
    stage.give_back("anew:self")
    yield lambda: len(stage.noted("runs", sent)) >= 2
    return stage.noted("runs", sent)


def a_plain_task(stage: Stage) -> Play:
    sent = stage.send(tasks.plain, "plain", headers={"x-user": "7"})
    yield sent.ended
    return sent.end()["retries"]


def a_trace_goes_along(stage: Stage) -> Play:
    """Whether the tool follows a plain task from the publisher into the worker."""
    sent = stage.send(tasks.plain, "plain")
    yield sent.ended
    return sent.trace is not None and sent.end()["trace"] == sent.trace


def the_store_is_down(stage: Stage) -> Play:
    """Each time that a message is sent again is counted, so the pauses grow."""
    stage.stop_store()
    sent = [stage.send(tasks.without, str(number)) for number in range(3)]
    beside = stage.send(tasks.plain, "beside")
    yield beside.ended
    yield lambda: all(len(stage.noted("received", each)) >= 3 for each in sent)
    stage.start_store()
    for each in sent:
        yield each.ended
    return [each.end() == len(stage.noted("received", each)) - 1 for each in sent]


def numbers(count: int) -> list[str]:
    """The attempts of one publication, from the first one on."""
    return [str(number) for number in range(1, count + 1)]


def alike(sent: Sent, beside: Sent) -> list[Any]:
    """Whether a locked body saw what a plain one sees, in the trace of its sender."""
    mine, plain = sent.end(), beside.end()
    followed = plain["trace"] == beside.trace
    return [
        mine["headers"] == plain["headers"],
        mine["retries"],
        mine["trace"] == sent.trace or not followed,
    ]


FOLLOWED = "a tracer follows it"
"""The right value is the tool's own."""

EXPECTED: dict[Callable[[Stage], Play], Any] = {
    requeue_to_the_bound: [["1", "2", "3", "4"], "LockWaitTimeout"],
    requeue_for_a_time: [True, True, "LockWaitTimeout"],
    requeue_then_skip: [3, "turned"],
    a_function_of_the_attempt: [["1", "2", "3"], "{'skipped"],
    pauses_grow: [["1", "2", "3", "4"], True, "LockWaitTimeout"],
    requeue_until_it_is_free: [True, 0, True],
    skip: "skipped",
    wait: [True, 0, True],
    wait_in_vain: "LockWaitTimeout",
    fail: "LockConflict",
    a_retry_keeps_its_key: [True, "skipped", [1, "kept:k"]],
    a_retry_counts_anew: [True, True, 1],
    a_key_named_in_the_header: [True, ["order:7", "order:7"], ["order:7"]],
    a_tenant_in_a_header: [["red:celery:t"] * 2, [1, "red:celery:t"], [1, "blue:celery:t"]],
    a_tenant_whose_publisher_takes_the_key: [True, "red:p", "blue:p"],
    a_bucket_of_the_publication: ["hourly:b:", True, True],
    a_chain: 3,
    a_chord: 3,
    a_task_that_sends_another: 2,
    a_replacement_counts_anew: [True, ["1", "2", "3", "4"], "LockWaitTimeout"],
    a_task_that_sends_itself: ["1", "2"],
    a_plain_task: 0,
    a_trace_goes_along: FOLLOWED,
}
OUTAGE: dict[Callable[[Stage], Play], Any] = {
    the_store_is_down: [True, True, True],
}
PLAYS = (EXPECTED, OUTAGE)
"""Played one after the other: the second takes the store away from all."""
