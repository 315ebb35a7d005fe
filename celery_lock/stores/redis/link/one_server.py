"""The link to the one server that a URL names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .address import Address
from .care import Care
from .discovery import FixedAddress
from .server import Server

__all__ = ["one_server"]


def one_server(
    url: str,
    options: Mapping[str, Any],
    *,
    deadline: float,
    connections: int,
    watchers: int,
    care: Care,
) -> Server:
    """Return the link to the one server that a URL names."""
    where = FixedAddress(Address.parse(url, options))
    return Server(where, deadline=deadline, connections=connections, watchers=watchers, care=care)
