"""Several servers in one URL: `scheme://login@host:port,host:port/path?query`."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from ...link.urls import one_login, pieces_of, unreadable, written

__all__ = ["SeveralHosts"]

_FORM = "write scheme://host:port,host:port"


@dataclass(frozen=True)
class SeveralHosts:
    """What such a URL says, piece by piece."""

    hosts: tuple[tuple[str, int], ...]
    login: str = field(default="", repr=False)
    """As the URL has it, with its percent signs: `user:password`."""
    path: str = ""
    query: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str, port: int) -> SeveralHosts:
        """Read such a URL; `port` is meant where a host has none.

        Celery's form is read as well, which has a whole URL for each server, with semicolons in
        between. Login, path and query are those of the first one that has any. Raises
        `LockConfigurationError`, and says what is wrong without repeating the URL.
        """
        hosts: dict[tuple[str, int], None] = {}
        login, path, query = "", "", ""
        for part in filter(None, url.split(";")):
            if "#" in part:
                raise unreadable(_FORM)
            try:
                parts = pieces_of(part if "://" in part else f"//{part}")
            except ValueError:
                raise unreadable(_FORM) from None  # its text has a piece of the password
            if "@" in unquote(parts.path):  # it begins in a password
                raise unreadable(_FORM)
            userinfo, listed = one_login(parts.netloc, _FORM)
            for host in listed.split(","):
                hosts[_host(host, port)] = None
            login, path, query = login or userinfo, path or parts.path, query or parts.query
        return cls(tuple(hosts), login, path.rstrip("/"), query)

    @property
    def shown(self) -> str:
        """The servers as messages have them."""
        return ",".join(written(host, port) for host, port in self.hosts)


def _host(text: str, port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text.strip()}")
        host, number = unquote(parts.hostname or ""), parts.port or port
    except ValueError:
        raise unreadable(_FORM) from None
    if parts.path or parts.query:
        raise unreadable(_FORM)
    return host or "localhost", number
