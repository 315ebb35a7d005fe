"""How long to pause before the next attempt: two curves, frozen and checked where they are made.

Source of the jitter: Marc Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import SystemRandom
from typing import Literal

from .declaring import answers_wrong_calls
from .errors import LockConfigurationError

__all__ = ["LONGEST", "Backoff", "Duration", "constant", "exponential", "seconds"]

Duration = float | timedelta
"""Seconds, or a `timedelta`."""

LONGEST = 10 * 365 * 86_400.0
"""Ten years, in seconds. Every store counts so far without losing microseconds, and a time beyond
it is a mistake in a unit."""

_ELSEWHERE = {
    "max": "here it is cap",
    "maximum": "here it is cap",
    "max_delay": "here it is cap",
    "base": "here it is factor",
    "multiplier": "here it is factor",
    "min": "here it is first",
    "initial": "here it is first",
    "countdown": "here it is constant(delay)",
    "seconds": "here it is constant(delay)",
    "interval": "here it is constant(delay)",
}


def seconds(value: Duration, name: str, *, zero: bool = False, longest: float = LONGEST) -> float:
    """Return `value` as seconds; refuse what is no finite number above zero (`zero`: or zero),
    and what is longer than `longest`."""
    if isinstance(value, timedelta):
        number = value.total_seconds()
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise LockConfigurationError(
            f"{name}={value!r} is no duration; write seconds or a timedelta"
        )
    else:
        try:
            number = float(value)
        except OverflowError:  # an int with hundreds of digits
            number, value = math.inf, math.inf  # whose text is not to be written
    if not math.isfinite(number) or number < 0 or (number == 0 and not zero):
        bound = "zero or more" if zero else "more than zero"
        raise LockConfigurationError(f"{name}={value!r} must be {bound} seconds, and finite")
    if number > longest:
        said = value if isinstance(value, timedelta) else f"{number:g}"
        raise LockConfigurationError(
            f"{name}={said} is too long: at most {_bound(longest)} can be kept; it counts in"
            " seconds, not in milliseconds"
        )
    return number


def _bound(longest: float) -> str:
    return f"{longest:.0f} s" + (" (ten years)" if longest == LONGEST else "")


_chance = SystemRandom()
"""Not the numbers of the process, which a user may have seeded: alike in each child of a pool."""


class Backoff(ABC):
    """The pause before attempt number `attempt`, counted from 1."""

    @abstractmethod
    def pause(self, attempt: int, uniform: Callable[[float, float], float]) -> float:
        """Return seconds; `uniform(a, b)` is where chance comes from."""

    def __call__(self, attempt: int) -> float:
        """Return the pause before `attempt`, with real chance."""
        return self.pause(attempt, _chance.uniform)


@answers_wrong_calls("constant(5)", elsewhere=_ELSEWHERE)
@dataclass(frozen=True)
class constant(Backoff):
    """Always the same pause of `delay` seconds.

    Shorter finds a free key sooner and sends more messages; without jitter, tasks that met the
    same conflict come back together.
    """

    delay: Duration

    def __post_init__(self) -> None:
        object.__setattr__(self, "delay", seconds(self.delay, "constant(delay)"))

    def pause(self, attempt: int, uniform: Callable[[float, float], float]) -> float:
        return seconds(self.delay, "delay")


@answers_wrong_calls("exponential(first=1, cap=15)", elsewhere=_ELSEWHERE)
@dataclass(frozen=True)
class exponential(Backoff):
    """A pause that grows from `first` by `factor` up to `cap` seconds.

    `first` (1 s) is how soon a short holder is met again; `cap` (15 s) how late the last one is.
    A smaller cap finds a free key sooner and costs one message per try. `jitter="full"` draws
    between zero and the pause, so that tasks which collided once do not collide again;
    `jitter=None` keeps the curve as it is.
    """

    first: Duration = 1.0
    factor: float = 2.0
    cap: Duration = 15.0
    jitter: Literal["full"] | None = "full"

    def __post_init__(self) -> None:
        object.__setattr__(self, "first", seconds(self.first, "exponential(first)"))
        object.__setattr__(self, "cap", seconds(self.cap, "exponential(cap)"))
        factor: object = self.factor
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not factor >= 1:
            raise LockConfigurationError(
                f"exponential(factor={factor!r}) must be a number of 1 or more"
            )
        if self.cap < self.first:  # type: ignore[operator]  # both are seconds by now
            raise LockConfigurationError(
                f"exponential(cap={self.cap!r}) must not be below first={self.first!r}"
            )
        if self.jitter not in ("full", None):
            raise LockConfigurationError(
                f"exponential(jitter={self.jitter!r}) is not known; write 'full' or None"
            )

    def pause(self, attempt: int, uniform: Callable[[float, float], float]) -> float:
        first, cap = seconds(self.first, "first"), seconds(self.cap, "cap")
        try:
            grown = min(cap, first * float(self.factor) ** (max(attempt, 1) - 1))
        except OverflowError:  # 2.0 ** 1100; the cap wins long before
            grown = cap
        return uniform(0.0, grown) if self.jitter == "full" else grown
