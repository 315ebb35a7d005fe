"""A worker of a play: one process whose requests are Celery's, and whose steps a play moves."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from celery.app.trace import trace_task_ret
from celery.exceptions import Reject
from kombu.utils.imports import symbol_by_name

from celery_lock.app import flags
from celery_lock.app.locks import locks_of
from celery_lock.engine.locker import Locker
from celery_lock.errors import StoreUnavailable
from celery_lock.events import Observers
from celery_lock.message import Header
from celery_lock.model import ENDED_FOR
from celery_lock.stores.memory import MemoryStore

from .broker import Taken
from .fibers import Fiber, here, stand

if TYPE_CHECKING:
    from .world import World

__all__ = ["Worker"]

SLOTS = 2
PREFETCH = 4


class Link:
    """The store, as one process reaches it."""

    def __init__(self, world: World, worker: Worker) -> None:
        self._world, self._worker = world, worker
        self._inner: Any = MemoryStore(world.server, deadline=2.0)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in ("acquire", "renew", "release", "free", "undo", "complete"):
            return found

        def call(*args: Any, **options: Any) -> Any:
            world, worker = self._world, self._worker
            stand(name)
            if worker.dead:
                raise StoreUnavailable("memory://", "its process is dead")
            if world.store_down:
                world.reasons.add("a store that was unreachable")
                raise StoreUnavailable("memory://", "the play says that it is down")
            answer = found(*args, **options)
            if world.lose_answers:
                world.lose_answers -= 1
                if name != "acquire":
                    world.reasons.add("a store whose answer was lost")
                raise StoreUnavailable("memory://", "the play has lost its answer")
            stand(f"{name} answered")
            return answer

        return call

    def watch(self, key: str, timeout: float) -> None:
        stand("watch", self._world.clock() + min(timeout, 0.5))


class Outbox:
    """Sends again over the broker of the play."""

    def __init__(self, world: World) -> None:
        self._world = world

    def send(self, raw: Any, header: Header, *, delay: float) -> None:
        self._world.resend(raw, header, delay)


class Worker:
    """One worker process, whose bodies run in threads of its own."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.dead = False
        self.epoch = 0
        self.tags = 0
        self.has_told: list[tuple[Any, int, Any]] = []
        """Jobs, with retry number and thread, whose completion is to be told by this process."""
        self.at_risk: dict[int, int] = {}
        """Jobs whose message was acknowledged as their run began: Celery loses them with us."""
        self.reserved: list[tuple[Any, Taken]] = []
        self.running: list[Fiber] = []
        self.app = world.new_app()
        link: Any = Link(world, self)
        self.locker = Locker(
            link, clock=world.clock, observers=Observers(), pause=self.pause, threads=False
        )
        locks = locks_of(self.app)
        locks.swap(self.locker)
        locks.sender = Outbox(world)  # type: ignore[assignment]
        locks.now = lambda: world.now()
        locks.__dict__["transport"] = world.row

    def pause(self, seconds: float) -> None:
        """Let a thread of this worker sleep."""
        stand("sleep", self.world.clock() + seconds)

    def _enter(self) -> None:
        flags._flags[flags._CONNECTIONS] = self.epoch % 256

    def take(self) -> bool:
        """Fetch one message, as far as the prefetch count allows."""
        if self.dead or len(self.reserved) + len(self.running) >= PREFETCH:
            return False
        taken = self.world.broker.take(self, self.world.clock())
        if taken is None:
            return False
        self._enter()
        self.reserved.append((self._request(taken), taken))
        return True

    def _request(self, taken: Taken) -> Any:
        message, broker = taken.message, self.world.broker
        delivered = SimpleNamespace(
            headers=dict(message.headers),
            body=message.body,
            payload=([0], {}, {}),
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            properties={
                **message.properties,
                "delivery_tag": taken.tag,
                "delivery_info": self._delivery_info(taken),
            },
            delivery_info={"exchange": "", "routing_key": "celery", "redelivered": message.marked},
        )
        task = self.app.tasks[message.headers["task"]]
        return symbol_by_name(task.Request)(
            delivered,
            on_ack=lambda *_: self.dead or broker.ack(taken),
            on_reject=lambda log, errors, requeue: (
                self.dead or broker.reject(taken, requeue=requeue)
            ),
            app=self.app,
            hostname=f"{self.name}@host",
            task=task,
        )

    def _delivery_info(self, taken: Taken) -> dict[str, Any]:
        if self.world.broker.nature.name != "sqs":
            return {"exchange": "", "routing_key": "celery"}
        return {
            "sqs_message": {
                "MessageId": f"message-{taken.message.number}",
                "ReceiptHandle": taken.tag,
                "Attributes": {"ApproximateReceiveCount": str(taken.message.deliveries + 1)},
            }
        }

    def start(self) -> bool:
        """Hand the next reserved message to a free thread."""
        if self.dead or not self.reserved or len(self.running) >= SLOTS:
            return False
        request, taken = self.reserved.pop(0)
        fiber = Fiber(lambda: self._run(request, taken), lambda: self.dead)
        self.running.append(fiber)
        return True

    def move(self, index: int = 0) -> bool:
        """Move a thread on to its next step; without one, start the next message."""
        self._enter()
        now = self.world.clock()
        awake = [fiber for fiber in self.running if fiber.until is None or fiber.until <= now]
        if not awake:
            return self.start()
        fiber = awake[index % len(awake)]
        fiber.move()
        if fiber.done:
            fiber.done_at = self.world.clock()
            self.running.remove(fiber)
        return True

    def _run(self, request: Any, taken: Taken) -> None:
        """What Celery does with a request, in a pool of threads."""
        number = self._job_of(request)
        request.on_accepted(1, 0.0)
        if number is not None and not request.task.acks_late:
            self.early(number, taken)
        stand("accepted")
        outcome = trace_task_ret(
            request.name, request.id, request._request_dict, request._body,
            request._content_type, request._content_encoding, app=self.app,
        )  # fmt: skip
        if number is not None:
            self._look(number, request, outcome)
        stand("traced")
        request.on_success(outcome)

    def _job_of(self, request: Any) -> int | None:
        if request.name != "work":
            return None
        return int(json.loads(request._body)[0][0])

    def early(self, number: int, taken: Taken) -> None:
        """The message was acknowledged as its run began: if this process dies, Celery loses it."""
        self.at_risk[number] = taken.message.number

    def _look(self, number: int, request: Any, outcome: Any) -> None:
        """What the run came to, once all that follows it is out."""
        job = self.world.jobs[number]
        self.at_risk.pop(number, None)
        failed, value, _ = outcome
        error = getattr(value, "exception", None)
        error = getattr(error, "exc", error)
        fiber = here()
        ended = None if fiber is None else fiber.ended
        if ended is not None:
            if isinstance(error, Reject) and not self.world.acks_late:
                job.came = "rejected, though it was acknowledged: Celery drops it"
            elif not isinstance(error, Reject):
                job.told.setdefault(ended, self.world.clock())
                if fiber is not None:
                    job.done.add(fiber.message)
                self.has_told.append((job, ended, fiber))
                if fiber is not None and self.world.clock() > fiber.ended_at + ENDED_FOR:
                    job.untold.add(ended)  # a copy was let in meanwhile
        elif not failed:
            job.came = f"skipped: {value}"
            job.refused_by.append(str(value))
        elif type(error).__name__ in ("LockConflict", "LockWaitTimeout"):
            job.came = f"refused: {error}"
            job.refused_by.append(str(error))

    def die(self) -> None:
        """Be killed whole: no step of any thread has an effect any more."""
        self.dead = True
        for number in self.at_risk:
            self.world.jobs[number].excused = "acknowledged early, and its worker died"
        for fiber in self.running:
            if not fiber.done:
                fiber.move()
        self.running.clear()
        self.reserved.clear()
