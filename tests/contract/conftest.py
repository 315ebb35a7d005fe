"""What the tests of the Redis store share: opening one that is closed with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from typing import Any

import pytest

from celery_lock.model import Claim
from celery_lock.stores.redis import RedisStore

OpenStore = Callable[..., RedisStore]

_numbers = count(1)


@pytest.fixture
def open_redis() -> Iterator[OpenStore]:
    """`open_redis(url, deadline=0.5)`: a store that is closed with the test.

    `settles=0.05`: the seconds after which its scripts forget an undone claim or a free place. A
    store as it is forgets them after its deadline, and no call may fail here for being that slow.
    """
    with ExitStack() as stack:

        def open_one(url: str, settles: float | None = None, **options: Any) -> RedisStore:
            store = RedisStore(url, **options)
            if settles is not None:
                store._settle = round(settles * 1e6)
            stack.callback(store.close)
            return store

        yield open_one


def claim_of(key: str | None = None, ttl: float = 30.0, **options: Any) -> Claim:
    """A claim by a new holder; for a new key, unless one is named."""
    number = next(_numbers)
    options.setdefault("holder", f"task-{number}#node@host#4711#{number:08x}")
    return Claim(key or f"key-{number}", ttl=ttl, **options)
