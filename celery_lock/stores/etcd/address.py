"""Where the members of a cluster are and how to log in: read from a URL, and never printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ...errors import LockConfigurationError, did_you_mean
from ..link.tls import TLS_OPTIONS, tls_options
from ..link.urls import one_login, pieces_of, refuse_unknown, unreadable, written

__all__ = ["OPTIONS", "Address", "Endpoint"]

OPTIONS = ("username", "password", "ssl")
"""What `lock_store_options` may say; a URL's own user, password and query say it louder."""

PORT = 2379
_FORM = "write etcd://host:2379, or several as etcd://host1:2379,host2:2379,host3:2379"
_TLS = tuple(name for name in TLS_OPTIONS if "ocsp" not in name)


@dataclass(frozen=True)
class Endpoint:
    """One member of the cluster."""

    host: str
    port: int

    def __str__(self) -> str:
        return written(self.host, self.port)


@dataclass(frozen=True)
class Address:
    """All members of a cluster that were named, and one user."""

    shown: str
    """The URL without user, password and query: for messages and logs."""
    endpoints: tuple[Endpoint, ...]
    user: str = ""
    password: str = field(default="", repr=False)
    tls: Mapping[str, Any] | None = field(default=None, repr=False)
    """The options of TLS; `None`: plain."""

    @classmethod
    def parse(cls, url: str, options: Mapping[str, Any] | None = None) -> Address:
        """Read `etcd://h1:2379,h2:2379,h3:2379`; `etcds://` is the same over TLS.

        Raises `LockConfigurationError`, and says what is wrong without repeating the URL.
        """
        given = options or {}
        refuse_unknown(given, OPTIONS, "etcd")
        try:
            parts = pieces_of(url)
        except ValueError:
            raise unreadable(_FORM) from None  # its text has a piece of the password
        if "#" in url or "@" in unquote(parts.path) + parts.query:  # it begins in a password
            raise unreadable(_FORM)
        userinfo, servers = one_login(parts.netloc, _FORM)
        user, password = _login(userinfo, given)
        if parts.path.strip("/"):
            raise LockConfigurationError(
                "the URL of the lock store has a path, and etcd has no databases: keep locks apart"
                " by lock_key_prefix"
            )
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        tls = tls_options("rediss" if parts.scheme == "etcds" else "", query, given.get("ssl"))
        for name in (*query, *(tls or {})):
            if name in query or name not in _TLS:
                if "@" in unquote(parts.query):  # it, too, begins in one
                    raise unreadable(_FORM)
                raise LockConfigurationError(
                    f"the URL of the lock store has an unknown option {name!r}"
                    f"{did_you_mean(name, _TLS)}; for etcd it may have {', '.join(_TLS)}"
                )
        endpoints = tuple(map(_endpoint, servers.split(",")))
        scheme = "etcd" if tls is None else "etcds"
        return cls(f"{scheme}://{','.join(map(str, endpoints))}", endpoints, user, password, tls)


def _login(userinfo: str, given: Mapping[str, Any]) -> tuple[str, str]:
    user, colon, secret = userinfo.partition(":")
    name = unquote(user) or given.get("username") or ""
    password = unquote(secret) if colon else given.get("password") or ""
    if bool(name) != bool(password):
        raise LockConfigurationError(
            "etcd wants a user and a password, and the lock store has only one of them: write"
            " etcd://user:password@host:2379, or give username and password in lock_store_options"
        )
    return name, password


def _endpoint(text: str) -> Endpoint:
    try:
        parts = urlsplit(f"//{text.strip()}")
        host, port = parts.hostname, parts.port or PORT
    except ValueError:
        raise unreadable(_FORM) from None
    if host is None:
        raise unreadable(_FORM)
    return Endpoint(unquote(host), port)
