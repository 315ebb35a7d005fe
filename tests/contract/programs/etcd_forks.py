"""A store on etcd is used before and after a fork: `etcd_forks.py URL`; status 0 if all is well."""

import sys

from celery_lock.model import Lease, Outcome
from celery_lock.stores.etcd import EtcdStore
from tests.contract.conftest import claim_of
from tests.unit.forking import holds_in_a_child

store = EtcdStore(sys.argv[1], deadline=10.0)


def granted(key: str) -> Lease:
    lease = store.acquire(claim_of(key))
    assert isinstance(lease, Lease)
    return lease


mine = granted("fork:mine")
idle = list(store._gateway._own.value.idle)
homes = store._place.leases.renewed(30.0, lambda *asked: None, 1.0).id


def the_child_has_connections_and_leases_of_its_own() -> bool:
    own = granted("fork:child")
    assert store._gateway._own.value.idle[0] not in idle
    assert store._place.leases.renewed(30.0, lambda *asked: None, 1.0).id != homes
    assert store.renew([(mine, 30.0)]) == [Outcome.RENEWED], "its parent's lease is one as any"
    return bool(store.release(own))


def the_child_takes_nothing_from_its_parent() -> bool:
    store.close()
    return store.peek("fork:mine") is not None


assert holds_in_a_child(the_child_has_connections_and_leases_of_its_own)
assert holds_in_a_child(the_child_takes_nothing_from_its_parent)
assert store._gateway._own.value.idle == idle
assert store.renew([(mine, 30.0)]) == [Outcome.RENEWED]
assert store.release(mine)
print("well")
