"""Where the entries of one prefix lie in the tree of ZooKeeper, and what their nodes hold.

    <chroot>/<prefix>2/clock        written by who wants to know the leader's time
    <chroot>/<prefix>2/<shard>      256 of them; its version counts the sweeps
    <chroot>/<prefix>2/<shard>/<l, t, r or i><digest of the name>

A node is named after a digest, since an entry's name may have any character and any length, and
holds the name: `<until> <name>`, a line break, `<text>`. 2 is the layout of all that.
"""

from __future__ import annotations

from hashlib import blake2b
from urllib.parse import quote

from ..stepping import Entry

__all__ = ["Paths", "read", "written"]

SHARDS = 256
"""Over how many nodes the entries are spread. More keeps what one sweep sees small, fewer makes a
list of all keys cheaper."""


class Paths:
    """The paths of all nodes that a store with this prefix has."""

    def __init__(self, chroot: str, prefix: str) -> None:
        self.chroot = chroot
        self.root = f"{chroot}/{quote(f'{prefix}2', safe=':', errors='surrogatepass')}"
        self.clock = f"{self.root}/clock"
        self.shards = [f"{self.root}/{number:02x}" for number in range(SHARDS)]

    def above(self) -> list[str]:
        """Return the chroot's nodes, from the top, and none of ours."""
        parts = self.chroot.split("/")[1:]
        return ["/" + "/".join(parts[: depth + 1]) for depth in range(len(parts))]

    def entry(self, name: str) -> tuple[str, str]:
        """Return the shard of an entry, and its own path."""
        digest = blake2b(name.encode(), digest_size=16).hexdigest()
        shard = f"{self.root}/{digest[:2]}"
        return shard, f"{shard}/{name[0]}{digest}"


def written(name: str, entry: Entry) -> bytes:
    """Return what the node of an entry holds."""
    return f"{entry.until} {name}\n{entry.text}".encode("ascii")


def read(data: bytes) -> tuple[str, Entry]:
    """Return the name of an entry, and the entry, as its node holds them."""
    head, _, text = data.decode("ascii").partition("\n")
    until, _, name = head.partition(" ")
    return name, Entry(text, int(until))
