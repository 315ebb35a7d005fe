"""Another process on ZooKeeper: `zookeeper_client.py URL leave` takes 50 keys and is killed."""

import os
import signal
import sys

from celery_lock.stores.zookeeper import ZooKeeperStore
from tests.contract.conftest import claim_of

url, part = sys.argv[1:]
store = ZooKeeperStore(url, deadline=20.0)
assert part == "leave"
store.GRACE = 0.0  # type: ignore[misc]  # what it leaves is over at once
for number in range(50):
    store.acquire(claim_of(f"left:{number}", ttl=0.001))
os.kill(os.getpid(), signal.SIGKILL)
