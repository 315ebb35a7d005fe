"""Leases on the primary of a service that sentinels watch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...model import Feature
from ...model.clock import monotonic
from ..registry import promises
from .link.care import Care
from .link.discovery import Directory
from .link.sentinel_url import SentinelUrl
from .link.sentinels import Sentinels
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

    def _commands(self, care: Care) -> str:
        return f"+role {super()._commands(care)}"

    def _directory(self, url: str, options: Mapping[str, Any]) -> Directory:
        self._sentinels = Sentinels(SentinelUrl.parse(url, options))
        return self._sentinels

    def check(self) -> list[str]:
        """Try the primary once, and ask each sentinel: warnings for the log."""
        warnings = super().check()
        return warnings + self._sentinels.warnings(monotonic() + self._server.deadline)


@promises(*Feature)
def open_sentinel(
    url: str, *, options: Mapping[str, Any], deadline: float, prefix: str
) -> SentinelStore:
    """Open a store on the primary of a service; see `SentinelStore`."""
    return SentinelStore(url, options=options, deadline=deadline, prefix=prefix)
