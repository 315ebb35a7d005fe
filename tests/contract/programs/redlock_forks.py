"""A Redlock is used before and after a fork: `redlock_forks.py URL`; it prints `well`."""

import os
import sys

from celery_lock.model import Claim, Lease, Outcome
from celery_lock.stores.redlock import RedlockStore
from tests.unit.forking import holds_in_a_child

store = RedlockStore(sys.argv[1], options={"longest_ttl": 0.05}, deadline=20.0)


def claim(key: str, nonce: str) -> Claim:
    return Claim(key, f"task#node#{os.getpid()}#{nonce}", 30.0)


def cycles(name: str) -> bool:
    for number in range(20):
        lease = store.acquire(claim(f"{name}:{number}", f"{number:x}"))
        assert isinstance(lease, Lease), lease
        assert store.release(lease)
    return True


mine = store.acquire(claim("parents", "0a"))
assert isinstance(mine, Lease)
for number in range(3):
    assert holds_in_a_child(
        lambda number=number: store.peek("parents") is not None and cycles(f"c{number}")
    )
assert cycles("parent")
assert store.renew([(mine, 30.0)]) == [Outcome.RENEWED]
assert store.release(mine)
print("well")
