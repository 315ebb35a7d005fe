"""Take a key and give it back, uncontended: how long that is, in round trips of a raw socket."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from . import names
from .contenders import Taker, takers
from .machine import CLIENT, on_cpus
from .results import Row, Section, column
from .rounds import in_turns, seconds_each
from .server import Server, two_pings
from .sizes import Sizes

__all__ = ["cycle_of", "measure"]


def measure(server: Server, sizes: Sizes) -> Section:
    """Measure everybody in turns, each cycle with a key of its own."""
    calls: dict[str, Callable[[], object]] = {names.PINGS: two_pings(server.port)}
    calls |= {name: cycle_of(taker) for name, taker in takers(server).items()}
    with on_cpus(CLIENT):
        series = in_turns(
            {
                name: lambda call=call: seconds_each(call, sizes.cycles)  # type: ignore[misc]
                for name, call in calls.items()
            },
            sizes.cycle_rounds,
            sizes.seconds,
        )
    cells = column(series, names.PINGS, scale=1e6)
    return Section(
        names.CYCLE,
        "Acquire and release",
        "One client takes a free key and gives it back; the server and the client have a processor"
        f" each. Ratios are to {names.PINGS}, which is as fast as two round trips can be. The"
        " engine is the store together with the keeper, the counters and the rest of what a worker"
        " does.",
        names.PINGS,
        [Row(name, {names.MICROSECONDS: cell}) for name, cell in cells.items()],
    )


def cycle_of(take: Taker) -> Callable[[], object]:
    """Return what takes a key that nobody had before, and gives it back."""
    numbers = count()
    prefix = f"bench:{id(take):x}"

    def call() -> None:
        take(f"{prefix}:{next(numbers)}")()

    return call
