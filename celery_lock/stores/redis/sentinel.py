"""Leases on the primary of a service that sentinels watch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...model import Feature
from ...model.clock import monotonic
from ..registry import promises
from .link.care import Care
from .link.sentinel_url import SentinelUrl
from .link.sentinels import Sentinels
from .link.server import Server
from .store import RedisStore

__all__ = ["SentinelStore", "open_sentinel"]


class SentinelStore(RedisStore):
    """Leases on whichever server is the primary.

    Args:
        url: `sentinel://host:port,host:port/service`, or `sentinel://host:port;sentinel://...` with
            the option `master_name`, as Celery has it.
        options: as for `RedisStore`, for the servers; `master_name`, `sentinel_kwargs` (login and
            TLS of the sentinels) and `min_other_sentinels`.
        deadline: seconds that one call may take, with the search for the primary.
        prefix: as for `RedisStore`.
    """

    def __init__(
        self,
        url: str,
        *,
        options: Mapping[str, Any] | None = None,
        deadline: float = 2.0,
        prefix: str = "celery-lock:",
    ) -> None:
        super().__init__(url, options=options, deadline=deadline, prefix=prefix, link=self._link)
        self.permissions = f"+role {self.permissions}"

    def check(self) -> list[str]:
        """Try the primary once, and ask each sentinel: warnings for the log."""
        warnings = super().check()
        return warnings + self._sentinels.warnings(monotonic() + self._server.deadline)

    def _link(
        self,
        url: str,
        options: Mapping[str, Any],
        *,
        deadline: float,
        connections: int,
        watchers: int,
        care: Care,
    ) -> Server:
        """Return the link to the server that the sentinels of a URL name."""
        self._sentinels = Sentinels(SentinelUrl.parse(url, options))
        return Server(
            self._sentinels,
            deadline=deadline,
            connections=connections,
            watchers=watchers,
            care=care,
        )


@promises(*Feature)
def open_sentinel(
    url: str, *, options: Mapping[str, Any], deadline: float, prefix: str
) -> SentinelStore:
    """Open a store on the primary of a service; see `SentinelStore`."""
    return SentinelStore(url, options=options, deadline=deadline, prefix=prefix)
