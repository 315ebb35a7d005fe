"""Plays: what happens in the shop, as data that can be printed, and played again by hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from celery_lock import constant, fail, requeue, skip, wait
from celery_lock.model import clock
from celery_lock.task import request

from .world import World

__all__ = ["ENDS", "EVENTS", "POLICIES", "Shop", "play"]

Event = tuple[Any, ...]

POLICIES = {
    "requeue": requeue(constant(2)),
    "bounded": requeue(constant(2), max_wait=10_000),
    "skip": skip(),
    "fail": fail(),
    "wait": wait(20),
}
ENDS = ("returns", "retries", "rejects", "requeues", "fails", "ignores")


@dataclass(frozen=True)
class Shop:
    """What stays as it is during a play."""

    broker: str = "redis"
    acks_late: bool = True
    policy: str = "requeue"
    timeouts: tuple[float, ...] = (60.0, 60.0)
    preset_id: bool = False
    limit: int | None = None
    """How often a message is delivered before it goes to the dead letters."""


EVENTS = {
    "publish": lambda world, does: world.publish(does),
    "take": lambda world, worker: world.workers[worker].take(),
    "start": lambda world, worker: world.workers[worker].start(),
    "move": lambda world, worker, index: world.workers[worker].move(index),
    "run": lambda world, worker, index, steps: [
        world.workers[worker].move(index) for _ in range(steps)
    ],
    "advance": lambda world, seconds: world.advance(seconds),
    "kill": lambda world, worker: world.kill(worker),
    "cut": lambda world, worker: world.cut(worker),
    "cut unmarked": lambda world, worker: world.cut(worker, mark=False),
    "shovel": lambda world: world.shovel(),
    "return": lambda world: world.broker.dead_return(),
    "store down": lambda world: setattr(world, "store_down", True),
    "store up": lambda world: setattr(world, "store_down", False),
    "lose answer": lambda world: setattr(world, "lose_answers", 1),
    "refuse send": lambda world: setattr(world, "refuse_sends", 1),
    "lose send answer": lambda world: setattr(world, "lose_send_answers", 1),
}
"""What may happen, and who does it."""


@contextmanager
def _on_the_clock_of(world: World) -> Iterator[None]:
    """Let the task's own room look at the clock of the play."""
    assert request  # a worker would load it in the middle of the first play
    rooms = [module for name, module in sys.modules.items() if name.startswith("celery_lock.task.")]
    looking = [module for module in rooms if getattr(module, "steady", None) is clock.steady]
    for module in looking:
        module.steady = world.clock  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in looking:
            module.steady = clock.steady  # type: ignore[attr-defined]


def play(shop: Shop, events: Sequence[Event]) -> World:
    """Play it to its end. Raises `Wrong` where the play shows a fault."""
    world = World(
        shop.broker,
        acks_late=shop.acks_late,
        policy=POLICIES[shop.policy],
        timeouts=shop.timeouts,
        preset_id=shop.preset_id,
        limit=shop.limit,
    )
    with _on_the_clock_of(world):
        try:
            for name, *arguments in events:
                EVENTS[name](world, *arguments)  # type: ignore[operator]
            world.end()
        finally:
            world.close()
    return world
