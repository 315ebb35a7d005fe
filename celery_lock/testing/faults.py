"""What happens to the calls to a store: for each call the fault that was planned last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..errors import did_you_mean

__all__ = ["CallName", "Fault", "Faults", "StoreCall"]

CallName = Literal[
    "acquire", "acquire_all", "renew", "release", "release_all", "complete", "free", "undo",
    "watch", "peek", "keys", "change", "records", "names", "check",
]  # fmt: skip
"""What can be asked of a store."""

CALLS: tuple[CallName, ...] = get_args(CallName)


@dataclass(frozen=True)
class StoreCall:
    """One call to a store, which is made when this is called."""

    name: CallName
    arguments: Mapping[str, Any]
    """What was asked, by the names that `LockStore` gives its parameters."""
    make: Callable[[], Any]

    def __call__(self) -> Any:
        """Let the store do it, and return its answer."""
        return self.make()


Fault = Callable[[StoreCall], Any]
"""What happens instead of a call; what it returns is the answer. Any function will do."""


@dataclass(eq=False)
class Planned:
    """A fault that is to come."""

    names: set[CallName]
    """The calls it is for; none: it is over."""
    fault: Fault
    left: int | None
    """How often it is to happen; `None`: until it is healed."""


class Faults:
    """The faults of one store."""

    def __init__(self) -> None:
        self._planned: list[Planned] = []

    def plan(self, names: Sequence[CallName], fault: Fault, times: int | None) -> Planned:
        """Let a fault happen to calls of these names; without a name: to all.

        Raises ValueError for what could never happen as it was said.
        """
        if not callable(fault):
            raise ValueError(f"do={fault!r} is no function; write one that is given the call")
        if times is not None and (isinstance(times, bool) or not isinstance(times, int)):
            raise ValueError(f"times={times!r} is no number of calls; write a whole one")
        if times is not None and times < 1:
            raise ValueError(f"times={times} is never; write 1 or more, or leave it out for always")
        planned = Planned({known(name) for name in names or CALLS}, fault, times)
        self._planned = [*(other for other in self._planned if other.names), planned]
        return planned

    def heal(self, names: Sequence[CallName]) -> None:
        """End all faults of these calls; without a name: of all calls."""
        healed = {known(name) for name in names or CALLS}
        for planned in self._planned:
            planned.names -= healed

    def next(self, name: CallName) -> Fault | None:
        """Return what happens to this call; `None`: nothing unusual."""
        for planned in reversed(self._planned):
            if name in planned.names:
                if planned.left is not None:
                    planned.left -= 1
                    if planned.left <= 0:
                        planned.names.clear()
                return planned.fault
        return None


def known(name: CallName) -> CallName:
    """Return a name that a call has. Raises ValueError: a misspelt one would change nothing."""
    if name not in CALLS:
        raise ValueError(f"a store has no call {name!r}{did_you_mean(name, CALLS)}")
    return name
