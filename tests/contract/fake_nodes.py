"""Nodes of a cluster that answer what a test wants: what real ones say seldom, or never."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import pairwise

from celery_lock.stores.redis.link.slots import SLOTS
from tests.contract.fake_server import FakeServer
from tests.services.ports import LOOPBACK

__all__ = ["DROPPED", "GRANTED", "RENEWED", "FakeNode", "FakeNodes", "moved", "sequence"]

Command = list[bytes]

GRANTED = b":7\r\n"
RENEWED = b"*1\r\n:1\r\n"
DROPPED = b"the connection ends"
NOTHING = b""


class FakeNode:
    """One node. `answer` is asked for each command but those for the map; `None`: it hangs."""

    def __init__(self, nodes: FakeNodes) -> None:
        self.heard: list[bytes] = []
        """The words of all commands, the map's too: EVALSHA has the name of its first key."""
        self.answer: Callable[[Command], bytes | None] = self.run
        self.map: Callable[[], bytes | None] = nodes.map
        self._server = FakeServer(self._talk)
        self.port = self._server.port
        self.place = f"{LOOPBACK}:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self._server.connections

    def said(self, word: bytes) -> int:
        """How often it was asked for this."""
        return sum(one.startswith(word) for one in self.heard)

    def run(self, command: Command) -> bytes:
        """Answer as a node does that keeps all keys."""
        if command[0] in (b"EVALSHA", b"EVAL"):
            return RENEWED if len(command) == 10 else GRANTED  # a renewal has five arguments
        return {b"ASKING": b"+OK\r\n", b"BLPOP": b"*2\r\n$1\r\nk\r\n$1\r\n1\r\n"}.get(
            command[0], b"+PONG\r\n"
        )

    def gone(self) -> None:
        """End the node: nobody listens there any more."""
        self._server.__exit__()

    def _talk(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while (command := _read(stream.readline, stream.read)) is not None:
                words = [command[0], *command[3:4]] if command[0][:4] == b"EVAL" else command[:2]
                self.heard.append(b" ".join(words))
                answer = self.map() if command[0] == b"CLUSTER" else self.answer(command)
                if answer == DROPPED:
                    return
                if answer is None:
                    connection.recv(1)  # until the other end gives up
                    return
                connection.sendall(answer)


class FakeNodes:
    """Several nodes, which share the slots evenly. Use it in a `with`."""

    def __init__(self, count: int) -> None:
        self._stack = ExitStack()
        self.nodes = [FakeNode(self) for _ in range(count)]
        self.bounds = [SLOTS * number // count for number in range(count + 1)]
        self.keepers = list(self.nodes)
        """Who keeps the slots of each part."""

    @property
    def url(self) -> str:
        """Names all nodes."""
        return "redis+cluster://" + ",".join(node.place for node in self.nodes)

    def map(self) -> bytes:
        """Answer CLUSTER SLOTS."""
        rows = [
            f"*3\r\n:{first}\r\n:{last - 1}\r\n*2\r\n$9\r\n{LOOPBACK}\r\n:{node.port}\r\n"
            for (first, last), node in zip(pairwise(self.bounds), self.keepers, strict=True)
        ]
        return f"*{len(rows)}\r\n{''.join(rows)}".encode()

    def __enter__(self) -> FakeNodes:
        for node in self.nodes:
            self._stack.callback(node.gone)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()


def moved(node: FakeNode, word: str = "MOVED") -> bytes:
    """Send whoever asks to another node."""
    return f"-{word} 1 {node.place}\r\n".encode()


def _read(readline: Callable[[], bytes], read: Callable[[int], bytes]) -> Command | None:
    line = readline()
    if not line.startswith(b"*"):
        return None
    parts: list[bytes] = []
    for _ in range(int(line[1:])):
        size = int(readline()[1:])
        parts.append(read(size + 2)[:size])
    return parts


def sequence(*answers: bytes | None) -> Callable[[Command], bytes | None]:
    """Give these answers one after another, the last one for ever."""
    left: Sequence[bytes | None] = list(answers)

    def answer(_: Command) -> bytes | None:
        nonlocal left
        now, *rest = left
        left = rest or [now]
        return now

    return answer
