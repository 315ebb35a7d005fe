"""Which slot of a cluster a name has, and what a node says about who keeps which slot."""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Iterator
from typing import Any, NamedTuple

__all__ = ["SLOTS", "Place", "Shard", "shards_of", "slot_of"]

SLOTS = 16384

Place = tuple[str, int]
"""Host and port of a node."""


class Shard(NamedTuple):
    """Slots that lie side by side, and who keeps them."""

    first: int
    last: int
    master: Place
    replicas: tuple[Place, ...]


def slot_of(name: str) -> int:
    """Return the slot of a name: that of its hash tag, if it has one."""
    begin = name.find("{") + 1
    if begin:
        end = name.find("}", begin)
        if end > begin:
            name = name[begin:end]
    # CRC-16/XMODEM, as the servers count it
    return crc_hqx(name.encode("utf-8", "surrogatepass"), 0) % SLOTS


def shards_of(reply: Any, asked: str) -> Iterator[Shard]:
    """Read the reply to CLUSTER SLOTS; `asked` is the host that has answered.

    A node that does not know its own address leaves it out: it is the one that was asked.
    """
    for first, last, master, *replicas in reply:
        yield Shard(
            first, last, _place(master, asked), tuple(_place(one, asked) for one in replicas)
        )


def _place(node: Any, asked: str) -> Place:
    host, port, *_ = node
    return (host or b"").decode().strip("?") or asked, port
