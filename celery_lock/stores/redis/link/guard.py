"""No claims for a server that may have forgotten who holds a key: until that lease has ended.

A server that was restarted without its data, or that became the primary before it had all of the
one before it, gives keys away whose holders still believe in their leases. They believe so for
one ttl at most. So for the longest ttl after such a moment no claim is sent there.

When a server began it says itself (INFO). When it became the primary it does not say: the first
who asks it then writes a mark with its run id, which the servers replicate. A mark with another
run id is of the primary before.
"""

from __future__ import annotations

import math
from binascii import crc_hqx
from collections.abc import Callable
from functools import lru_cache
from itertools import count
from typing import NamedTuple

from ....model.clock import monotonic
from .info import facts_in
from .resp import ErrorReply, Reply, command
from .script import Script

__all__ = ["Guard", "Guarded", "Seen"]

ASK_AGAIN = 1.0
"""Seconds after which a connection asks again before a claim. In less than that no server becomes
a replica and the primary once more; longer, an idle connection may have missed both."""
KEPT = 30 * 86400.0
"""Seconds that a mark is kept after the last question. A primary that nobody has asked for so long
is taken for a new one, once."""

_NEVER_A_REPLICA = "0" * 40
"""What INFO says where a server has no primary's data."""


class Guarded(Exception):
    """No claim was sent: the server may have forgotten leases."""

    def __init__(self, ago: float, left: float, longest: float) -> None:
        super().__init__(ago, left, longest)
        self.ago = ago
        self.left = left
        self.longest = longest


class Seen(NamedTuple):
    """What a connection has seen of its server."""

    at: float
    since: float
    """The moment from which on that server has kept all leases."""


_NO_PRIMARY = Seen(-math.inf, -math.inf)
"""It takes no claims: it says so to one that is sent, with more words than are known here."""
_UNKNOWN = ErrorReply("NOPERM restart_guard needs INFO, which says nothing of the server here")


class Guard:
    """Asks a server since when it has kept all leases, and refuses claims before it is old enough.

    Args:
        longest_ttl: seconds that any lease lives without a renewal.
        script: the one in `guard.lua`.
        prefix: what the name of the mark begins with.
    """

    def __init__(self, longest_ttl: float, script: Script, prefix: str) -> None:
        self.longest_ttl = longest_ttl
        self._script = script
        self._prefix = prefix

    def look(
        self, seen: Seen | None, send: Callable[[bytes], None], read: Callable[[], Reply]
    ) -> Seen:
        """Return what is known of the server, which is asked where that is too old."""
        now = monotonic()
        if seen is not None and now - seen.at < ASK_AGAIN:
            return seen
        send(command("INFO", "server") + command("INFO", "replication"))
        said = [_heard(read), _heard(read)]
        facts = {**facts_in(said[0]), **facts_in(said[1])}
        if "run_id" not in facts or "role" not in facts:
            raise next((one for one in said if isinstance(one, ErrorReply)), _UNKNOWN)
        if facts["role"] != "master":
            return _NO_PRIMARY
        up = max(int(facts.get("uptime_in_seconds") or 0) - 1, 0)  # it counts whole seconds
        promoted = facts.get("master_replid2", _NEVER_A_REPLICA) != _NEVER_A_REPLICA
        args = (facts["run_id"], round(up * 1e6), int(promoted), round(KEPT * 1e6))
        failure: ErrorReply | None = None
        for tag in self._tags(facts, send, read):
            send(self._script.call_in_full([f"{self._prefix}guard:{{{tag}}}"], args))
            kept = _heard(read)
            if isinstance(kept, int):
                return Seen(now, monotonic() - kept / 1e6)
            if isinstance(kept, ErrorReply):
                failure = kept
        if failure is not None:
            raise failure
        return _NO_PRIMARY

    def admit(self, seen: Seen) -> None:
        """Raise `Guarded` where the server is too young for a claim."""
        ago = monotonic() - seen.since
        if ago < self.longest_ttl:
            raise Guarded(ago, self.longest_ttl - ago, self.longest_ttl)

    def _tags(
        self, facts: dict[str, str], send: Callable[[bytes], None], read: Callable[[], Reply]
    ) -> list[str]:
        """Return the hash tags under which this server can keep a mark."""
        if facts.get("redis_mode") != "cluster":
            return ["server"]
        send(command("CLUSTER", "NODES"))
        said = _heard(read)
        if isinstance(said, ErrorReply):
            raise said
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else ""
        own = next((line.split() for line in text.splitlines() if "myself" in line), [])
        slots = [part.split("-") for part in own[8:] if not part.startswith("[")]
        # a slot that is on its way elsewhere takes no new key: one of the others does
        return [_tag(int(ends[0])) for ends in slots] + [_tag(int(ends[-1])) for ends in slots]


@lru_cache(maxsize=1024)
def _tag(slot: int) -> str:
    """Return a text that a cluster keeps in this slot."""
    return next(tag for tag in map(str, count()) if crc_hqx(tag.encode(), 0) % 16384 == slot)


def _heard(read: Callable[[], Reply]) -> Reply | ErrorReply:
    """Read a reply, an error too, so that what follows it is still in step."""
    try:
        return read()
    except ErrorReply as refusal:
        return refusal
