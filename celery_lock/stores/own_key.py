"""A key of a checkup's own, which is taken, renewed, seen and given back on any store."""

from __future__ import annotations

from uuid import uuid4

from ..errors import StoreError
from ..model import Claim, Lease, LockStore, Outcome

__all__ = ["LIFE", "try_own_key"]

LIFE = 5.0
"""Seconds that the lease of a checkup lives if nobody gives it back."""


def try_own_key(store: LockStore, doubt: str, *, ttl: float = LIFE, watching: bool = False) -> str:
    """Take, renew, see and give back a key, and return it: what is forbidden shows now.

    Raises `StoreError` where the store contradicts itself; `doubt` is what its owner is asked then.
    `watching`: the key may be watched after that.
    """
    key = f"celery-lock check {uuid4().hex}"
    first, second = Claim(key, f"{key} 1", ttl), Claim(key, f"{key} 2", ttl, watching=watching)
    lease = store.acquire(first)
    held = store.acquire(second)
    store.undo(second)
    if (
        not isinstance(lease, Lease)
        or isinstance(held, Lease)
        or store.renew([(lease, ttl)]) != [Outcome.RENEWED]
        or not store.release(lease)
        or store.peek(key) is not None
    ):
        raise StoreError(f"{store.url} does not keep what is written to it: {doubt}")
    return key
