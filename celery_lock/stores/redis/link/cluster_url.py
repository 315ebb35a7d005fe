"""Which nodes of a cluster a URL names: read from it and from options, and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ....errors import LockConfigurationError
from ...link.urls import written
from .address import Address
from .several_hosts import SeveralHosts

__all__ = ["ClusterUrl"]


@dataclass(frozen=True)
class ClusterUrl:
    """Some of the nodes; the others are heard of from these."""

    shown: str
    """The URL without user, password and query: for messages and logs."""
    seeds: tuple[Address, ...]

    @classmethod
    def parse(cls, url: str, options: Mapping[str, Any]) -> ClusterUrl:
        """Raise `LockConfigurationError` for what makes no sense, without repeating the URL."""
        said = SeveralHosts.parse(url, 6379)
        plain = url.partition("+")[0]
        login = f"{said.login}@" if said.login else ""
        seeds = tuple(
            Address.parse(f"{plain}://{login}{written(*host)}{said.path}?{said.query}", options)
            for host in said.hosts
        )
        if seeds[0].db:
            raise LockConfigurationError(
                "a Redis Cluster has database 0 alone: leave the number out of the URL of"
                " lock_store"
            )
        scheme = "redis" if seeds[0].tls is None else "rediss"
        return cls(f"{scheme}+cluster://{said.shown}", seeds)
