"""Try a server once, as a worker starts: can it be used, and what should its owner know?"""

from __future__ import annotations

import ssl

from ...errors import StoreError, StoreUnavailable
from ...model import LockStore
from ..link.tls import unverified
from ..own_key import LIFE, try_own_key
from .link.address import Address
from .link.info import facts_in
from .link.linking import Link, OneServer
from .link.resp import ErrorReply

__all__ = ["checkup", "look_at", "version", "version_in"]

OLDEST = (6, 2)
"""The oldest server that the tests run against."""


def checkup(store: LockStore, link: Link, *, as_cluster: bool = False) -> list[str]:
    """Return warnings; raise `StoreError` where the server cannot be used.

    What the server does not tell this user (INFO may be forbidden) is unknown, and no warning.
    `as_cluster`: the link finds the node that has a key.
    """
    warnings = [w for server in link.servers() for w in look_at(server, as_cluster)]
    # a store that waits for its longest lease after a restart gives none that is longer
    ttl = min(LIFE, getattr(store, "longest_ttl", None) or LIFE)
    key = try_own_key(store, "is it one server?", ttl=ttl, watching=True)
    store.watch(key, 0.05)  # the release has left word: this returns at once
    return warnings


def version(link: Link) -> str:
    """Return what the servers run: `Redis 7.0.15`; empty where they do not tell this user."""
    return ", ".join(sorted({version_in(_facts(server)) for server in link.servers()} - {""}))


def version_in(facts: dict[str, str]) -> str:
    """Return what a server says of itself in its INFO."""
    for name in ("valkey", "redis"):
        if number := facts.get(f"{name}_version", "").strip():
            return f"{name.capitalize()} {number}"
    return ""


def look_at(server: OneServer, as_cluster: bool) -> list[str]:
    """Return warnings of one server; raise `StoreError` where it cannot be used."""
    server.say("PING")
    facts = _facts(server)
    address = server.find()
    shown = address.shown
    version = facts.get("redis_version", "")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers and numbers < OLDEST:
        raise StoreError(
            f"{shown} runs Redis {version}: a lock needs Redis 6.2 or later, or Valkey 7.2 or later"
        )
    if facts.get("role") == "slave":
        raise StoreUnavailable(
            shown, "it is a replica; name the primary, or its sentinels (sentinel://)"
        )
    warnings = _warnings(facts, address)
    if facts.get("cluster_enabled") == "1" and not as_cluster:
        warnings.append(
            f"{shown} is a node of a Redis Cluster, and refuses every key that another node has:"
            " set lock_store to redis+cluster://host:port"
        )
    return warnings


def _facts(server: OneServer) -> dict[str, str]:
    try:
        reply = server.say("INFO")
    except StoreError as error:
        cause = error.__cause__
        if isinstance(cause, ErrorReply) and cause.code in ("NOPERM", "ERR"):
            return {}
        raise
    return facts_in(reply)


def _warnings(facts: dict[str, str], address: Address) -> list[str]:
    shown, warnings = address.shown, []
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and facts.get("maxmemory", "0") != "0":
        warnings.append(
            f"{shown} may evict a lock when its memory is full (maxmemory-policy {policy}):"
            " then two tasks hold one key. Set maxmemory-policy to noeviction, or give the locks"
            " a server of their own"
        )
    tls = address.tls
    if tls is not None and tls["ssl_cert_reqs"] != ssl.CERT_REQUIRED:
        warnings.append(unverified(shown))
    return warnings
