"""Where an ensemble is and how to log in: read from a URL and options, and never printed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from ...errors import LockConfigurationError, did_you_mean
from ..link.urls import refuse_unknown, unreadable
from ..redacted import redacted

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
_YES, _NO = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


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
        userinfo, _, servers = place.rpartition("@")
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
            shown=redacted(url),
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
    options: dict[str, Any] = dict(query)
    if isinstance(asked, Mapping):
        options = {**asked, **options}
    for name in options:
        if name not in _TLS:
            raise LockConfigurationError(
                f"the lock store has no option {name!r} for ZooKeeper{did_you_mean(name, _TLS)};"
                f" its URL and its ssl dictionary may have {', '.join(_TLS)}"
            )
    if not options and not asked:
        return None
    verified = _verified(options.get("ssl_cert_reqs", "required"))
    named = {_TLS[name]: value for name, value in options.items()}
    named["verify_certs"] = verified
    named["check_hostname"] = verified and _boolean(
        "ssl_check_hostname", options.get("ssl_check_hostname", True)
    )
    return named


def _verified(value: Any) -> bool:
    word = str(getattr(value, "name", value)).lower().removeprefix("cert_")
    if word not in ("required", "none"):
        raise LockConfigurationError(
            f"ssl_cert_reqs={value!r} is not known for ZooKeeper; write required or none"
        )
    return word == "required"


def _boolean(name: str, value: Any) -> bool:
    word = str(value).lower()
    if word not in _YES | _NO:
        raise LockConfigurationError(f"{name}={value!r} is not known; write true or false")
    return word in _YES
