"""A hundred greenlets share one store: `zookeeper_greenlets.py URL`; status 0 if all is well."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402

import gevent  # noqa: E402
import pytest  # noqa: E402

from celery_lock.errors import StoreUnavailable  # noqa: E402
from celery_lock.model import Lease  # noqa: E402
from celery_lock.stores.zookeeper import ZooKeeperStore  # noqa: E402
from tests.contract.conftest import claim_of  # noqa: E402

store = ZooKeeperStore(sys.argv[1], deadline=20.0)
inside: dict[str, int] = {}
done: list[str] = []
ticks = 0


def work(number: int) -> None:
    key = f"shared:{number % 20}"
    claim = claim_of(key, watching=True)
    while not isinstance(lease := store.acquire(claim), Lease):
        store.watch(key, 5.0)
    inside[key] = inside.get(key, 0) + 1
    assert inside[key] == 1, "two holders"
    gevent.sleep(0.001)
    inside[key] -= 1
    assert store.release(lease)
    done.append(claim.holder)


def tick() -> None:
    global ticks
    while True:
        gevent.sleep(0.005)
        ticks += 1


ticking = gevent.spawn(tick)
with gevent.Timeout(60):
    gevent.joinall([gevent.spawn(work, number) for number in range(100)], raise_error=True)
assert len(set(done)) == 100
assert ticks > 5, "somebody has blocked the loop"
client = store._own.value.registers.link._client
assert client.handler.name == "sequential_gevent_handler", client.handler.name

# a greenlet that is killed in a call leaves the others alone
slow = gevent.spawn(store.watch, "shared:0", 10.0)
store.acquire(claim_of("shared:0"))
waiting = gevent.spawn(store.watch, "shared:0", 10.0)
gevent.sleep(0.05)
waiting.kill()
assert store.peek("shared:0") is not None

# a server that is not there is given up in time, and the loop goes on
before, gone = ticks, ZooKeeperStore("zookeeper://127.0.0.1:1/x", deadline=1.0)
with pytest.raises(StoreUnavailable):
    gone.peek("x")
gone.close()
store.close()
print("well")
