"""Every store beside what users pick else on the same servers: a cycle, a hand-off, renewals."""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from time import perf_counter, sleep

from . import names
from .contenders import Taker
from .cycles import cycle_of
from .machine import CLIENT, on_cpus
from .places import Client, Place, opened, ours
from .renewals import keeper_of
from .results import Row, Section, column
from .rounds import in_turns, seconds_each
from .sends import counted_sends
from .server import Server, two_pings
from .sizes import Sizes

__all__ = ["cycles", "hand_offs", "renewals"]

_FIXED = 20
"""Keys that are used again and again, where it matters who had one last."""
_BATCH = 100
"""Leases that are renewed."""


def cycles(server: Server, sizes: Sizes, directory: Path) -> Section:
    """Take a free key and give it back, everybody in turns."""
    with ExitStack() as stack:
        places = opened(stack, directory)
        calls: dict[str, Callable[[], object]] = {names.PINGS: two_pings(server.port)}
        for place in places:
            if place.pings:
                calls[place.pings] = two_pings(*place.ports)
            for name, client in _clients(place).items():
                calls[name] = cycle_of(client())
                if place.shared:
                    calls[names.keys_had(name, "it")] = _again(client())
                    calls[names.keys_had(name, "another")] = _in_turns(client(), client())
        with on_cpus(CLIENT):
            series = in_turns(
                {
                    name: lambda call=call: seconds_each(call, sizes.store_cycles)  # type: ignore[misc]
                    for name, call in calls.items()
                },
                sizes.store_rounds,
                sizes.seconds,
            )
    cells = column(series, names.PINGS, scale=1e6)
    return Section(
        names.STORES,
        "Stores: acquire and release",
        "One client takes a free key that nobody had before and gives it back, on each kind of"
        " store. Ours is the engine over the store. Ratios are to two PINGs to a single Redis."
        " Servers and the client have a processor each, so a store of several servers has less"
        " of it than it would have on machines of their own.",
        names.PINGS,
        [Row(name, {names.MICROSECONDS: cell}) for name, cell in cells.items()],
    )


def hand_offs(server: Server, sizes: Sizes, directory: Path) -> Section:
    """Give a key back for which one waits: how long it takes until it is his."""
    with ExitStack() as stack:
        places = opened(stack, directory)
        calls: dict[str, Callable[[], float]] = {}
        ping = two_pings(server.port)
        calls[names.PINGS] = lambda: seconds_each(ping, 10)
        for place in places:
            for name, client in _clients(place).items():
                if name not in names.WITHOUT_WAITING:
                    calls[name] = stack.enter_context(_HandOff(client))
        with on_cpus(CLIENT):
            series = in_turns(calls, sizes.hand_offs, sizes.seconds)
    cells = column(series, names.PINGS, scale=1e6)
    return Section(
        names.HAND_OFF,
        "Stores: hand-off",
        "One client waits for a key that another one has, and has waited for 50 ms or more when it"
        " is given back. The time is from then until the waiter has it. Ratios are to two PINGs to"
        " a single Redis. Both clients are threads of one process.",
        names.PINGS,
        [Row(name, {names.MICROSECONDS: cell}) for name, cell in cells.items()],
    )


def renewals(sizes: Sizes, directory: Path) -> Section:
    """Renew a hundred leases at once."""
    trips: dict[str, list[float]] = {}
    took: dict[str, list[float]] = {}
    with ExitStack() as stack, on_cpus(CLIENT):
        for place in opened(stack, directory):
            renew, _ = keeper_of(place.url, _BATCH, place.options)
            renew()  # connections are opened, and scripts are sent
            name = names.ours(place.name)
            trips[name], took[name] = [], []
            for _ in range(sizes.renewals):
                began = perf_counter()
                with counted_sends() as sent:
                    renew()
                took[name].append((perf_counter() - began) * 1e3)
                trips[name].append(float(max(sent[port] for port in place.ports)))
    columns = {names.NODE_TRIPS: column(trips, None), names.MILLISECONDS: column(took, None)}
    return Section(
        names.STORE_RENEWAL,
        f"Stores: renewal of {_BATCH} leases",
        "All leases of a process are due at once. Round trips are those to the node that had most"
        " of them.",
        names.ours("redis://"),
        [Row(name, {title: columns[title][name] for title in columns}) for name in trips],
    )


def _clients(place: Place) -> dict[str, Client]:
    return {names.ours(place.name): ours(place), **place.others}


def _again(take: Taker) -> Callable[[], object]:
    return _over([take], f"bench:again:{id(take):x}")


def _in_turns(*takers: Taker) -> Callable[[], object]:
    return _over(takers, f"bench:turns:{id(takers[0]):x}")


def _over(takers: Sequence[Taker], prefix: str) -> Callable[[], object]:
    """Return a cycle over a few keys, each of which the takers have one after the other."""
    numbers = count()

    def call() -> None:
        number = next(numbers)
        takers[number // _FIXED % len(takers)](f"{prefix}:{number % _FIXED}")()

    return call


class _HandOff:
    """Two clients, and a thread for the one that waits. Use it in a `with`."""

    def __init__(self, client: Client) -> None:
        self._here, self._there = client(), client()
        self._keys: queue.Queue[str | None] = queue.Queue()
        self._got: queue.Queue[float | Exception] = queue.Queue()
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._number = count()

    def __call__(self) -> float:
        key = f"bench:hand-off:{id(self):x}:{next(self._number)}"
        give_back = self._here(key)
        self._keys.put(key)
        sleep(0.05 + random.random() * 0.05)
        began = perf_counter()
        give_back()
        got = self._got.get()
        if isinstance(got, Exception):
            raise got
        return got - began

    def _wait(self) -> None:
        while (key := self._keys.get()) is not None:
            try:
                give_back = self._there(key)
                self._got.put(perf_counter())
                give_back()
            except Exception as error:
                self._got.put(error)

    def __enter__(self) -> _HandOff:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._keys.put(None)
        self._thread.join()
