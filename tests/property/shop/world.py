"""The world of a play: publisher, broker, workers, store, and what was seen of the bodies."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from celery import Celery
from celery.exceptions import Ignore, Reject
from kombu.serialization import dumps

from celery_lock.message import HEADER, Header, Unsent
from celery_lock.message.transports import AMQP, REDIS, SQS
from celery_lock.stores.manual_clock import ManualClock
from celery_lock.stores.memory import MemoryServer

from .apps import app_of, give_back
from .broker import NATURES, Broker, Message
from .fibers import here, stand
from .worker import Worker

__all__ = ["Job", "World", "Wrong"]

EPOCH = 1_700_000_000.0
TELLING = 2.0
"""Seconds within which a process has sent what it tells of completions."""
ROWS = {"redis": replace(REDIS, visibility=60.0, longest_pause=15.0), "rabbit": AMQP, "sqs": SQS}


class Wrong(AssertionError):
    """The play has shown a fault."""


@dataclass
class Job:
    """One call of the task, and all that has become of it."""

    number: int
    task_id: str
    does: str
    """What its body does: returns, retries, rejects, fails."""
    published: int = 1
    runs: Counter[int] = field(default_factory=Counter)
    """How often the body began, by retry number."""
    told: dict[int, float] = field(default_factory=dict)
    """When all was out that follows the body, by retry number."""
    done: set[tuple[int, str | None]] = field(default_factory=set)
    """The messages of which that was so, by retry number and name."""
    came: str = ""
    """How it ended visibly."""
    untold: set[int] = field(default_factory=set)
    """Retry numbers whose process died before its completion can have been told."""
    next_steps: int = 0
    excused: str = ""
    """Why Celery itself may have lost it."""
    refused_by: list[str] = field(default_factory=list)


class World:
    """All of it. Each method that changes something is one event of a play."""

    def __init__(
        self,
        broker: str = "redis",
        *,
        acks_late: bool = True,
        policy: Any = None,
        workers: int = 2,
        timeouts: tuple[float, ...] = (60.0, 60.0),
        preset_id: bool = False,
        limit: int | None = None,
    ) -> None:
        self.clock = ManualClock(1000.0)
        self.server = MemoryServer(self.clock, epoch=EPOCH)
        self.broker = Broker(NATURES[broker], limit=limit)
        self.acks_late = acks_late
        self.policy = policy
        self.preset_id = preset_id
        self.timeouts = timeouts
        self.jobs: list[Job] = []
        self.inside: list[tuple[Job, Worker, int]] = []
        self.store_down = False
        self.lose_answers = 0
        self.refuse_sends = 0
        self.lose_send_answers = 0
        self.reasons: set[str] = set()
        """Why a completed message may run again in this play: of the closed list."""
        self.wrong: list[str] = []
        """What a body saw that must not be: raised there, it would be the task's own failure."""
        self._names = itertools.count(1)
        self._apps: list[Any] = []
        self.row = ROWS[broker]
        self.client = self.new_app()
        self.workers = [Worker(self, f"w{next(self._names)}") for _ in range(workers)]
        if len(set(timeouts)) > 1:
            self.reasons.add("unequal visibility timeouts")

    def new_app(self) -> Celery:
        """Return an app with the shop's tasks, whose messages go to the broker of the play."""
        app = app_of(self, self.acks_late, self.policy)
        self._apps.append(app)
        return app

    def now(self) -> float:
        """Return the time, in seconds since 1970."""
        return EPOCH + self.clock()

    # -- publishing --------------------------------------------------------------------------

    def publish(self, does: str = "returns") -> Job:
        """Somebody calls the task."""
        number = len(self.jobs)
        job = Job(number, "preset" if self.preset_id else f"id-{number}", does)
        self.jobs.append(job)
        self.client.tasks["work"].apply_async(
            (number,), task_id=job.task_id, chain=[self.client.tasks["after"].s()]
        )
        return job

    def publish_raw(
        self, body: Any, *, serializer: str | None = None, headers: Any = None, **options: Any
    ) -> None:
        """Take what Celery publishes."""
        content_type, encoding, data = dumps(body, serializer or "json")
        eta = (headers or {}).get("eta")
        delay = 0.0
        if eta:
            delay = (datetime.fromisoformat(eta) - datetime.now(timezone.utc)).total_seconds()
        kept = {name: options[name] for name in ("correlation_id", "reply_to") if name in options}
        raw = data.encode() if isinstance(data, str) else data
        ready = self.clock() + max(0.0, delay)
        self._put(raw, content_type, encoding, {**headers, "eta": None}, kept, ready)

    def resend(self, raw: Any, header: Header, delay: float) -> None:
        """Take what is sent again."""
        fiber = here()
        if fiber is not None:
            fiber.stand("send")
        if self.refuse_sends:
            self.refuse_sends -= 1
            raise Unsent("the play says that the broker refuses it")
        headers = {**raw.of_its_sender().headers, HEADER: header.write()}
        ready = self.clock() + delay
        self._put(raw.body, raw.content_type, raw.content_encoding, headers, raw.properties, ready)
        if self.lose_send_answers:
            self.lose_send_answers -= 1
            raise Unsent("the play has lost the broker's answer")
        if fiber is not None:
            fiber.stand("sent")

    def _put(
        self, body: Any, kind: str, encoding: str, headers: Any, props: Any, at: float
    ) -> None:
        raw = body.encode() if isinstance(body, str) else body
        self.broker.publish(Message(0, raw, kind, encoding, headers, dict(props), at))

    # -- the body ----------------------------------------------------------------------------

    def body(self, task: Any, number: int) -> int:
        """Run one body, and see whether it may."""
        job, retry_no = self.jobs[number], task.request.retries or 0
        worker = next(one for one in self.workers if one.app is task.app)
        others = [other for other, where, _ in self.inside if not where.dead]
        if others:
            self.wrong.append(f"job {number} began while {others[0].number} was running")
        # a run that had sent its retry and not come to its end sends one more, under another name
        message = retry_no, (getattr(task.request, HEADER, None) or {}).get("publication")
        if message in job.done and not self._may_run_again(job, retry_no):
            self.wrong.append(f"job {number}, retry {retry_no} runs again, though it was told")
        job.runs[retry_no] += 1
        entry = (job, worker, retry_no)
        self.inside.append(entry)
        try:
            stand("body")
        finally:
            self.inside.remove(entry)
        first = sum(job.runs.values()) == 1
        fiber = here()
        if fiber is not None:
            fiber.ended, fiber.ended_at, fiber.message = retry_no, self.clock(), message
        if job.does == "retries" and retry_no == 0:
            raise task.retry(countdown=2)
        if job.does == "rejects" and first:
            raise Reject("not now", requeue=False)
        if job.does == "requeues" and first:
            raise Reject("not now", requeue=True)
        if job.does == "fails":
            job.came = "failed"
            raise ValueError("no")
        if job.does == "ignores":
            job.came = "ignored"
            raise Ignore
        return number

    def _may_run_again(self, job: Job, retry_no: int) -> bool:
        """A reason of the closed list is there."""
        if self.reasons or retry_no in job.untold:
            return True
        # on Redis the end of a young message is not recorded: it is acknowledged in that moment,
        # unless its process stands still
        return self.broker.nature.name == "redis" and any(
            told is job and number == retry_no and fiber.stood_still_at_its_end(self.clock())
            for worker in self.workers
            for told, number, fiber in worker.has_told
        )

    # -- time --------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let time pass, with the keepers of the living at work."""
        until = self.clock() + seconds
        while self.clock() < until:
            due = min([until, *(one.locker.move_on() for one in self.workers if not one.dead)])
            self.clock.move(max(due - self.clock(), 0.05))
        for worker in self.workers:
            if not worker.dead:
                worker.locker.move_on()
        for worker, seconds_ in zip(self.workers, itertools.cycle(self.timeouts)):
            if not worker.dead:
                self.broker.look_for_old(self.clock(), seconds_)

    # -- faults ------------------------------------------------------------------------------

    def kill(self, index: int) -> None:
        """A worker dies whole, and another is started in its place."""
        worker = self.workers[index]
        for job, retry_no, fiber in worker.has_told:
            is_recorded = self.row.redelivers_at_once or self.broker.nature.name == "sqs"
            unacknowledged = not (fiber.done or is_recorded)
            if unacknowledged or self.clock() <= job.told[retry_no] + TELLING:
                job.untold.add(retry_no)
        worker.die()
        self.broker.connection_lost(worker)
        self.workers[index] = Worker(self, f"w{next(self._names)}")

    def cut(self, index: int, *, mark: bool = True) -> None:
        """A worker's connection to the broker breaks, and it connects anew."""
        worker = self.workers[index]
        if not mark and self.broker.nature.returns_at_once and not self.acks_late:
            self.reasons.add("a redelivery that was not marked")
        self.broker.connection_lost(worker, mark=mark)
        worker.epoch += 1

    def shovel(self) -> None:
        """Somebody moves what lies in the queue, and what moves it does not say what came back."""
        records = self.acks_late and self.row.records_late
        if not records and any(message.deliveries for message in self.broker.queue):
            self.reasons.add("a redelivery that was not marked")
        self.broker.shovel()

    def end(self) -> None:
        """All faults stop; everything is given the time that it needs; then all is looked at."""
        self.store_down, self.lose_answers = False, 0
        self.refuse_sends = self.lose_send_answers = 0
        for round_ in range(400):
            self.broker.dead_return()
            busy = False
            for worker in self.workers:
                while worker.take():
                    busy = True
                while worker.move():
                    busy = True
            if not busy and not self.broker.queue and not self.broker.taken:
                break
            self.advance(1.0 if round_ < 100 else 20.0)
        else:
            raise Wrong(f"no end: {self.broker.queue} {self.broker.taken}")
        if self.wrong:
            raise Wrong(self.wrong[0])
        for job in self.jobs:
            self._judge(job)

    def _judge(self, job: Job) -> None:
        if job.excused:
            return
        done = job.told or job.came
        if not done:
            raise Wrong(f"job {job.number} is lost: {job}")
        if not job.came and not job.next_steps:
            raise Wrong(f"the next step of job {job.number} is lost: {job}")
        if job.refused_by and any(job.task_id in said for said in job.refused_by):
            raise Wrong(f"job {job.number} was refused for its own sake: {job}")

    def close(self) -> None:
        """End every thread of the play."""
        for worker in self.workers:
            worker.die()
        for app in self._apps:
            give_back(app)
