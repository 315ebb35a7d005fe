"""Does a lock become slower as the store and the number of workers grow?"""

from __future__ import annotations

import resource
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from . import names
from .contenders import takers
from .cycles import cycle_of
from .machine import CLIENT, on_cpus
from .processes import BenchError
from .results import Row, Section, column
from .rounds import in_turns, seconds_each
from .server import Server
from .sizes import Sizes

__all__ = ["measure"]

_FILL = """
for i = ARGV[1], ARGV[2] do
  redis.call('SET', 'other:' .. i, 'a value of somebody else', 'PX', 3600000)
end
"""
_STEP = 10_000


def measure(sizes: Sizes, directory: Path) -> Section:
    """Measure a cycle on servers that differ only in their size, in turns."""
    sized = [(keys, few) for keys in sizes.other_keys for few in sizes.connections]
    calls: dict[str, Callable[[], object]] = {}
    with ExitStack() as stack:
        for number, (keys, connections) in enumerate(sized):
            server = stack.enter_context(Server(directory, f"redis-{number}"))
            client = stack.enter_context(server.client())
            _fill(client, keys)
            for _ in range(connections - 1):  # the one that measures counts too
                stack.enter_context(_waiting(server))
            calls[names.size(keys, connections)] = cycle_of(takers(server)[names.STORE])
        with on_cpus(CLIENT):
            series = in_turns(
                {
                    name: lambda call=call: seconds_each(call, sizes.cycles)  # type: ignore[misc]
                    for name, call in calls.items()
                },
                sizes.growth_rounds,
                sizes.seconds,
            )
    base = names.size(sizes.other_keys[0], sizes.connections[0])
    cells = column(series, base, scale=1e6)
    return Section(
        names.GROWTH,
        "Growth",
        "The same cycle, on servers that hold few and many other keys, with few and many other"
        " clients that wait for a message as idle workers do. Ratios are to the smallest.",
        base,
        [Row(name, {names.MICROSECONDS: cell}) for name, cell in cells.items()],
    )


def _fill(client: Any, keys: int) -> None:
    for first in range(1, keys + 1, _STEP):
        client.eval(_FILL, 0, first, min(first + _STEP - 1, keys))


def _waiting(server: Server) -> socket.socket:
    """Return a connection that waits for a message, as an idle worker's does."""
    try:
        sock = server.socket()
    except OSError as error:
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        raise BenchError(
            f"a connection cannot be opened ({error}); this process may have {most} open files:"
            " raise that with ulimit -n"
        ) from error
    sock.sendall(b"*3\r\n$5\r\nBRPOP\r\n$10\r\nbench-idle\r\n$1\r\n0\r\n")
    return sock
