"""Where a server is and how to log in: read from a URL and options, checked, and never printed."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ....errors import LockConfigurationError, did_you_mean
from ...link.tls import TLS_OPTIONS, tls_options
from ...link.urls import pieces_of, refuse_unknown, unreadable, written

__all__ = ["CARE_OPTIONS", "OPTIONS", "WITHOUT_EFFECT", "Address"]

OPTIONS = ("username", "password", "credential_provider", "client_name", "ssl")
"""What `lock_store_options` may say; a URL's own user, password and query say it louder."""

CARE_OPTIONS = ("replicas", "restart_guard", "longest_ttl")
"""What they may say besides, of whichever servers: the store has taken these out."""

WITHOUT_EFFECT = (
    "decode_responses",
    "encoding",
    "encoding_errors",
    "health_check_interval",
    "legacy_responses",
    "max_connections",
    "protocol",
    "retry_on_error",
    "retry_on_timeout",
    "socket_connect_timeout",
    "socket_keepalive",
    "socket_keepalive_options",
    "socket_read_size",
    "socket_timeout",
    "timeout",
)
"""What a URL may say that is shared with Celery, and that does nothing here: each call has its
own deadline (`lock_store_deadline`), ten connections are the most, and a dead one is replaced."""

_NO_HOST = frozenset(" ,;")
"""What stands between the servers of a list, where one is meant."""

_FORM = "write redis://:password@host:6379/0"


@dataclass(frozen=True)
class Address:
    """One server, one database, one user."""

    shown: str
    """The URL without user, password and query: for messages and logs."""
    host: str = "localhost"
    port: int = 6379
    path: str | None = None
    """The socket file, instead of host and port."""
    db: int = 0
    client_name: str | None = None
    """Shown by CLIENT LIST; setting it needs a permission, so there is none by default."""
    user: str = "default"
    """Who logs in, for messages; the server's own name for nobody in particular is `default`."""
    login: tuple[str, ...] = field(default=(), repr=False)
    """The arguments of AUTH; empty: no login."""
    credential_provider: Any = field(default=None, repr=False)
    """An object of redis-py's interface, asked at each new connection instead of `login`."""
    tls: Mapping[str, Any] | None = field(default=None, repr=False)
    """Options for redis-py's TLS connection; `None`: plain."""

    @classmethod
    def parse(cls, url: str, options: Mapping[str, Any] | None = None) -> Address:
        """Read `redis://`, `rediss://`, `unix://` or Celery's `redis+socket://`.

        Raises `LockConfigurationError`, and says what is wrong without repeating the URL.
        """
        given = dict(options or {})
        refuse_unknown(given, OPTIONS, "Redis", besides=CARE_OPTIONS)
        try:
            _refuse_several(pieces_of(url))
            parts = urlsplit(url)
            host, port = unquote(parts.hostname or "localhost"), parts.port or 6379
        except ValueError:
            raise unreadable(_FORM) from None  # its text has a piece of the password
        if "#" in url or set(host) & _NO_HOST:
            raise unreadable(_FORM)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        tls = tls_options(parts.scheme, query, given.get("ssl"))
        path = unquote(parts.path) if parts.scheme in ("unix", "redis+socket") else None
        for name in ("username", "password", "credential_provider", "client_name"):
            if name in query:
                given[name] = query.pop(name)
        login = _login(parts.netloc.rpartition("@")[0], given)
        number = query.pop("db", None) or query.pop("virtual_host", None)
        db = _database(number or (parts.path if path is None else ""))
        for name in query:
            if name not in WITHOUT_EFFECT:
                if "@" in unquote(parts.query):  # it begins in a password
                    raise unreadable(_FORM)
                known = (*OPTIONS[:-1], "db", "virtual_host", *TLS_OPTIONS)
                raise LockConfigurationError(
                    f"the URL of the lock store has an unknown option"
                    f" {name!r}{did_you_mean(name, known)}; it may have {', '.join(known)}"
                )
        if path is None:
            scheme = "redis" if tls is None else "rediss"
            shown = f"{scheme}://{written(host, port)}/{db}"
        elif not hasattr(socket, "AF_UNIX"):
            raise LockConfigurationError("this system has no socket files: use redis://")
        elif not path:
            raise LockConfigurationError(
                "the URL of the lock store has no path: write unix:///run/redis.sock?db=0"
            )
        elif tls is not None:
            raise LockConfigurationError("a socket file has no TLS: leave the ssl options out")
        else:
            shown = f"unix://{path}" + (f"?db={db}" if db else "")
        return cls(
            shown=shown,
            host=host,
            port=port,
            path=path,
            db=db,
            client_name=given.get("client_name"),
            user=login[0] if len(login) == 2 else "default",
            login=login,
            credential_provider=_imported(given.get("credential_provider")),
            tls=tls,
        )


def _refuse_several(parts: SplitResult) -> None:
    # an '@' further on: the comma may stand in a password that has a '/' or a '?' as well
    if "," in parts.netloc.rpartition("@")[2] and "@" not in f"{parts.path}{parts.query}":
        raise LockConfigurationError(
            f"the URL of the lock store names several servers, and {parts.scheme}:// is one: the"
            " servers of a Redis Cluster are listed as redis+cluster://host:6379,host:6379,"
            " sentinels as sentinel://host:26379,host:26379/mymaster, and servers that know"
            " nothing of each other as redlock://a:6379,b:6379,c:6379/0"
        )


def _login(userinfo: str, given: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the arguments of AUTH; none where a credential provider will be asked."""
    user, colon, secret = userinfo.partition(":")
    name = unquote(user) or given.get("username")
    password = unquote(secret) if colon else given.get("password")
    if given.get("credential_provider"):
        return ()
    if password is None:
        if name:  # most likely redis://password@host, so it is not repeated
            raise LockConfigurationError(
                "the URL of the lock store has a user and no password. A password alone is"
                " written redis://:password@host, a user without one redis://user:@host"
            )
        return ()
    if not name and not password:
        return ()
    return (name, password) if name else (password,)


def _database(text: str) -> int:
    digits = text.strip("/")
    if digits and not (digits.isascii() and digits.isdigit()):
        raise LockConfigurationError(
            "the database in the URL of the lock store is no number: write redis://host:6379/0"
        )
    return int(digits or 0)


def _imported(provider: Any) -> Any:
    """Return an object with `get_credentials()`; a string names its class, as in Celery."""
    if isinstance(provider, str):
        module, _, name = provider.replace(":", ".").rpartition(".")
        try:
            provider = getattr(importlib.import_module(module), name)()
        except (ImportError, AttributeError, ValueError) as error:
            raise LockConfigurationError(
                f"credential_provider={provider!r} cannot be imported: {error}"
            ) from error
    if provider is not None and not callable(getattr(provider, "get_credentials", None)):
        raise LockConfigurationError(
            f"credential_provider of type {type(provider).__name__} has no get_credentials()"
        )
    return provider
