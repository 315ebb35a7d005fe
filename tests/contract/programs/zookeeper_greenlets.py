"""A hundred greenlets share one store: `zookeeper_greenlets.py URL`; status 0 if all is well."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402

import gevent  # noqa: E402
import pytest  # noqa: E402

from celery_lock.errors import StoreUnavailable  # noqa: E402
from celery_lock.stores.zookeeper import ZooKeeperStore  # noqa: E402
from tests.contract.conftest import claim_of  # noqa: E402
from tests.contract.programs.contending import contend, others_run  # noqa: E402

store = ZooKeeperStore(sys.argv[1], deadline=20.0)
with others_run(5, every=0.005):
    contend(store, 100, keys=20)
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
gone = ZooKeeperStore("zookeeper://127.0.0.1:1/x", deadline=1.0)
with others_run(0), pytest.raises(StoreUnavailable):
    gone.peek("x")
gone.close()
store.close()
print("well")
