"""Forty greenlets share a store on etcd: `etcd_greenlets.py URL`; status 0 if all is well."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402

import gevent  # noqa: E402

from celery_lock.model import Lease  # noqa: E402
from celery_lock.stores.etcd import EtcdStore  # noqa: E402
from tests.contract.conftest import claim_of  # noqa: E402

store = EtcdStore(sys.argv[1], deadline=20.0)
inside: dict[str, int] = {}
done: list[str] = []


def work(number: int) -> None:
    key = f"shared:{number % 10}"
    claim = claim_of(key, watching=True)
    while not isinstance(lease := store.acquire(claim), Lease):
        store.watch(key, 5.0)
    inside[key] = inside.get(key, 0) + 1
    assert inside[key] == 1, "two holders"
    gevent.sleep(0.001)
    inside[key] -= 1
    assert store.release(lease)
    done.append(claim.holder)


with gevent.Timeout(60):
    gevent.joinall([gevent.spawn(work, number) for number in range(40)], raise_error=True)
assert len(set(done)) == 40
assert len(store._gateway._own.value.idle) <= store.CONNECTIONS
print("well")
