"""Greenlets share a store: `cluster_greenlets.py URL`; exit status 0 if all is well."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402

import gevent  # noqa: E402

from celery_lock.model import Lease, Outcome  # noqa: E402
from celery_lock.stores.redis.cluster import ClusterStore  # noqa: E402
from tests.contract.conftest import claim_of  # noqa: E402
from tests.contract.programs.contending import contend, others_run  # noqa: E402

store = ClusterStore(sys.argv[1] + "?client_name=greenlets", deadline=20.0)


def renew_one(lease: Lease) -> None:
    assert store.renew([(lease, 30.0)]) == [Outcome.RENEWED]


def renew_many() -> None:
    leases = [store.acquire(claim_of(f"mine:{number}")) for number in range(100)]
    asked = [(lease, 30.0) for lease in leases if isinstance(lease, Lease)]
    for _ in range(5):
        assert store.renew(asked) == [Outcome.RENEWED] * 100


with others_run(10, every=0.0):
    renewing = gevent.spawn(renew_many)
    contend(store, 60, keys=10, inside=renew_one)
with gevent.Timeout(60):
    renewing.get()
for server in store._server.servers():
    reply = server.say("CLIENT", "LIST")
    names = bytes(reply).count(b"name=greenlets") if isinstance(reply, bytes) else 0
    assert names <= 10, f"{names} connections"
print("well")
