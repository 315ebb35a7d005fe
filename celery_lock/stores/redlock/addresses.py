"""Which nodes a URL names, and which options they have: read, checked, and never printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...errors import LockConfigurationError
from ..link.urls import refuse_unknown
from ..redis.link.address import OPTIONS, Address
from ..redis.options import LONGEST_TTL, longest_of

__all__ = ["Addresses", "parse"]

_OWN = ("longest_ttl", "restart_guard")
_KNOWN = (*OPTIONS, *_OWN)


class Addresses(NamedTuple):
    """What a URL and its options say."""

    nodes: list[Address]
    shown: str
    """The URL without users, passwords and query: for messages and logs."""
    longest_ttl: float
    """Seconds: the longest ttl that any lock of these nodes has."""


def parse(url: str, options: Mapping[str, Any] | None = None) -> Addresses:
    """Read `redlock://a:6379,b:6379,c:6379/0`.

    A node without a login has the first node's. Raises `LockConfigurationError`, and says what is
    wrong without repeating the URL.
    """
    given = dict(options or {})
    longest_ttl = _own_options(given)
    rest, mark, query = url.partition("://")[2].partition("?")
    netlocs, slash, path = rest.partition("/")
    names = [name.strip() for name in netlocs.split(",")]
    if ";" in netlocs:
        raise LockConfigurationError(
            "the URL of the lock store has a semicolon, and its nodes are listed with commas: write"
            " redlock://a:6379,b:6379,c:6379/0, and a semicolon in a password as %3B"
        )
    if not all(name.rpartition("@")[2] for name in names):
        raise LockConfigurationError(
            "the URL of the lock store has a node without a name: write"
            " redlock://a:6379,b:6379,c:6379/0, and a comma in a password as %2C"
        )
    login, at, _ = names[0].rpartition("@")
    nodes = [
        Address.parse(
            f"redis://{'' if '@' in name else login + at}{name}{slash}{path}{mark}{query}", given
        )
        for name in names
    ]
    places = [f"{node.host}:{node.port}" for node in nodes]
    for place in places:
        if places.count(place) > 1:
            raise LockConfigurationError(
                f"the URL of the lock store names {place} twice: each node of redlock:// has to be"
                " a server of its own, since it has one vote"
            )
    shown = ",".join(node.shown.partition("://")[2].rpartition("/")[0] for node in nodes)
    return Addresses(nodes, f"redlock://{shown}/{nodes[0].db}", longest_ttl)


def _own_options(given: dict[str, Any]) -> float:
    """Take out the options that only Redlock has; return the longest ttl."""
    if "replicas" in given:
        raise LockConfigurationError(
            "lock_store_options has no 'replicas' for redlock://: its nodes are independent"
            " servers, and a majority of them is what keeps a lease; leave the option out"
        )
    refuse_unknown(given, _KNOWN, "redlock://")
    if given.pop("restart_guard", True) is not True:
        raise LockConfigurationError(
            "restart_guard cannot be switched off for redlock://: a node that came back empty would"
            " vote a second time. Leave the option out; longest_ttl says for how long a node stays"
            " out after a restart"
        )
    return longest_of(given.pop("longest_ttl", LONGEST_TTL))
