"""Stores by URL: which ones are known, what each promises, and how one is opened.

A package adds a store under the entry-point group `celery_lock.stores`: the name is the scheme, the
value a function with the arguments of `open_store`, marked with what its stores promise:

    @promises(*Feature)
    def open_mine(url, *, options, deadline, prefix): ...

The built-in ones are entered there too, so that whoever wants all of them finds all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, TypeVar

from ..errors import LockConfigurationError, did_you_mean
from ..model import Feature, LeaseStore, LockStore

__all__ = ["GROUP", "StoreFactory", "factories", "open_store", "promises", "stores_with"]

GROUP = "celery_lock.stores"
"""Where packages enter their stores."""

_OWN = {
    "memory": "celery_lock.stores.memory:open_memory",
    **dict.fromkeys(
        ("redis", "rediss", "unix", "redis+socket"), "celery_lock.stores.redis:open_redis [redis]"
    ),
    "redlock": "celery_lock.stores.redlock:open_redlock [redis]",
    "sentinel": "celery_lock.stores.redis.sentinel:open_sentinel [redis]",
    **dict.fromkeys(
        ("redis+cluster", "rediss+cluster"),
        "celery_lock.stores.redis.cluster:open_cluster [redis]",
    ),
    **dict.fromkeys(("etcd", "etcds"), "celery_lock.stores.etcd:open_etcd"),
    "zookeeper": "celery_lock.stores.zookeeper:open_zookeeper [zookeeper]",
}
"""The built-in stores, as `pyproject.toml` enters them: found without a search through all that is
installed, and also where an application was packed without its metadata."""


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
        url: `memory://`, `redis://host:6379/0`, `rediss://`, `unix:///run/redis.sock`,
            `sentinel://host:26379,host:26379/service`, `redis+cluster://host:6379,host:6379`,
            `redlock://a:6379,b:6379,c:6379/0`, `etcd://host:2379,host:2379`, `etcds://` over TLS,
            `zookeeper://host:2181,host:2181/path`, or a scheme that another package has added.
        options: for the store's driver; which ones, the store says. For Redis: `username`,
            `password`, `credential_provider`, `client_name`, and `ssl`, `True` or a dictionary
            such as Celery's `broker_use_ssl`; for Sentinel `master_name` and `sentinel_kwargs` too.
        deadline: seconds that one call may take. Longer blocks a worker for longer when the store
            hangs; shorter gives up on a slow one.
        prefix: what all keys begin with. Stores with different prefixes do not see each other.

    Raises `LockConfigurationError` for an unknown scheme, a wrong option or a missing driver, and
    for a store that was written for another release.
    """
    url = url.strip()  # a secret that was read from a file ends in a line break
    entry = _entered(_scheme(url))
    options = _with_texts(options or {}, "the options of the lock store")
    store = _load(entry)(url, options=options, deadline=deadline, prefix=prefix)
    lacks = [name for name in _ASKED if not hasattr(store, name)]
    if lacks:
        raise LockConfigurationError(
            f"the store {entry.name}:// ({entry.value}) has no {', '.join(lacks)}, which this"
            " release of celery_lock asks of every store: update the package that it comes from"
        )
    return store


def _with_texts(options: Mapping[str, Any], whose: str) -> dict[str, Any]:
    """Return options whose logins are texts: a password of digits is a number in many files."""
    given = dict(options)
    for name in ("username", "password"):
        value = given.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            given[name] = str(value)
        elif value is not None and not isinstance(value, str):
            raise LockConfigurationError(
                f"{name} in {whose} is of type {type(value).__name__} (not shown: it may be a"
                " password); write a text"
            )
    asked = given.get("sentinel_kwargs")
    if isinstance(asked, Mapping):
        given["sentinel_kwargs"] = _with_texts(asked, "sentinel_kwargs")
    return given


_ASKED = [name for name in vars(LeaseStore) if not name.startswith("_")]
"""What every store is asked for, whatever it promises."""


F = TypeVar("F", bound=StoreFactory)


def promises(*features: Feature) -> Callable[[F], F]:
    """Mark a factory with the features of the stores that it opens."""

    def marked(factory: F) -> F:
        factory.features = frozenset(features)  # type: ignore[attr-defined]  # a function has any
        return factory

    return marked


def factories() -> dict[str, EntryPoint]:
    """Return all entries by their scheme, the built-in ones first."""
    entries = {name: EntryPoint(name, value, GROUP) for name, value in _OWN.items()}
    for entry in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        entries.setdefault(entry.name, entry)
    return entries


def stores_with(feature: Feature) -> tuple[str, ...]:
    """Return the beginnings of the URLs of all stores that promise a feature."""
    found = []
    for scheme, entry in factories().items():
        try:
            factory: Any = entry.load()
        except Exception:  # one whose driver is missing, or that is broken: it cannot be asked
            continue
        if feature in getattr(factory, "features", ()):
            found.append(f"{scheme}://")
    return tuple(found)


def _scheme(url: str) -> str:
    scheme, found, rest = url.partition("://")
    if not found:
        raise LockConfigurationError(
            "lock_store is no URL (not shown: it may hold a password); write one such as"
            " 'redis://localhost:6379/0'"
        )
    scheme, listed = scheme.lower(), rest.partition("?")[0]
    others = {one.lower() for one in re.findall(r"(?:^|[;,])\s*([A-Za-z][\w+.-]*)://", listed)}
    if others - {"sentinel"} or (others and scheme != "sentinel"):
        raise LockConfigurationError(
            "lock_store has to be one URL, with one '://', and there are several in it: write that"
            " of a single Redis, such as 'redis://localhost:6379/0', or list the servers of one"
            " store with commas, as in 'sentinel://host:26379,host:26379/mymaster',"
            " 'redis+cluster://host:6379,host:6379', 'redlock://a:6379,b:6379,c:6379/0',"
            " 'etcd://host:2379,host:2379' or 'zookeeper://host:2181,host:2181'"
        )
    return scheme


def _entered(scheme: str) -> EntryPoint:
    if scheme in _OWN:
        return EntryPoint(scheme, _OWN[scheme], GROUP)
    known = factories()
    if scheme not in known:
        hint = " (Valkey: redis://)" if scheme == "valkey" else did_you_mean(scheme, known)
        raise LockConfigurationError(
            f"no store knows '{scheme}://'{hint}: known are"
            f" {', '.join(known)}; a package can add one under the entry-point group {GROUP}"
        )
    return known[scheme]


def _load(entry: EntryPoint) -> StoreFactory:
    try:
        factory: StoreFactory = entry.load()
    except ImportError as error:
        extra = next(iter(entry.extras), None)
        package = (error.name or "").partition(".")[0]
        if extra is None or package in ("", "celery_lock"):
            raise
        raise LockConfigurationError(
            f"the store {entry.name}:// needs the package {package}, which is not installed:"
            f' pip install "celery-lock[{extra}]"'
        ) from error
    return factory
