"""A broker as a model: who has which message, and how one comes back."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["NATURES", "Broker", "Message", "Nature", "Taken"]


@dataclass(frozen=True)
class Nature:
    """What tells one kind of broker from another, as far as copies go."""

    name: str
    keeps_tag: bool
    """A redelivery has the delivery tag of the first."""
    marks: bool
    """A redelivery says that it is one."""
    returns_at_once: bool
    """What a lost connection had not acknowledged goes back into the queue."""
    visibility: float | None
    """Seconds after which what is not acknowledged is delivered again."""


NATURES = {
    "redis": Nature("redis", True, True, False, 60.0),
    "rabbit": Nature("rabbit", False, True, True, None),
    "sqs": Nature("sqs", False, False, False, 60.0),
}


@dataclass(frozen=True)
class Message:
    """What lies in a queue."""

    number: int
    """Which message it is for the broker, through every redelivery."""
    body: bytes
    content_type: str
    content_encoding: str
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]
    ready: float = 0.0
    deliveries: int = 0
    marked: bool = False


@dataclass
class Taken:
    """A message in a worker's hands."""

    message: Message
    tag: str | int
    worker: Any
    epoch: int
    since: float


@dataclass
class Broker:
    """One queue of one broker, with the place for what was rejected."""

    nature: Nature
    queue: list[Message] = field(default_factory=list)
    taken: dict[tuple[Any, ...], Taken] = field(default_factory=dict)
    dead: list[Message] = field(default_factory=list)
    limit: int | None = None
    """How often a message is delivered before it counts as dead; `None`: for ever."""
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def publish(self, message: Message) -> None:
        """Take a new message in."""
        self.queue.append(replace(message, number=next(self._numbers)))

    def take(self, worker: Any, now: float) -> Taken | None:
        """Hand the first message that is ready to a worker."""
        for index, message in enumerate(self.queue):
            if message.ready <= now:
                self.queue.pop(index)
                break
        else:
            return None
        tag: str | int
        if self.nature.keeps_tag:
            tag = f"tag-{message.number}"
        elif self.nature.name == "sqs":
            tag = f"receipt-{message.number}-{next(self._numbers)}"
        else:
            worker.tags += 1
            tag = worker.tags
        taken = Taken(message, tag, worker, worker.epoch, now)
        self.taken[self._place(taken)] = taken
        return taken

    def _place(self, taken: Taken) -> tuple[Any, ...]:
        if self.nature.name == "rabbit":
            return (taken.worker.name, taken.epoch, taken.tag)
        return (taken.message.number,)  # of a copy the same: who acknowledges one, does both

    def ack(self, taken: Taken) -> None:
        """Hear that a message is done; of a connection that is gone, nothing is heard."""
        if self._hears(taken):
            self.taken.pop(self._place(taken), None)

    def reject(self, taken: Taken, *, requeue: bool) -> None:
        """Hear that a message is not done."""
        if not self._hears(taken) or self._place(taken) not in self.taken:
            return
        del self.taken[self._place(taken)]
        if requeue:
            self._back(taken.message, mark=self.nature.marks)
        else:
            self.dead.append(taken.message)

    def _hears(self, taken: Taken) -> bool:
        return self.nature.name != "rabbit" or taken.epoch == taken.worker.epoch

    def _back(self, message: Message, *, mark: bool) -> None:
        again = replace(message, deliveries=message.deliveries + 1, marked=mark, ready=0.0)
        if self.limit is not None and again.deliveries > self.limit:
            self.dead.append(again)
        else:
            self.queue.insert(0, again)

    def connection_lost(self, worker: Any, *, mark: bool = True) -> None:
        """Take back what a connection had not acknowledged, where this broker does so."""
        if self.nature.returns_at_once:
            for place, taken in list(self.taken.items()):
                if taken.worker is worker:
                    del self.taken[place]
                    self._back(taken.message, mark=mark)

    def look_for_old(self, now: float, visibility: float) -> None:
        """Deliver again what was not acknowledged for so long, where this broker does so."""
        if self.nature.visibility is None:
            return
        for place, taken in list(self.taken.items()):
            if now - taken.since >= visibility:
                del self.taken[place]
                self._back(taken.message, mark=self.nature.marks)

    def dead_return(self) -> None:
        """What was rejected comes back, with its headers, as somebody moves it."""
        dead, self.dead = self.dead, []
        for message in dead:
            self.publish(replace(message, deliveries=0, marked=False, ready=0.0))

    def shovel(self) -> None:
        """Somebody moves what lies in the queue out of it and back: the same messages, anew."""
        queue, self.queue = self.queue, []
        for message in queue:
            self.publish(replace(message, deliveries=0, marked=False))
