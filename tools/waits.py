"""How long conflicting tasks wait, beside SET NX with `self.retry`, on each broker.

    python -m tools.waits [redis] [classic] [quorum] [late] [early]

120 tasks of twenty keys are sent at once to one worker, in three rounds for each. The locked one
says `requeue(constant(1))`, the other retries itself with a countdown of 1: same keys, same body,
same worker. None may be lost and none run twice, and the 95th percentile of the waits is at most
1.2 times that of the other. Exit status 1 where that is not so.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import redis
from celery import Celery
from kombu import Exchange, Queue

from celery_lock import Lock, LockedTask, constant, requeue
from tests.services import RabbitServer, RedisServer, Worker, find_rabbit, find_redis, wait_for

TASKS, KEYS, BODY, ROUNDS = 120, 20, 0.05, 3
ALLOWED = 1.2
BOOK = "waits:book"
KINDS = ("redis", "classic", "quorum")
ACKS = ("late", "early")


def make_app(**conf: Any) -> Celery:
    """The app of the worker (by environment) and of who sends."""
    app = Celery("waits", set_as_current=False)
    kind, store = os.environ.get("WAITS_KIND", "redis"), os.environ.get("WAITS_STORE", "")
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_native_delayed_delivery_queue_type="classic",
        lock_store=store or None,
        task_acks_late=os.environ.get("WAITS_ACKS") == "late",
        task_ignore_result=True,
        **conf,
    )
    if kind == "quorum":
        app.conf.update(
            task_default_queue="waits",
            task_default_exchange="waits",
            task_default_exchange_type="topic",
            task_default_routing_key="waits",
            task_queues=[
                Queue(
                    "waits",
                    Exchange("waits", type="topic"),
                    "waits",
                    queue_arguments={"x-queue-type": "quorum"},
                )
            ],
        )

    def run(call: str, sent: float) -> None:
        with redis.Redis.from_url(store) as client:
            client.rpush(BOOK, f"{call} {time.time() - sent:.3f}")
        time.sleep(BODY)

    lock = Lock("waits:{key}", on_conflict=requeue(constant(1.0)))

    @app.task(base=LockedTask, name="waits.locked", lock=lock, shared=False)
    def locked(key: int, call: str, sent: float) -> None:
        run(call, sent)

    @app.task(bind=True, name="waits.retries", max_retries=None, shared=False)
    def retries(self: Any, key: int, call: str, sent: float) -> None:
        with redis.Redis.from_url(store) as client:
            name, mine = f"waits:nx:{key}", uuid.uuid4().hex
            if not client.set(name, mine, nx=True, ex=30):
                raise self.retry(countdown=1)
            try:
                run(call, sent)
            finally:
                client.delete(name)

    return app


app = make_app()


def measure(task: str, client: redis.Redis, sender: Celery) -> list[float]:
    """Send all, wait until nothing more comes, and return the waits; fewer or more are wrong."""
    client.delete(BOOK)
    for number in range(TASKS):
        sender.tasks[task].delay(number % KEYS, f"{number}", time.time())
    wait_for(lambda: client.llen(BOOK) >= TASKS, f"{TASKS} runs of {task}", timeout=120.0)
    time.sleep(1.5)  # whoever still comes now comes too often
    lines = [line.decode().split() for line in client.lrange(BOOK, 0, -1)]
    assert len({call for call, _ in lines}) == len(lines) == TASKS, f"{task}: {len(lines)} runs"
    return [float(wait) for _, wait in lines]


def p95(waits: list[float]) -> float:
    """The 95th percentile."""
    return sorted(waits)[round(0.95 * len(waits)) - 1]


@contextmanager
def brokers(folder: Path) -> Iterator[dict[str, str]]:
    """A URL for each kind."""
    binary = find_rabbit()
    assert binary, "RabbitMQ is missing"
    with RedisServer(str(find_redis()), folder / "broker") as server:
        rabbit = RabbitServer(binary, folder / "rabbit")
        rabbit.start()
        try:
            amqp = {kind: rabbit.url_for(rabbit.new_vhost()) for kind in KINDS[1:]}
            yield {"redis": server.url, **amqp}
        finally:
            rabbit.kill()


def main(words: list[str]) -> int:
    """Print a line for each kind and each way of acknowledging."""
    wrong = 0
    with (
        tempfile.TemporaryDirectory(prefix="waits-") as temporary,
        RedisServer(str(find_redis()), Path(temporary) / "store") as store,
        brokers(Path(temporary)) as urls,
        store.client() as client,
    ):
        for kind in [one for one in KINDS if one in words or not {*words} & {*KINDS}]:
            for acks in [one for one in ACKS if one in words or not {*words} & {*ACKS}]:
                env = {"WAITS_KIND": kind, "WAITS_STORE": store.url, "WAITS_ACKS": acks}
                os.environ.update(env)
                worker = Worker(
                    "tools.waits",
                    Path(temporary) / f"{kind}-{acks}",
                    broker=urls[kind],
                    env=env,
                    concurrency=4,
                )
                with worker, make_app(broker_url=urls[kind]) as sender:
                    theirs, ours = [], []
                    for _ in range(ROUNDS):  # in turn: a machine has busy seconds
                        theirs += measure("waits.retries", client, sender)
                        ours += measure("waits.locked", client, sender)
                ratio = p95(ours) / p95(theirs)
                wrong += ratio > ALLOWED
                print(
                    f"{kind:8} acks {acks:5}  p95 {p95(ours):6.2f} s, self.retry"
                    f" {p95(theirs):6.2f} s: {ratio:.2f} times  (mean"
                    f" {fmean(ours):.2f} and {fmean(theirs):.2f})",
                    flush=True,
                )
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
