"""Amazon SQS, as moto plays it: copies, pauses, answers that mean "not sent", groups."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import celery
import pytest

from celery_lock.message import HEADER, Header, Sender, Unsent
from celery_lock.message.raw import RawMessage
from tests.integration.apps import sqs_app
from tests.integration.apps.history import History
from tests.integration.keys import Keys, keys_at
from tests.services import RedisServer, SqsServer, sending, wait_for
from tests.services.fixtures import WorkerFactory

APP = "tests.integration.apps.sqs_app"
ACKS = ("early", "late")


@dataclass
class Setup:
    """A worker with two processes on a standard and a FIFO queue, and who sends to it."""

    server: SqsServer
    app: celery.Celery
    keys: Keys
    history: History

    def send(self, name: str, job: str, *args: Any, queue: str = "std", **options: Any) -> Any:
        return self.app.tasks[f"sqs.{name}"].apply_async([job, *args], queue=queue, **options)

    def sent(self, job: str) -> list[dict[str, Any]]:
        """The requests that have sent a message of this job, with what kombu put into it."""
        found = []
        for request in self.server.requests("SendMessage"):
            message = json.loads(base64.b64decode(request["MessageBody"]))
            args = json.loads(base64.b64decode(message["body"]))[0]
            if args[0] == job:
                found.append({**request, "headers": message["headers"]})
        return found


@pytest.fixture(scope="module")
def setup(
    sqs_server: SqsServer,
    module_redis: RedisServer,
    module_worker_factory: WorkerFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Setup]:
    sqs_server.empty()
    dead = sqs_server.attributes(sqs_server.create("dead"))["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 2})
    sqs_server.create("limited", VisibilityTimeout=1, RedrivePolicy=policy)
    history = History(tmp_path_factory.mktemp("sqs") / "history")
    options = SqsServer.options(visibility_timeout=30)
    urls = {"broker": sqs_server.url, "backend": module_redis.url}
    env = {sqs_app.OPTIONS: json.dumps(options), **history.env}
    module_worker_factory(
        APP, queues=["std", "row.fifo", "limited"], concurrency=2, env=env, **urls
    )
    with (
        sending(
            sqs_app.make_app(options, broker_url=urls["broker"], result_backend=urls["backend"])
        ) as app,
        keys_at(module_redis.url) as keys,
    ):
        yield Setup(sqs_server, app, keys, history)


# -- pauses ----------------------------------------------------------------------------------


def test_waiting_messages_lie_in_the_queue_and_hold_no_plain_task_up(setup: Setup) -> None:
    with setup.keys.held("a"):
        waiting = [setup.send("late", "a") for _ in range(14)]  # a worker prefetches twelve
        wait_for(lambda: len(setup.sent("a")) >= 28, "each sent again")
        plain = setup.send("plain", "p")
        assert plain.get(timeout=10) == "ran"  # while the key is held they all go on waiting

    assert [one.get(timeout=20) for one in waiting] == ["ran"] * 14
    assert len(setup.history.lines("start", "a")) == 14
    again = [one for one in setup.sent("a") if one["headers"].get(HEADER, {}).get("attempt")]
    assert {one.get("DelaySeconds") for one in again} == {1}
    assert {one["headers"]["eta"] for one in again} == {None}
    assert max(len(one["headers"][HEADER]["publication"]) for one in again) <= 63


def test_a_fifo_group_that_waits_holds_no_other_one_up(setup: Setup) -> None:
    once = {"MessageGroupId": "one", "MessageDeduplicationId": "once"}
    with setup.keys.held("f1"):
        first = setup.send("late", "f1", queue="row.fifo", **once)
        wait_for(lambda: len(setup.sent("f1")) >= 2, "it is sent again")
        other = setup.send("late", "f2", queue="row.fifo", MessageGroupId="other")
        assert other.get(timeout=10) == "ran"

    assert first.get(timeout=20) == "ran"
    published, *again = setup.sent("f1")
    assert {one["MessageGroupId"] for one in again} == {"one"}
    assert len({one["MessageDeduplicationId"] for one in (published, *again)}) == 1 + len(again)
    assert all("DelaySeconds" not in one and one["headers"]["eta"] for one in again)


# -- not sent --------------------------------------------------------------------------------


def test_no_error_that_sqs_answers_loses_a_task(setup: Setup) -> None:
    with setup.keys.held("r"):
        results = [setup.send(acks, "r") for acks in ACKS]
        wait_for(lambda: len(setup.sent("r")) >= 4, "each sent again")
        for answer in ((403, "AccessDenied"), (503, "ServiceUnavailable")):
            setup.server.refuse(SendMessage=answer)
            wait_for(lambda: len(setup.sent("r")) >= 2, f"each is refused with {answer}")

    assert [one.get(timeout=20) for one in results] == ["ran"] * 2
    assert len(setup.history.lines("start", "r")) == 2
    setup.server.refuse()


def test_a_message_that_our_header_makes_too_large_runs_all_the_same(setup: Setup) -> None:
    url = setup.server.call("GetQueueUrl", QueueName="std")["QueueUrl"]
    with setup.keys.held("big"):
        result = setup.send("early", "big", 0.0, "x" * 50_000)
        (published, *_) = wait_for(lambda: setup.sent("big"), "it is sent")
        limit = len(published["MessageBody"]) + 10
        setup.server.call(
            "SetQueueAttributes", QueueUrl=url, Attributes={"MaximumMessageSize": str(limit)}
        )
        setup.server.refuse()  # and forget what was sent until now
        wait_for(lambda: len(setup.sent("big")) >= 2, "it is refused twice", timeout=20)

    assert result.get(timeout=20) == "ran"
    assert len(setup.history.lines("start", "big")) == 1


# -- deliveries ------------------------------------------------------------------------------


def test_what_was_received_too_often_over_all_sends_goes_to_the_dead_letter_queue(
    setup: Setup,
) -> None:
    """Its body has killed two workers, and was sent again in between: SQS counts it anew."""
    headers = {"id": "id-poison", "task": "sqs.late", "lang": "py", "retries": 0, "argsrepr": ""}
    body = json.dumps([["poison"], {}, {}])
    message = RawMessage(body, "application/json", "utf-8", headers, {}, "limited")
    header = Header(id="id-poison", key="poison", publication="p", deliveries=2)

    Sender(setup.app).send(message, header, delay=0)

    dead = setup.server.call("GetQueueUrl", QueueName="dead")["QueueUrl"]
    wait_for(
        lambda: setup.server.attributes(dead)["ApproximateNumberOfMessages"] == "1", "its burial"
    )
    assert setup.history.lines("start", "poison") == []


# -- a server that hangs ---------------------------------------------------------------------


def test_a_server_that_hangs_keeps_nobody_for_longer_than_a_step_of_sending_may_take(
    tmp_path: Path,
) -> None:
    # a name of its own: kombu before 5.7 remembers the queues of all servers together
    message = RawMessage(b"[]", "application/json", "utf-8", {"id": "id-1"}, {}, "hanging")

    with SqsServer(tmp_path / "sqs") as server:
        app = sqs_app.make_app(server.options(), broker_url=server.url)
        sender = Sender(app)
        sender._transport = replace(sender._transport, send_within=2.0)
        for is_open in (False, True):
            if is_open:
                sender.send(message, Header(), delay=0)
            server.pause()
            began = time.monotonic()
            with pytest.raises(Unsent):
                sender.send(message, Header(), delay=0)
            # its client's own patience is a minute; between the two is room for a busy machine
            assert time.monotonic() - began < 30.0
            server.resume()


# -- copies ----------------------------------------------------------------------------------


def test_what_lay_prefetched_past_the_visibility_timeout_runs_once(
    sqs_server: SqsServer,
    redis_url: str,
    worker_factory: WorkerFactory,
    tmp_path: Path,
) -> None:
    """Of a queue that was made by hand: kombu's option says an hour, and does not count."""
    sqs_server.empty()
    queues = {
        "own": {"url": sqs_server.create("made-by-hand", VisibilityTimeout=2)},
        "own.fifo": {"url": sqs_server.create("own.fifo", VisibilityTimeout=2, FifoQueue="true")},
    }
    options = SqsServer.options(visibility_timeout=3600, predefined_queues=queues)
    history = History(tmp_path / "history")
    urls = {"broker": sqs_server.url, "backend": redis_url}
    env = {sqs_app.OPTIONS: json.dumps(options), **history.env}
    app = sqs_app.make_app(options, broker_url=urls["broker"], result_backend=urls["backend"])
    with sending(app):
        jobs = [f"{acks}-{queue}-{n}" for acks in ACKS for queue in queues for n in range(3)]
        for job in jobs:
            acks, queue, n = job.split("-")
            group = {"MessageGroupId": n} if queue.endswith(".fifo") else {}
            app.tasks[f"sqs.{acks}"].apply_async([job, 0.6], queue=queue, **group)
        workers = [
            worker_factory(APP, queues=list(queues), concurrency=1, env=env, ready=False, **urls)
            for _ in range(2)
        ]
        for worker in workers:
            worker.wait_ready()

        for job in jobs:
            history.wait("end", job)
        for queue in queues.values():
            wait_for(lambda url=queue["url"]: _is_empty(sqs_server, url), "no copy left")

    assert {job: len(history.lines("start", job)) for job in jobs} == dict.fromkeys(jobs, 1)
    received = sum(worker.logs().count("] received") for worker in workers)
    assert received > len(jobs), "nothing came twice"


def _is_empty(server: SqsServer, url: str) -> bool:
    counts = server.attributes(url)
    names = ("", "NotVisible", "Delayed")
    return all(counts[f"ApproximateNumberOfMessages{name}"] == "0" for name in names)
