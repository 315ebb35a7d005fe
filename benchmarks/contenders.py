"""Who takes a key and gives it back: our store and engine, and other libraries' locks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any
from uuid import uuid4

import redis_lock
from celery_once.backends.redis import Redis as OnceBackend
from celery_singleton.backends.redis import RedisBackend as SingletonBackend

from celery_lock.engine.locker import Ask, Grant, Locker
from celery_lock.events import Observers, Subject
from celery_lock.events.log_lines import log_lines
from celery_lock.metrics import counters
from celery_lock.model import Claim, End, Lease
from celery_lock.signals import signal_observer
from celery_lock.stores import open_store

from . import names
from .server import Server

__all__ = ["Taker", "remembering", "takers"]

TTL = 30
"""Seconds, for all of them."""

Taker = Callable[[str], Callable[[], object]]
"""Takes a key, and returns what gives it back."""


def takers(server: Server) -> dict[str, Taker]:
    """Return every library's way to take a key of `server` and to give it back."""
    client = server.client()
    once = OnceBackend({"url": server.url})
    once._redis = client  # its own is one for all the servers of a process
    singleton = SingletonBackend(server.url)
    subject = Subject("bench", "id", "bench:{n}")
    store = open_store(server.url)
    locker = Locker(
        open_store(server.url), observers=Observers(log_lines, counters, signal_observer())
    )

    def by_store(key: str) -> Callable[[], object]:
        lease = store.acquire(_claim(key))
        assert isinstance(lease, Lease)
        return lambda: store.release(lease)

    def by_locker(key: str) -> Callable[[], object]:
        grant = locker.claim(Ask(_claim(key), subject))
        assert isinstance(grant, Grant)
        return lambda: locker.release(grant)

    def by_permit(key: str) -> Callable[[], object]:
        grant = locker.claim(Ask(_claim(key, limit=10), subject))
        assert isinstance(grant, Grant)
        return lambda: locker.release(grant)

    def by_two(key: str) -> Callable[[], object]:
        first = _claim(key)
        claims = [first, replace(first, key=f"{key}:too")]
        grants = locker.claim_all([Ask(claim, subject) for claim in claims])
        assert isinstance(grants, list)
        return lambda: locker.release_all([(grant, None) for grant in grants])

    def by_redis_py(key: str) -> Callable[[], object]:
        lock = client.lock(key, timeout=TTL)
        assert lock.acquire()
        return lambda: lock.release()

    def by_other(key: str) -> Callable[[], object]:
        lock: Any = redis_lock.Lock(client, key, expire=TTL)
        assert lock.acquire()
        return lambda: lock.release()

    def by_once(key: str) -> Callable[[], object]:
        once.raise_or_lock(key, timeout=TTL)
        return lambda: once.clear_lock(key)

    def by_singleton(key: str) -> Callable[[], object]:
        assert singleton.lock(key, str(uuid4()), expiry=TTL)
        return lambda: singleton.unlock(key)

    return {
        names.STORE: by_store,
        names.ENGINE: by_locker,
        names.PERMITS: by_permit,
        names.TWO_LOCKS: by_two,
        names.REDIS_PY_LOCK: by_redis_py,
        names.PYTHON_REDIS_LOCK: by_other,
        names.ONCE_BACKEND: by_once,
        names.SINGLETON_BACKEND: by_singleton,
    }


def remembering(server: Server) -> Taker:
    """Return how our store is given back by a task of which a copy may be on its way."""
    store = open_store(server.url)

    def take(key: str) -> Callable[[], object]:
        claim = _claim(key)
        lease = store.acquire(claim)
        assert isinstance(lease, Lease)
        return lambda: store.release(lease, End(publication=claim.publication, remember=4_000))

    return take


_NUMBERS: Iterator[int] = count()


def _claim(key: str, limit: int = 1) -> Claim:
    """Return a claim as a worker makes it, but for the time that a new uuid takes."""
    holder = f"6f2d5c1e-7a34-4b51-9d0e-{next(_NUMBERS):012x}#celery@worker-1#4711#0123456789abcdef"
    publication = "b7e9a8c2-3d14-4f6a-8e5b-9c0d1e2f3a4b"
    return Claim(key, holder, float(TTL), publication=publication, limit=limit)
