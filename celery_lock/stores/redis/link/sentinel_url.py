"""Which sentinels are asked for which service: read from a URL and options, and checked.

`sentinel://h1:26379,h2:26379/service`, or Celery's `sentinel://h1:26379/0;sentinel://h2:26379/0`
with the options `master_name` and `sentinel_kwargs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

from ....errors import LockConfigurationError, did_you_mean
from ...link.tls import TLS_OPTIONS
from ...link.urls import refuse_unknown
from .address import CARE_OPTIONS, OPTIONS, WITHOUT_EFFECT, Address
from .several_hosts import SeveralHosts

__all__ = ["SENTINEL_OPTIONS", "SentinelUrl"]

SENTINEL_OPTIONS = ("master_name", "sentinel_kwargs", "min_other_sentinels")
"""What `lock_store_options` may say besides, in Celery's words."""

_OF_SENTINELS = ("username", "password", "credential_provider", "ssl", *TLS_OPTIONS)
"""What `sentinel_kwargs` may say. `ssl` is True with the others beside it, as redis-py has it, or
a dictionary of them."""
_WITHOUT_EFFECT = (
    *WITHOUT_EFFECT,
    "client_name",
    "db",
    "driver_info",
    "lib_name",
    "lib_version",
    "retry",
    "single_connection_client",
)
_OCSP = tuple(name for name in TLS_OPTIONS if "ocsp" in name)


@dataclass(frozen=True)
class SentinelUrl:
    """Who is asked, and how the server is reached that they name."""

    shown: str
    service: str
    sentinels: tuple[Address, ...]
    server: Address = field(repr=False)
    """The server's database, login and TLS; where it is, the sentinels say."""
    others: int = 0
    """How many other sentinels one must know of, to be believed."""

    @classmethod
    def parse(cls, url: str, options: Mapping[str, Any]) -> SentinelUrl:
        """Raise `LockConfigurationError` for what makes no sense, without repeating the URL."""
        said = SeveralHosts.parse(url, 26379)
        query = dict(parse_qsl(said.query, keep_blank_values=True))
        given = {name: value for name, value in options.items() if name in SENTINEL_OPTIONS}
        rest = {name: value for name, value in options.items() if name not in given}
        refuse_unknown(rest, OPTIONS, "Sentinel", besides=(*SENTINEL_OPTIONS, *CARE_OPTIONS))
        service, db = _service(said.path, query.pop("master_name", given.get("master_name")))
        others = _number(query.pop("min_other_sentinels", given.get("min_other_sentinels") or 0))
        asked = _kwargs(given.get("sentinel_kwargs"))
        asked.update({name[9:]: query.pop(name) for name in list(query) if name[:9] == "sentinel_"})
        login = f"{said.login}@" if said.login else ""
        server = Address.parse(f"redis://{login}primary/{db}?{urlencode(query)}", rest)
        shown = f"sentinel://{said.shown}/{service}" + (f"/{server.db}" if server.db else "")
        login_and_tls = _login_and_tls(asked)
        sentinels = tuple(
            replace(Address.parse(f"redis://{one}", login_and_tls), shown=one)
            for one in said.shown.split(",")
        )
        return cls(shown, service, sentinels, server, others)


def _service(path: str, named: Any) -> tuple[str, str]:
    """Return the name of the service, and the database as text."""
    first, _, second = path.strip("/").partition("/")
    first = unquote(first)
    if named is None and first and not first.isdigit():
        return first, second
    if named is None or not isinstance(named, str) or not named:
        raise LockConfigurationError(
            "the URL of the lock store does not say which service the sentinels are asked for:"
            " write sentinel://host:26379,host:26379/mymaster, or set master_name in the transport"
            " options of Celery, or in lock_store_options"
        )
    if first == named:
        return named, second
    if first and not first.isdigit():
        raise LockConfigurationError(
            f"the URL of the lock store names the service {first!r}, and master_name says"
            f" {named!r}: leave one of them out"
        )
    return named, first


def _number(said: Any) -> int:
    if str(said).isdigit():
        return int(said)
    raise LockConfigurationError(f"min_other_sentinels={said!r} is no number of sentinels")


def _kwargs(given: Any) -> dict[str, Any]:
    if given is None or isinstance(given, Mapping):
        return dict(given or {})
    raise LockConfigurationError(
        f"sentinel_kwargs is of type {type(given).__name__} (not shown: it may hold a password);"
        " write a dictionary, such as {'password': ..., 'ssl': True}"
    )


def _login_and_tls(asked: dict[str, Any]) -> dict[str, Any]:
    """Return what `sentinel_kwargs` say as the options of an address."""
    options: dict[str, Any] = {}
    tls: dict[str, Any] = {}
    for name, value in asked.items():
        if name in _WITHOUT_EFFECT:
            continue
        if name not in _OF_SENTINELS:
            raise LockConfigurationError(
                f"sentinel_kwargs has no {name!r}{did_you_mean(name, _OF_SENTINELS)};"
                f" it has {', '.join(_OF_SENTINELS)}"
            )
        if name in _OCSP:
            raise LockConfigurationError(
                f"sentinel_kwargs has {name}, which is looked at for the servers alone"
            )
        if name in TLS_OPTIONS:
            tls[name] = value
        elif name == "ssl" and isinstance(value, Mapping):
            tls.update(value)
        else:
            options[name] = value
    wanted = str(options.pop("ssl", bool(tls))).lower() in ("true", "1", "yes", "on")
    if wanted:
        options["ssl"] = tls or True
    return options
