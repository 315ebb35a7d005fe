"""Stores by URL: which ones are known, and how one is opened.

Built in are `memory://`, and `redis://`, `rediss://`, `unix://`, `redis+socket://` for Redis and
Valkey. A package adds one under the entry-point group `celery_lock.stores`: the name is the
scheme, the value a function with the arguments of `open_store`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

from ..errors import LockConfigurationError, did_you_mean
from ..model import LockStore
from .choose import choose_store

__all__ = ["GROUP", "StoreFactory", "choose_store", "open_store", "scheme_is_known"]

GROUP = "celery_lock.stores"
"""Where other packages enter their stores."""


class StoreFactory(Protocol):
    """What an entry point names. It opens no connection yet."""

    def __call__(
        self, url: str, *, options: Mapping[str, Any], deadline: float, prefix: str
    ) -> LockStore:
        """Return the store at `url`; raise `LockConfigurationError` if that makes no sense."""
        ...


def open_store(
    url: str,
    *,
    options: Mapping[str, Any] | None = None,
    deadline: float = 2.0,
    prefix: str = "celery-lock:",
) -> LockStore:
    """Return the store at `url`. Connects at its first call, not before.

    Args:
        url: `memory://`, `redis://host:6379/0`, `rediss://`, `unix:///run/redis.sock`, or a
            scheme that another package has added.
        options: for the store's driver; which ones, the store says. For Redis: `username`,
            `password`, `credential_provider`, `client_name`, and `ssl`, a dictionary such as
            Celery's `broker_use_ssl`.
        deadline: seconds that one call may take. Longer blocks a worker for longer when the store
            hangs; shorter gives up on a slow one.
        prefix: what all keys begin with. Stores with different prefixes do not see each other.

    Raises `LockConfigurationError` for an unknown scheme, a wrong option or a missing driver.
    """
    scheme = _scheme(url)
    if scheme == "memory":
        return _open_memory(url, options=options or {}, deadline=deadline, prefix=prefix)
    if scheme in _REDIS:
        return _open_redis(url, options=options or {}, deadline=deadline, prefix=prefix)
    factory: StoreFactory = _entered(scheme).load()
    return factory(url, options=options or {}, deadline=deadline, prefix=prefix)


def scheme_is_known(url: str) -> None:
    """Raise `LockConfigurationError` if no store knows the URL. Imports no driver."""
    scheme = _scheme(url)
    if scheme not in _BUILT_IN:
        _entered(scheme)


_REDIS = ("redis", "rediss", "unix", "redis+socket")
_BUILT_IN = ("memory", *_REDIS)


def _scheme(url: str) -> str:
    scheme, found, rest = url.partition("://")
    if not found:
        raise LockConfigurationError(
            "lock_store is no URL (not shown: it may hold a password); write one such as"
            " 'redis://localhost:6379/0'"
        )
    if ";" in rest and "://" in rest:
        raise LockConfigurationError(
            "a lock has to be kept by one server, and lock_store lists several: set it to the URL"
            " of a single Redis, such as 'redis://localhost:6379/0'"
        )
    return scheme.lower()


def _entered(scheme: str) -> EntryPoint:
    others = {entry.name: entry for entry in entry_points(group=GROUP)}
    if scheme not in others:
        known = (*_BUILT_IN, *sorted(others))
        hint = " (Valkey: redis://)" if scheme == "valkey" else did_you_mean(scheme, known)
        raise LockConfigurationError(
            f"no store knows '{scheme}://'{hint}: known are"
            f" {', '.join(known)}; a package can add one under the entry-point group {GROUP}"
        )
    return others[scheme]


def _open_memory(url: str, **keywords: Any) -> LockStore:
    from .memory import open_memory

    return open_memory(url, **keywords)


def _open_redis(url: str, **keywords: Any) -> LockStore:
    try:
        from .redis import RedisStore
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "redis":
            raise
        raise LockConfigurationError(
            "a lock on Redis or Valkey needs the package redis, which is not installed:"
            ' pip install "celery-lock[redis]"'
        ) from error
    return RedisStore(url, **keywords)
