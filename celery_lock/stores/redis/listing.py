"""Which keys there are on one server: found in small steps, so that nobody waits for them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from .hash_tag import hash_tag, tagged
from .link.linking import Link, OneServer

__all__ = ["keys"]

STEP = 1000
"""Names that the server looks at in one step: it takes some 200 microseconds. More keeps others
waiting, fewer takes more round trips."""

LOOKS = 2
"""How often several servers are looked through: a key may move from one of them to another that was
looked through already, and then it is found the next time."""

_GLOB = str.maketrans({character: f"\\{character}" for character in "\\*?[]"})


def keys(link: Link, prefix: str, beginning: str) -> list[str]:
    """Name all keys of this prefix that begin so, sorted."""
    found: set[str] = set()
    for _ in range(LOOKS):
        servers = link.servers()
        for server in servers:
            found |= _keys(server, prefix, beginning)
        if len(servers) == 1:
            break
    return sorted(found)


def _keys(server: OneServer, prefix: str, beginning: str) -> set[str]:
    pattern = f"{prefix}{hash_tag(beginning).removesuffix('}')}".translate(_GLOB) + "*}"
    found: set[str] = set()
    cursor = "0"
    while True:
        answer: Any = server.say("SCAN", cursor, "MATCH", pattern, "COUNT", STEP)
        said, names = answer
        for name in names:
            with suppress(UnicodeDecodeError):  # no name of ours
                found.add(tagged(name.decode("utf-8", "surrogatepass")[len(prefix) :]))
        cursor = said.decode()
        if cursor == "0":
            return found
