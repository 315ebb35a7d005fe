"""A hundred greenlets share one Redlock: `redlock_greenlets.py URL`; it prints `well`."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402

import gevent  # noqa: E402

from celery_lock.model import Lease  # noqa: E402
from celery_lock.stores.redlock import RedlockStore  # noqa: E402
from tests.contract.conftest import claim_of  # noqa: E402
from tests.contract.programs.contending import contend, others_run  # noqa: E402

store = RedlockStore(sys.argv[1], options={"longest_ttl": 0.05}, deadline=20.0)


def try_until_granted(key: str) -> Lease:
    """No node tells of a key that was released: each try is a claim of its own."""
    while not isinstance(lease := store.acquire(claim_of(key)), Lease):
        gevent.sleep(0.01)
    return lease


with others_run(20, every=0.0):
    contend(store, 100, keys=20, enter=try_until_granted)
print("well")
