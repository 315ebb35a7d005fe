"""Renew many leases at once: round trips, time, and for how long the server does nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import redis

from celery_lock.engine.locker import Ask, Grant, Locker
from celery_lock.events import Subject
from celery_lock.model import Claim, Lease
from celery_lock.model.clock import steady
from celery_lock.stores import open_store

from . import names
from .machine import CLIENT, on_cpus
from .results import Row, Section, column
from .server import Server
from .sizes import Sizes

__all__ = ["TTL", "keeper_of", "measure"]

TTL = 600.0

_PATIENCE = 20.0
"""Seconds for a call: a machine that is busy connects late, and nobody waits for it here."""

_SLOW = "slowlog-log-slower-than"
_FROM = 20
"""Microseconds from which on the server writes a command down: a batch takes longer than that."""


def measure(server: Server, sizes: Sizes) -> Section:
    """Let a keeper renew all its leases, a few times over, for each number of them."""
    series: dict[str, dict[str, list[float]]] = {
        title: {} for title in (names.TRIPS, names.MILLISECONDS, names.BUSY, names.LONGEST)
    }
    with server.client() as client, on_cpus(CLIENT):
        for leases in sizes.leases:
            client.flushall()
            renew, _ = keeper_of(server.url, leases)
            renew()  # connections are opened, and the script is sent
            found = [_renewed(client, renew) for _ in range(sizes.renewals)]
            for place, title in enumerate(series):
                series[title][names.leases(leases)] = [each[place] for each in found]
        client.flushall()
    base = names.leases(sizes.leases[0])
    columns = {title: column(values, base) for title, values in series.items()}
    return Section(
        names.RENEWAL,
        "Renewal",
        "All leases of a process are due at once. The server is busy for as long as it needs for"
        " all of them; in between, other clients have their turn, so the longest command is what"
        " they may have to wait for. Ratios are to one lease.",
        base,
        [
            Row(name, {title: columns[title][name] for title in columns})
            for name in map(names.leases, sizes.leases)
        ],
    )


def keeper_of(
    url: str, leases: int, options: Mapping[str, Any] | None = None
) -> tuple[Callable[[], object], list[Lease]]:
    """Return what lets a third of a ttl pass and renews so many leases, and these leases."""
    passed = 0.0

    def clock() -> float:
        return steady() + passed

    store = open_store(url, options=options, deadline=_PATIENCE)
    locker = Locker(store, clock=clock, threads=False)
    keeper = locker.keeper
    subject = Subject("bench", "id", "bench:{n}")
    claimed: list[Lease] = []
    for number in range(leases):
        holder = f"6f2d5c1e-7a34-4b51-9d0e-{number:012x}#celery@worker-1#4711#0123456789abcdef"
        got = locker.claim(Ask(Claim(f"bench:{number}", holder, TTL), subject))
        assert isinstance(got, Grant)
        claimed.append(got.lease)

    def renew() -> None:
        nonlocal passed
        passed += TTL / 3 + 1
        keeper.renew()
        assert len(keeper) == leases

    return renew, claimed


def _renewed(client: Any, renew: Callable[[], object]) -> tuple[float, float, float, float]:
    """Renew twice: once as it is, and once while the server writes down its slow commands."""
    client.config_resetstat()
    began = perf_counter()
    renew()
    took = perf_counter() - began
    done = client.info("commandstats")["cmdstat_evalsha"]
    trips, busy = done["calls"], done["usec"] / 1e3
    if trips == 1:
        return trips, took * 1e3, busy, busy
    client.slowlog_reset()
    before = client.config_get(_SLOW)[_SLOW]
    client.config_set(_SLOW, _FROM)
    try:
        renew()
    finally:
        client.config_set(_SLOW, before)
    longest = max(_longest(client), busy / trips)
    return trips, took * 1e3, busy, longest


def _longest(client: redis.Redis) -> float:
    """Return the milliseconds of the slowest script that the server wrote down; 0 for none."""
    entries: Any = client.slowlog_get(2000)
    scripts = [each["duration"] for each in entries if each["command"].startswith(b"EVALSHA")]
    return max(scripts, default=0) / 1e3
