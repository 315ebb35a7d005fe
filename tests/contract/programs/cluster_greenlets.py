"""Greenlets share a store: `cluster_greenlets.py URL`; exit status 0 if all is well."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402

import gevent  # noqa: E402

from celery_lock.model import Lease, Outcome  # noqa: E402
from celery_lock.stores.redis.cluster import ClusterStore  # noqa: E402
from tests.contract.conftest import claim_of  # noqa: E402

store = ClusterStore(sys.argv[1] + "?client_name=greenlets", deadline=20.0)
inside: dict[str, int] = {}
done: list[str] = []
beats: list[int] = []


def work(number: int) -> None:
    key = f"shared:{number % 10}"
    claim = claim_of(key, watching=True)
    while not isinstance(lease := store.acquire(claim), Lease):
        store.watch(key, 5.0)
    inside[key] = inside.get(key, 0) + 1
    assert inside[key] == 1, "two holders"
    assert store.renew([(lease, 30.0)]) == [Outcome.RENEWED]
    inside[key] -= 1
    assert store.release(lease)
    done.append(claim.holder)


def renew() -> None:
    leases = [store.acquire(claim_of(f"mine:{number}")) for number in range(100)]
    asked = [(lease, 30.0) for lease in leases if isinstance(lease, Lease)]
    for _ in range(5):
        assert store.renew(asked) == [Outcome.RENEWED] * 100


def beat() -> None:
    """Others run while somebody waits for nodes."""
    while len(done) < 60:
        beats.append(1)
        gevent.sleep(0.001)


with gevent.Timeout(60):
    pulse = gevent.spawn(beat)
    workers = [gevent.spawn(work, number) for number in range(60)]
    gevent.joinall([*workers, gevent.spawn(renew)], raise_error=True)
    pulse.get()
assert len(set(done)) == 60
assert len(beats) > 10, beats
for server in store._server.servers():
    reply = server.say("CLIENT", "LIST")
    names = bytes(reply).count(b"name=greenlets") if isinstance(reply, bytes) else 0
    assert names <= 10, f"{names} connections"
print("well")
