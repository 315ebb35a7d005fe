"""Leases on the primary of a service that sentinels watch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...model import Feature
from ..registry import promises
from .link.care import Care
from .link.sentinel_url import SentinelUrl
from .link.sentinels import Sentinels
from .link.server import Server
from .store import RedisStore

__all__ = ["by_sentinels", "open_sentinel"]


def by_sentinels(
    url: str,
    options: Mapping[str, Any],
    *,
    deadline: float,
    connections: int,
    watchers: int,
    care: Care,
) -> Server:
    """Return the link to the server that the sentinels of a URL name."""
    where = Sentinels(SentinelUrl.parse(url, options))
    return Server(where, deadline=deadline, connections=connections, watchers=watchers, care=care)


@promises(*Feature)
def open_sentinel(
    url: str, *, options: Mapping[str, Any], deadline: float, prefix: str
) -> RedisStore:
    """Open a store on the primary of a service; see `RedisStore`."""
    return RedisStore(url, options=options, deadline=deadline, prefix=prefix, link=by_sentinels)
