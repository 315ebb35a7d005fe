"""Keys of a store, as somebody on another machine takes them, and as somebody deletes them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any

from celery_lock.model import Claim, Held, Holder, Lease
from celery_lock.stores import open_store

PATIENCE = 10.0
"""Seconds that a key is waited for."""


@dataclass
class Keys:
    """Takes keys, as a task on another machine would."""

    url: str
    taken: dict[str, Lease] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = open_store(self.url)

    def take(self, key: str, *, ttl: float = 60.0, task_id: str = "somebody") -> str:
        """Take a key until it is given back, for `ttl` seconds at most; return its holder."""
        holder = str(Holder(task_id, "w1@elsewhere", 4711, uuid.uuid4().hex))
        until = monotonic() + PATIENCE
        # what a test before this one has sent may still run in the same worker
        lease = self.store.acquire(Claim(key=key, holder=holder, ttl=ttl))
        while isinstance(lease, Held) and monotonic() < until:
            sleep(0.01)
            lease = self.store.acquire(Claim(key=key, holder=holder, ttl=ttl))
        assert isinstance(lease, Lease), f"{key} is taken: {lease}"
        self.taken[key] = lease
        return holder

    def give_back(self, key: str) -> None:
        """Give a taken key back."""
        self.store.release(self.taken.pop(key))

    @contextmanager
    def held(self, key: str, **options: Any) -> Iterator[str]:
        """The key is taken while the block runs."""
        try:
            yield self.take(key, **options)
        finally:
            if key in self.taken:
                self.give_back(key)

    def holder(self, key: str) -> Held | None:
        """Who has it; `None`: it is free."""
        return self.store.peek(key)

    def close(self) -> None:
        """Give all back."""
        for key in list(self.taken):
            self.give_back(key)
        self.store.close()


def delete_keys(app: Any, pattern: str) -> None:
    """Delete keys of locks from the broker's database, as somebody may by hand."""
    with app.connection_for_write() as connection:
        client = connection.channel().client
        found = client.keys(f"celery-lock:*{pattern}*")
        assert found, f"there is no key like {pattern}"
        client.delete(*found)


@contextmanager
def keys_at(url: str) -> Iterator[Keys]:
    """Keys of a store, given back at the end."""
    keys = Keys(url)
    try:
        yield keys
    finally:
        keys.close()
