"""Which server keeps the locks, when nobody has said: the broker's or the result backend's.

Celery's own settings for it are used: TLS, user, password, credential provider, client name. Its
time-outs, pool sizes and key prefixes are not: a lock has a deadline, ten connections and a
prefix of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import LockConfigurationError
from .redacted import redacted

__all__ = ["choose_store"]

_REDIS = ("redis", "rediss", "unix", "redis+socket")
_NAMES = ("django-db", "django-cache")
"""Result backends that are set by name, and that no word of a password would look like."""
_INHERITED = ("username", "password", "credential_provider", "client_name", "ssl")
"""Transport options that are meant for a connection, whoever opens it."""
_OF_SENTINELS = ("master_name", "sentinel_kwargs", "min_other_sentinels")
"""Transport options that say whom the sentinels are asked for, and how."""


def choose_store(
    conf: Mapping[str, Any], lock_store: str | None = None
) -> tuple[str, dict[str, Any]]:
    """Return the URL of the store, and the options to open it with.

    `lock_store` if it is given, without options: it stands for itself. Else the broker, else the
    result backend, if it is one Redis, or one that sentinels watch. Raises
    `LockConfigurationError` if neither is.
    """
    if lock_store is not None:
        return lock_store, {}
    broker = _servers(_of_broker(conf))
    url = _one_redis(broker)
    if url:
        return url, dict(_broker_options(conf, url))
    if len(broker) > 1 and any(_scheme(server) in (*_REDIS, "sentinel") for server in broker):
        raise LockConfigurationError(
            f"the broker URL lists several servers ({_listed(broker)}), and a lock has to be kept"
            " by one: set lock_store to the URL of a single Redis, or of the sentinels of one"
        )
    backend = _servers(_setting(conf, "result_backend"))
    if backend == ["redis"]:  # by name alone, with redis_host and so on
        host, port = conf.get("redis_host") or "localhost", conf.get("redis_port") or 6379
        backend = [f"redis://{host}:{port}/{conf.get('redis_db') or 0}"]
    url = _one_redis(backend)
    if url:
        return url, dict(_backend_options(conf, url))
    raise LockConfigurationError(_no_store(conf, broker, backend))


def _no_store(conf: Mapping[str, Any], broker: list[str], backend: list[str]) -> str:
    name, schemes = _written(conf, "lock_store"), {_scheme(url) for url in [*broker, *backend]}
    said = (
        f"there is no store for locks: {name} is not set, and neither the broker"
        f" ({_listed(broker)}) nor the result backend ({_listed(backend)}) is one Redis; set"
        f" {name}, for example to 'redis://localhost:6379/0', or to 'memory://' in a test"
        " whose worker runs in the test's own process"
    )
    if "memory" in schemes:
        said += (
            f"; with celery.contrib.pytest, the fixture celery_config has to return {{{name!r}:"
            " 'memory://'}"
        )
    return said


def _one_redis(servers: list[str]) -> str:
    """Return the URL of the one Redis that keeps what is written there; empty: there is none."""
    schemes = {_scheme(server) for server in servers}
    if "sentinel" in schemes and schemes <= {"sentinel", ""}:
        return ";".join(servers)
    return servers[0] if len(servers) == 1 and schemes <= {*_REDIS} else ""


def _written(conf: Mapping[str, Any], name: str) -> str:
    """Return the name of a setting as this app writes it: `CELERY_LOCK_STORE` in Django."""
    namespace = getattr(conf, "prefix", None) or ""
    return f"{namespace}{name}".upper() if namespace.isupper() else f"{namespace}{name}"


def _setting(conf: Mapping[str, Any], name: str) -> Any:
    """Return a setting; the attribute of Celery's conf also looks into the environment."""
    return getattr(conf, name, None) or conf.get(name)


def _of_broker(conf: Mapping[str, Any]) -> Any:
    return _setting(conf, "broker_write_url") or _setting(conf, "broker_url")


def _servers(value: Any) -> list[str]:
    """Return the URLs in a setting that may list several, as a sequence or with semicolons."""
    if isinstance(value, str):
        return [server for server in value.split(";") if server]
    if isinstance(value, Sequence):
        return [server for part in value for server in _servers(part)]
    return []


def _scheme(url: str) -> str:
    scheme, found, _ = url.partition("://")
    return scheme.lower() if found else ""


def _listed(urls: list[str]) -> str:
    return ", ".join(url if url in _NAMES else redacted(url) for url in urls) or "none"


def _broker_options(conf: Mapping[str, Any], url: str) -> Iterator[tuple[str, Any]]:
    yield from _transport_options(conf.get("broker_transport_options"), url)
    yield from _tls(conf.get("broker_use_ssl"))


def _backend_options(conf: Mapping[str, Any], url: str) -> Iterator[tuple[str, Any]]:
    for setting, name in (
        ("redis_username", "username"),
        ("redis_password", "password"),
        ("redis_client_name", "client_name"),
        ("redis_backend_credential_provider", "credential_provider"),
    ):
        if conf.get(setting):
            yield name, conf.get(setting)
    yield from _transport_options(conf.get("result_backend_transport_options"), url)
    yield from _tls(conf.get("redis_backend_use_ssl"))


def _transport_options(options: Any, url: str) -> Iterator[tuple[str, Any]]:
    names = (*_INHERITED, *_OF_SENTINELS) if _scheme(url) == "sentinel" else _INHERITED
    if isinstance(options, Mapping):
        for name in names:
            if options.get(name):
                yield name, options[name]


def _tls(use_ssl: Any) -> Iterator[tuple[str, Any]]:
    # True alone says nothing to Celery's Redis transport, which goes by the scheme then
    if isinstance(use_ssl, Mapping) and use_ssl:
        yield "ssl", dict(use_ssl)
