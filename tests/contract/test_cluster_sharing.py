"""A store on a cluster is used by forked children, greenlets, lists of keys, and ACL users."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from celery_lock import Lock, LockedTask, requeue, skip
from celery_lock.app.locks import locks_of
from celery_lock.engine.locker import Ask, Grant, Locker
from celery_lock.errors import StoreError, UnsupportedFeature
from celery_lock.events import Subject
from celery_lock.model import Claim, Feature, Lease, Refused
from celery_lock.stores.redis.cluster import ClusterStore
from celery_lock.stores.redis.link.errors import CLUSTER_PERMISSIONS, PERMISSIONS
from tests.contract.conftest import claim_of
from tests.contract.programs.running import run
from tests.services import RedisCluster
from tests.unit.forking import holds_in_a_child

pytestmark = pytest.mark.contract

SUBJECT = Subject("t", "t", "t")


@pytest.fixture
def store(cluster_url: str) -> Iterator[ClusterStore]:
    store = ClusterStore(cluster_url)
    yield store
    store.close()


# -- forks and greenlets ---------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_connections_of_its_own(store: ClusterStore) -> None:
    lease = store.acquire(claim_of("k"))
    assert isinstance(lease, Lease)
    [mine] = [server.say("CLIENT", "ID") for server in store._server.servers()]

    def check() -> bool:
        [its] = [server.say("CLIENT", "ID") for server in store._server.servers()]
        return its != mine and store.peek("k") is not None

    assert holds_in_a_child(check)

    assert [server.say("CLIENT", "ID") for server in store._server.servers()] == [mine]
    assert store.release(lease)


def test_greenlets_share_a_store_on_a_cluster(cluster_url: str) -> None:
    pytest.importorskip("gevent")

    assert run("cluster_greenlets", cluster_url) == "well\n"


# -- lists of keys ---------------------------------------------------------------------------


def ask(key: str, task: str) -> Ask:
    return Ask(Claim(key, f"{task}#node@host#1#{hash(task) & 0xFFFF:08x}", 30.0), SUBJECT)


def test_all_keys_of_a_list_are_given_or_none(store: ClusterStore) -> None:
    locker = Locker(store)
    taken = locker.claim(ask("c", "other"))
    assert isinstance(taken, Grant)

    refused = locker.claim_all([ask(key, "first") for key in "abc"])

    assert isinstance(refused, Refused)
    assert refused.held.key == "c"
    assert [store.peek(key) for key in "ab"] == [None, None]
    locker.release(taken)
    grants = locker.claim_all([ask(key, "second") for key in "abc"])
    assert isinstance(grants, list)
    locker.release_all([(grant, None) for grant in grants])
    assert [store.peek(key) for key in "abc"] == [None] * 3


def test_lists_that_share_keys_are_never_held_at_once(store: ClusterStore) -> None:
    locker, inside, done = Locker(store), set[str](), list[int]()

    def work(number: int) -> None:
        keys = sorted({"abcd"[number % 4], "abcd"[(number + 1) % 4]})
        for turn in range(3):
            got = locker.wait_all([ask(key, f"{number}-{turn}") for key in keys], 60.0)
            assert isinstance(got, list)
            assert not inside & set(keys)
            inside.update(keys)
            inside.difference_update(keys)
            locker.release_all([(grant, None) for grant in got])
            done.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert len(done) == 24
    assert [store.peek(key) for key in "abcd"] == [None] * 4


def body() -> None: ...


@pytest.mark.parametrize("refused", [True, False])
def test_a_list_that_a_policy_may_end_is_refused_and_another_one_is_not(
    cluster_url: str, refused: bool
) -> None:
    app: Any = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.lock_store = cluster_url
    policy = skip() if refused else requeue()
    locks = [Lock("a", on_conflict=policy), Lock("b", on_conflict=policy)]
    options: Any = {"base": LockedTask, "lock": locks, "shared": False}
    app.task(body, name="both", **options)
    assert app.tasks  # which binds it

    if not refused:
        assert Feature.SEVERAL not in locks_of(app).locker.store.features
        return
    with pytest.raises(UnsupportedFeature, match=r"task both.*redis\+cluster.*redis://"):
        _ = locks_of(app).locker


# -- an ACL user -----------------------------------------------------------------------------


@pytest.fixture
def least(redis_cluster: RedisCluster) -> Iterator[str]:
    """The URL of a user who may do what a lock needs, and nothing else."""
    redis_cluster.empty()
    node = redis_cluster.nodes[0]
    rules = f"{PERMISSIONS} {CLUSTER_PERMISSIONS}".split()
    redis_cluster.say(node, "ACL", "SETUSER", "least", "on", ">pw", "~celery-lock:*", *rules)
    redis_cluster.say(node, "ACL", "SETUSER", "blind", "on", ">pw", "~celery-lock:*", "+ping")
    yield redis_cluster.plain_url.replace("://", "://least:pw@")
    redis_cluster.say(node, "ACL", "DELUSER", "least", "blind")


def test_the_least_permissions_are_enough(least: str) -> None:
    store = ClusterStore(least)

    assert store.check() == []
    assert store.permissions == f"{PERMISSIONS} {CLUSTER_PERMISSIONS} ~celery-lock:*"
    assert store.keys("order:") == []
    store.close()


def test_a_user_who_may_not_is_refused_with_what_it_lacks(least: str) -> None:
    store = ClusterStore(least.replace("least", "blind"))

    with pytest.raises(StoreError, match="does not permit user 'blind'") as raised:
        store.acquire(claim_of("k"))

    assert CLUSTER_PERMISSIONS in str(raised.value)
    store.close()
