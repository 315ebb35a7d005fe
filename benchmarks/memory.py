"""How many bytes of the server a lock takes: while it is held, and after it was given back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import names
from .contenders import remembering, takers
from .results import Row, Section, column
from .server import Server

__all__ = ["measure"]

_KEYS = 100


def measure(server: Server) -> Section:
    """Let everybody take some keys, and add up what the server says that they use."""
    held: dict[str, list[float]] = {}
    given_back: dict[str, list[float]] = {}
    with server.client() as client:
        for name, take in {**takers(server), names.REMEMBERED: remembering(server)}.items():
            if name in (
                names.ENGINE,
                names.PERMITS,
                names.TWO_LOCKS,
            ):  # it has the store's own records
                continue
            client.flushall()
            gives: list[Callable[[], object]] = [
                take(f"user:point:{100_000 + number}") for number in range(_KEYS)
            ]
            held[name] = [_used(client) / _KEYS]
            for give in gives:
                give()
            given_back[name] = [_used(client) / _KEYS]
        client.flushall()
    cells, after = column(held, names.REDIS_PY_LOCK), column(given_back, None)
    return Section(
        names.MEMORY,
        "Memory",
        "By MEMORY USAGE, the name of the key included; the key has 17 characters, the holder is a"
        " task id with a worker's name. Ratios are to redis-py's Lock. After a key is given"
        " back, its record stays until 60 s after the lease would have ended. The record keeps the"
        " tokens growing, and answers a release that is sent again. A tombstone is written as well"
        " if a copy of a message may be on its way. It stays for a little longer than the"
        " visibility timeout.",
        names.REDIS_PY_LOCK,
        [Row(name, {names.HELD: cells[name], names.GIVEN_BACK: after[name]}) for name in cells],
    )


def _used(client: Any) -> float:
    return float(sum(client.memory_usage(key, samples=0) for key in client.scan_iter(count=1000)))
