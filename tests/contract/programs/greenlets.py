"""Two hundred greenlets share one store: `greenlets.py URL`; exit status 0 if all is well."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402

import gevent  # noqa: E402

from celery_lock.model import Lease  # noqa: E402
from celery_lock.stores.redis import RedisStore  # noqa: E402
from tests.contract.conftest import claim_of  # noqa: E402

store = RedisStore(sys.argv[1] + "?client_name=greenlets", deadline=20.0)
inside: dict[str, int] = {}
done: list[str] = []


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


with gevent.Timeout(60):
    gevent.joinall([gevent.spawn(work, number) for number in range(200)], raise_error=True)
assert len(set(done)) == 200
names = bytes(store._server.say("CLIENT", "LIST")).count(b"name=greenlets")
assert names <= 10, f"{names} connections"
print("well")
