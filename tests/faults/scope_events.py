"""What happens in each row of the scopes: one function for each fault."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import kombu
from click.testing import CliRunner

from celery_lock.cli import lock
from tests.faults.scope_app import DIES, LIMIT, NO_LOCK, QUEUE, STOPS, VISIBILITY
from tests.faults.scope_stage import Stage
from tests.services import wait_for

__all__ = ["PERMITS", "PLAYS"]


def _kill_child(stops: str) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        stage.worker(**{STOPS: stops})
        stage.publish()
        os.kill(stage.stopped(), 9)
        stage.now()
        stage.publish_until_sent()

    return play


def _kill_worker(stops: str) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        first = stage.worker(**{STOPS: stops})
        stage.publish()
        stage.stopped()
        first.process.kill()
        stage.now()
        stage.worker()
        stage.publish_until_sent()

    return play


def _publisher_dies(when: str) -> Callable[[Stage], tuple[str, ...]]:
    def play(stage: Stage) -> tuple[str, ...]:
        stage.publisher(**{DIES: when})
        stage.now()
        second = stage.publish()
        stage.worker()
        return () if second else ("who came after a dead publisher was refused",)

    return play


def _revoked(stage: Stage) -> None:
    worker = stage.worker(concurrency=1)
    stage.app.tasks["busy"].apply_async((1.5,), queue=QUEUE)
    first = stage.publish()
    stage.sent.clear()
    wait_for(lambda: f"[{first}] received" in worker.logs(), "it is received")
    stage.app.control.revoke(first)
    stage.now()
    stage.publish_until_sent()


def _expired(stage: Stage) -> None:
    stage.publish(expires=0.5)
    stage.sent.clear()
    time.sleep(0.7)
    stage.now()
    stage.worker()
    stage.publish_until_sent()


def _purged(stage: Stage) -> None:
    stage.publish()
    _purge(stage)
    stage.now()
    stage.worker()


def _purged_and_released(stage: Stage) -> tuple[str, ...]:
    stage.publish()
    _purge(stage)
    stage.sent.clear()
    stage.now()

    class Context:
        app = stage.app

    template = f"{stage.row.scope}:{{key}}"
    done = CliRunner().invoke(lock, ["release", "--queued", template, "--force"], obj=Context())
    stage.publish()
    free_after = time.monotonic() - stage.since
    stage.worker()
    wrong = (done.output,) if done.exit_code else ()
    return (*wrong, *(("it took long",) if free_after > 3 else ()))


def _purge(stage: Stage) -> None:
    with stage.app.connection_for_write() as connection:
        connection.default_channel.queue_purge(QUEUE)


def _visibility_while_queued(stage: Stage) -> None:
    """Both processes are busy; the worker has the message, and Redis delivers it again."""
    for _ in range(2):
        stage.app.tasks["busy"].apply_async((2.0 * VISIBILITY,), queue=QUEUE)
    stage.worker()
    time.sleep(0.5)
    stage.publish()
    stage.now()
    stage.since += 2.0 * VISIBILITY
    stage.worker()


def _store_down(stage: Stage) -> tuple[str, ...]:
    raises = stage.row.what.endswith("fail")
    stage.store.pause()
    try:
        first = stage.publish()
    finally:
        stage.store.resume()
    stage.now()
    stage.worker()
    if raises and first:
        return ("it was sent, though on_store_error is fail",)
    stage.publish_until_sent()
    return ()


def _by_name(stage: Stage) -> None:
    stage.by_name()
    stage.by_name()
    stage.now()
    stage.worker(**{})
    stage.worker()


def _by_the_release_before(stage: Stage) -> None:
    stage.publisher(old=True)
    stage.publisher(old=True)
    stage.now()
    stage.worker()


def _half_of_the_workers(stage: Stage) -> None:
    stage.worker(old=True)
    stage.worker()
    stage.now()
    for _ in range(6):
        stage.publish(seconds=0.2)
        time.sleep(0.3)


def _no_lock(stage: Stage) -> None:
    stage.publish()
    stage.now()
    stage.worker(**{NO_LOCK: "1"})


def _cut_while_queued(stage: Stage) -> None:
    for _ in range(2):
        stage.app.tasks["busy"].apply_async((2.0,), queue=QUEUE)
    stage.worker()
    time.sleep(0.7)
    stage.publish()
    time.sleep(0.3)
    stage.wire.cut()
    stage.wire.forward()
    stage.now()
    stage.since += 2.0


def _cut_in_the_body(stage: Stage) -> None:
    stage.worker()
    stage.publish(seconds=2.0)
    stage.wait_started()
    stage.wire.cut()
    stage.wire.forward()
    stage.now()
    stage.since += 2.0


def _dead_lettered(stage: Stage) -> None:
    """It expires in its queue, and somebody moves it back by hand."""
    with stage.app.connection_for_write() as connection:
        dead = connection.SimpleQueue("scopes-dead")
        stage.publish(expiration=0.3)
        message = dead.get(timeout=10)
        producer = kombu.Producer(connection.channel())
        kinds = {"content_type": message.content_type, "content_encoding": message.content_encoding}
        producer.publish(message.body, routing_key=QUEUE, headers=message.headers, **kinds)
        message.ack()
        dead.close()
    stage.now()
    stage.worker()


def _twice_on_sqs(stage: Stage) -> None:
    stage.worker()
    stage.publish(seconds=2.0 * VISIBILITY)
    stage.wait_started()
    stage.now()
    stage.since += 2.0 * VISIBILITY
    stage.worker()


def _permits_and_copies(stage: Stage) -> None:
    for _ in range(2):
        stage.worker(concurrency=3)
    for _ in range(4):
        stage.publish(seconds=1.5 * VISIBILITY)
    stage.now()
    stage.since += 3.0 * VISIBILITY


def _permits_child_killed(stage: Stage) -> None:
    stage.worker(concurrency=4, **{STOPS: "body"})
    for _ in range(6):
        stage.publish()
    os.kill(stage.stopped(), 9)
    stage.now()
    stage.worker(concurrency=4)
    # those of the first worker stop once in each process
    for pid in {line["pid"] for line in stage.lines("stopped")}:
        _kill(pid)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return


def _permits_worker_killed(stage: Stage) -> None:
    first = stage.worker(concurrency=4, **{STOPS: "body"})
    for _ in range(6):
        stage.publish()
    stage.stopped()
    first.process.kill()
    stage.now()
    stage.worker(concurrency=4)


def _deploy(before: str, after: str) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        stage.worker(concurrency=4, **{LIMIT: before})
        for _ in range(12):
            stage.publish(seconds=0.4)
        stage.worker(concurrency=4, **{LIMIT: after})
        stage.now()

    return play


PLAYS: dict[str, Callable[[Stage], Any]] = {
    "its child is killed before it adopts": _kill_child("prerun"),
    "its child is killed after it has adopted": _kill_child("acquired"),
    "its child is killed in the body": _kill_child("body"),
    "the worker is killed before it adopts": _kill_worker("prerun"),
    "the worker is killed after it has adopted": _kill_worker("acquired"),
    "the worker is killed in the body": _kill_worker("body"),
    "the publisher is killed before it sends": _publisher_dies("before"),
    "the publisher is killed before it confirms": _publisher_dies("after"),
    "revoked while it is queued": _revoked,
    "expired while it is queued": _expired,
    "the queue is purged": _purged,
    "the queue is purged, and its leases are released by hand": _purged_and_released,
    "the visibility timeout passes while it is queued": _visibility_while_queued,
    "the store is down as it is published, requeue": _store_down,
    "the store is down as it is published, run": _store_down,
    "the store is down as it is published, fail": _store_down,
    "sent by name": _by_name,
    "sent by the release before": _by_the_release_before,
    "half of the workers are of the release before": _half_of_the_workers,
    "its worker has no lock for it": _no_lock,
    "the connection is lost while it is queued": _cut_while_queued,
    "the connection is lost in the body": _cut_in_the_body,
    "dead-lettered and returned": _dead_lettered,
    "SQS delivers it twice": _twice_on_sqs,
    "the visibility timeout passes in the body": _permits_and_copies,
    "a deploy lowers the limit": _deploy("5", "1"),
    "a deploy raises the limit": _deploy("1", "5"),
}
PERMITS: dict[str, Callable[[Stage], Any]] = {
    "its child is killed in the body": _permits_child_killed,
    "the worker is killed in the body": _permits_worker_killed,
}
"""Those of several holders, where one of them meets what others do not."""
