"""Greenlets ask sentinels: `sentinel_greenlets.py HOST:PORT`; exit status 0 if all is well."""

from gevent import monkey

monkey.patch_all()

import socket  # noqa: E402
import sys  # noqa: E402

import gevent  # noqa: E402
import pytest  # noqa: E402

from celery_lock.errors import StoreUnavailable  # noqa: E402
from celery_lock.model import Lease  # noqa: E402
from celery_lock.stores.redis.sentinel import SentinelStore  # noqa: E402
from tests.contract.conftest import claim_of  # noqa: E402
from tests.contract.programs.contending import others_run  # noqa: E402

done: list[Lease] = []
silent = socket.create_server(("127.0.0.1", 0))  # connects, and never answers
hung = f"127.0.0.1:{silent.getsockname()[1]}"
# the second by a name, which is looked up beside
named = sys.argv[1].replace("127.0.0.1", "localhost")
store = SentinelStore(f"sentinel://{hung},{named}/mymaster", deadline=4.0)
nobody = SentinelStore(f"sentinel://{hung}/mymaster", deadline=2.0)


def work() -> None:
    lease = store.acquire(claim_of())
    assert isinstance(lease, Lease)
    assert store.release(lease)
    done.append(lease)


def fail() -> None:
    with pytest.raises(StoreUnavailable, match="it gave no answer in time"):
        nobody.acquire(claim_of())


with gevent.Timeout(60), others_run(10, every=0.01):
    gevent.joinall([gevent.spawn(fail), *(gevent.spawn(work) for _ in range(40))], raise_error=True)
assert len(done) == 40
print("well")
