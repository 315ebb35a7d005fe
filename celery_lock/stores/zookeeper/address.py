"""Where an ensemble is and how to log in: read from a URL and options, and never printed."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from ...errors import LockConfigurationError, did_you_mean
from ..link.tls import tls_options
from ..link.urls import one_login, refuse_unknown, unreadable

__all__ = ["OPTIONS", "Address"]

OPTIONS = ("username", "password", "ssl")
"""What `lock_store_options` may say; a URL's own user, password and query say it louder."""

PORT = 2181
_FORM = (
    "write zookeeper://host:2181,host:2181/path, with a login zookeeper://user:password@host:2181"
)
_TLS = {
    "ssl_ca_certs": "ca",
    "ssl_certfile": "certfile",
    "ssl_keyfile": "keyfile",
    "ssl_password": "keyfile_password",
    "ssl_cert_reqs": "verify_certs",
    "ssl_check_hostname": "check_hostname",
}
"""The TLS options in the words of Celery's `broker_use_ssl`, and in those of kazoo."""


@dataclass(frozen=True)
class Address:
    """Some servers of one ensemble, a node below which all of ours are, one user."""

    shown: str
    """The URL without user, password and query: for messages and logs."""
    hosts: tuple[tuple[str, int], ...]
    chroot: str = ""
    """The path of the node below which all entries lie; empty: the root of the ensemble."""
    login: str = field(default="", repr=False)
    """`user:password` for the digest scheme; empty: no login."""
    user: str = ""
    """Who logs in, for messages."""
    tls: Mapping[str, Any] | None = field(default=None, repr=False)
    """Options for kazoo's TLS connection; `None`: plain."""

    @classmethod
    def parse(cls, url: str, options: Mapping[str, Any] | None = None) -> Address:
        """Read `zookeeper://user:password@host:port,host:port/chroot?ssl_ca_certs=...`.

        Raises `LockConfigurationError`, and says what is wrong without repeating the URL.
        """
        given = dict(options or {})
        refuse_unknown(given, OPTIONS, "ZooKeeper")
        rest, _, query = url.partition("://")[2].partition("?")
        if "#" in url or "@" in query:
            raise unreadable(_FORM)
        place, slash, path = rest.partition("/")
        if "@" in path:
            raise unreadable(_FORM)
        userinfo, servers = one_login(place, _FORM)
        user, colon, password = userinfo.partition(":")
        name = unquote(user) or given.get("username") or ""
        secret = unquote(password) if colon else given.get("password")
        if secret is not None and not name:
            raise LockConfigurationError(
                "the lock store has a password and no user: ZooKeeper knows a user by both, so"
                " write zookeeper://user:password@host, or set username"
            )
        if name and secret is None:
            raise LockConfigurationError(
                "the lock store has a user and no password: ZooKeeper knows a user by both, so"
                " write zookeeper://user:password@host, or set password"
            )
        if ":" in name:
            raise LockConfigurationError("a user of ZooKeeper can have no ':' in its name")
        return cls(
            shown=f"zookeeper://{servers}" + f"{slash}{path}".rstrip("/"),
            hosts=tuple(_server(server) for server in servers.split(",")),
            chroot=_chroot(unquote(path)) if slash else "",
            login=f"{name}:{secret}" if name else "",
            user=name,
            tls=_tls(dict(parse_qsl(query, keep_blank_values=True)), given.get("ssl")),
        )


def _server(written: str) -> tuple[str, int]:
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]/\s]*)(?::(\d{1,5}))?", written.strip())
    if found is None or int(found[2] or PORT) not in range(1, 65536):
        raise unreadable(_FORM)
    return unquote(found[1]).strip("[]") or "localhost", int(found[2] or PORT)


def _chroot(path: str) -> str:
    parts = path.rstrip("/").split("/")
    if parts == [""]:
        return ""
    if any(part in ("", ".", "..") or not part.isprintable() for part in parts):
        raise LockConfigurationError(
            "the path in the URL of the lock store is no path of ZooKeeper: write names with"
            " single slashes between them, such as zookeeper://host:2181/shop/locks"
        )
    return "/" + "/".join(parts)


def _tls(query: dict[str, str], asked: Any) -> dict[str, Any] | None:
    for name in (*query, *(asked if isinstance(asked, Mapping) else ())):
        if name not in _TLS:
            raise LockConfigurationError(
                f"the lock store has no option {name!r} for ZooKeeper{did_you_mean(name, _TLS)};"
                f" its URL and its ssl dictionary may have {', '.join(_TLS)}"
            )
    options = tls_options("", query, asked)
    if options is None:
        return None
    if options["ssl_cert_reqs"] == ssl.CERT_OPTIONAL:
        raise LockConfigurationError(
            "ssl_cert_reqs=optional is not known for ZooKeeper; write required or none"
        )
    named = {_TLS[name]: value for name, value in options.items()}
    return {**named, "verify_certs": options["ssl_cert_reqs"] == ssl.CERT_REQUIRED}
