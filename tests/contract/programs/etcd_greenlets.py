"""Forty greenlets share a store on etcd: `etcd_greenlets.py URL`; status 0 if all is well."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402

from celery_lock.stores.etcd import EtcdStore  # noqa: E402
from tests.contract.programs.contending import contend  # noqa: E402

store = EtcdStore(sys.argv[1], deadline=20.0)
contend(store, 40, keys=10)
assert len(store._gateway._own.value.idle) <= store.CONNECTIONS
print("well")
