"""Random plays of a shop, as many as asked for: each that shows a fault, as short as it gets."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from .plays import ENDS, POLICIES, Event, Shop, play
from .world import Wrong

__all__ = ["main", "random_play"]

_OFTEN = {
    "publish": 3,
    "take": 4,
    "start": 4,
    "move": 8,
    "run": 8,
    "advance": 4,
    "kill": 2,
    "cut": 2,
    "cut unmarked": 1,
    "return": 1,
    "shovel": 1,
    "lose answer": 1,
    "refuse send": 1,
    "lose send answer": 1,
}
_PAUSES = (1, 3, 20, 35, 70)


def random_play(seed: int) -> tuple[Shop, list[Event]]:
    """Return a play: the same for the same seed."""
    dice = random.Random(seed)
    shop = Shop(
        dice.choice(["redis", "rabbit", "sqs"]),
        dice.random() < 0.6,
        dice.choice(list(POLICIES)),
        dice.choice([(60.0, 60.0), (60.0, 60.0), (60.0, 30.0)]),
        dice.random() < 0.1,
        dice.choice([None, None, 3]),
    )
    names, weights = list(_OFTEN), list(_OFTEN.values())
    events = [_event(dice, name) for name in dice.choices(names, weights, k=dice.randrange(5, 60))]
    return shop, [("publish", "returns"), *events]


def _event(dice: random.Random, name: str) -> Event:
    worker, thread = dice.randrange(2), dice.randrange(2)
    more: dict[str, tuple[Any, ...]] = {
        "publish": (dice.choice([*ENDS, "returns", "returns", "returns"]),),
        "take": (worker,),
        "start": (worker,),
        "kill": (worker,),
        "cut": (worker,),
        "cut unmarked": (worker,),
        "move": (worker, thread),
        "run": (worker, thread, dice.randrange(2, 14)),
        "advance": (dice.choice(_PAUSES),),
    }
    return (name, *more.get(name, ()))


def shown_by(shop: Shop, events: Sequence[Event]) -> str:
    """Return the fault that a play shows, without its numbers; empty: none."""
    try:
        play(shop, events)
    except Wrong as wrong:
        return re.sub(r"\d+", "N", re.split(r"[:\[]", str(wrong))[0])
    return ""


def shortened(shop: Shop, events: Sequence[Event], fault: str) -> list[Event]:
    """Return what is left of a play when all is taken out that its fault does not need."""
    left, index = list(events), 0
    while index < len(left):
        shorter = left[:index] + left[index + 1 :]
        if shown_by(shop, shorter) == fault:
            left = shorter
        else:
            index += 1
    return left


def main(count: int, first: int = 0) -> int:
    """Play so many, and return how many showed a fault; print one of each kind."""
    seen: Counter[tuple[str, str]] = Counter()
    for seed in range(first, first + count):
        shop, events = random_play(seed)
        fault = shown_by(shop, events)
        if fault:
            seen[shop.broker, fault] += 1
            if seen[shop.broker, fault] == 1:  # one of each kind
                print(
                    f"seed {seed}: {fault}\n  {shop}\n  {shortened(shop, events, fault)}",
                    flush=True,
                )
    for (broker, fault), times in seen.most_common():
        print(f"{times:6} {broker}: {fault}")
    print(f"{count} plays, {sum(seen.values())} with a fault")
    return sum(seen.values())
