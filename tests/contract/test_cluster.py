"""A call to a cluster finds the node that has its key, within its deadline, whatever nodes say."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from time import monotonic
from typing import Any

import pytest

from celery_lock.engine.locker import Ask, Grant, Locker
from celery_lock.errors import LockConfigurationError, StoreError, StoreUnavailable
from celery_lock.events import Subject
from celery_lock.model import End, Lease, Outcome
from celery_lock.stores.redis.cluster import ClusterStore
from celery_lock.stores.redis.link.slots import SLOTS, shards_of, slot_of
from tests.contract.conftest import claim_of
from tests.contract.fake_nodes import DROPPED, RENEWED, FakeNodes, moved, sequence
from tests.services import RedisCluster, RedisServer

pytestmark = pytest.mark.contract

Open = Callable[..., ClusterStore]


@pytest.fixture
def open_cluster() -> Iterator[Open]:
    """`open_cluster(url, deadline=0.5)`: a store that is closed with the test."""
    with ExitStack() as stack:

        def open_one(url: str, **options: Any) -> ClusterStore:
            store = ClusterStore(url, **options)
            stack.callback(store.close)
            return store

        yield open_one


@pytest.fixture
def three() -> Iterator[FakeNodes]:
    with FakeNodes(3) as nodes:
        yield nodes


def key_of(nodes: FakeNodes, number: int, skip: int = 0) -> str:
    """A key whose slot the node of this number keeps."""
    first, last = nodes.bounds[number], nodes.bounds[number + 1]
    keys = (f"k{n}" for n in range(10_000) if first <= slot_of(f"{{k{n}}}") < last)
    for _ in range(skip):
        next(keys)
    return next(keys)


def lease_of(key: str) -> Lease:
    return Lease(key, f"{key}#node@host#1#00000001", 7)


# -- slots and the map -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("123456789", "123456789"),
        ("p:{user1000}:w", "user1000"),
        ("foo{}{bar}", "foo{}{bar}"),
        ("foo{{bar}}zap", "{bar"),
        ("foo{bar}{zap}", "bar"),
        ("foo{bar", "foo{bar"),
    ],
)
def test_the_slot_of_a_name_is_that_of_its_hash_tag(name: str, tag: str) -> None:
    assert slot_of("123456789") == 0x31C3 % SLOTS  # as the specification of Redis Cluster has it
    assert slot_of(name) == slot_of(tag)


def test_a_node_counts_slots_in_the_same_way(redis_cluster: RedisCluster) -> None:
    letters = ["\x00", "\r\n", " ", "}", "{", "{}", "a{b}c", "\u00e9", "\u65e5\u672c", "\U0001f512"]
    names = [f"p:{{{letter}:1}}:w" for letter in letters] + ["k" * 1024, "\u00e9" * 512, *letters]

    for name in names:
        slot = redis_cluster.say(redis_cluster.nodes[0], "CLUSTER", "KEYSLOT", name.encode())
        assert slot_of(name) == slot, name


def test_a_node_that_does_not_know_its_own_address_is_the_one_that_was_asked() -> None:
    reply = [[0, 5, [None, 1, b"id"], [b"", 2, b"id"]], [6, 9, [b"?", 3, b"id", [b"x", b"y"]]]]

    first, second = shards_of(reply, "10.0.0.7")

    assert (first.master, first.replicas) == (("10.0.0.7", 1), (("10.0.0.7", 2),))
    assert second.master == ("10.0.0.7", 3)


# -- redirections ----------------------------------------------------------------------------


def test_each_key_is_asked_for_at_its_own_node(three: FakeNodes, open_cluster: Open) -> None:
    store = open_cluster(three.url)

    for number in range(3):
        assert isinstance(store.acquire(claim_of(key_of(three, number))), Lease)

    assert [node.said(b"EVALSHA") for node in three.nodes] == [1, 1, 1]
    assert sum(node.said(b"CLUSTER SLOTS") for node in three.nodes) == 1


def test_a_slot_that_has_moved_is_followed_and_remembered(
    three: FakeNodes, open_cluster: Open
) -> None:
    first, second, _ = three.nodes
    first.answer = lambda _: moved(second)
    store = open_cluster(three.url)

    for _ in range(3):
        assert isinstance(store.acquire(claim_of(key_of(three, 0))), Lease)

    assert (first.said(b"EVALSHA"), second.said(b"EVALSHA")) == (1, 3)


def test_a_key_that_has_gone_ahead_is_asked_for_each_time(
    three: FakeNodes, open_cluster: Open
) -> None:
    first, second, _ = three.nodes
    first.answer = lambda _: moved(second, "ASK")
    store = open_cluster(three.url)

    for _ in range(2):
        assert isinstance(store.acquire(claim_of(key_of(three, 0))), Lease)

    assert [word.split()[0] for word in second.heard if b"CLUSTER" not in word] == [
        b"ASKING", b"EVALSHA", b"ASKING", b"EVALSHA",
    ]  # fmt: skip
    assert first.said(b"EVALSHA") == 2


def test_a_script_that_the_next_node_lacks_is_sent_there_in_full(
    three: FakeNodes, open_cluster: Open
) -> None:
    first, second, _ = three.nodes
    first.answer = lambda _: moved(second, "ASK")
    second.answer = lambda c: b"-NOSCRIPT no\r\n" if c[0] == b"EVALSHA" else second.run(c)
    store = open_cluster(three.url)

    assert isinstance(store.acquire(claim_of(key_of(three, 0))), Lease)

    assert [word.split()[0] for word in second.heard if b"CLUSTER" not in word] == [
        b"ASKING", b"EVALSHA", b"ASKING", b"EVAL",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "refusal",
    [
        b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
        b"-CLUSTERDOWN The cluster is down\r\n",
        b"-CLUSTERDOWN Hash slot not served\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-MASTERDOWN Link with MASTER is down\r\n",
    ],
)
def test_what_passes_is_waited_for_within_the_deadline(
    three: FakeNodes, open_cluster: Open, refusal: bytes
) -> None:
    node = three.nodes[0]
    node.answer = sequence(refusal, refusal, refusal, b":7\r\n")
    store = open_cluster(three.url, deadline=20.0)

    assert isinstance(store.acquire(claim_of(key_of(three, 0))), Lease)

    assert node.said(b"EVALSHA") == 4


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [(b"-TRYAGAIN no\r\n", "moving keys"), (b"-CLUSTERDOWN no\r\n", "its cluster is down")],
)
def test_what_does_not_pass_is_an_error_at_the_deadline(
    three: FakeNodes, open_cluster: Open, refusal: bytes, sentence: str
) -> None:
    node = three.nodes[0]
    node.answer = lambda _: refusal
    store = open_cluster(three.url, deadline=0.5)
    began = monotonic()

    with pytest.raises(StoreUnavailable, match=sentence) as raised:
        store.acquire(claim_of(key_of(three, 0)))

    assert monotonic() - began >= 0.3, "it was given up too soon"
    assert node.said(b"EVALSHA") < 20, "a cluster that is busy is asked too often"
    assert raised.value.url == f"redis://{node.place}"


def test_nodes_that_do_not_agree_are_not_asked_in_a_hurry(
    three: FakeNodes, open_cluster: Open
) -> None:
    first, second, _ = three.nodes
    first.answer, second.answer = (lambda _: moved(second)), (lambda _: moved(first))
    store = open_cluster(three.url, deadline=0.5)

    with pytest.raises(StoreUnavailable, match=r"nodes do not agree .*MOVED"):
        store.acquire(claim_of(key_of(three, 0)))

    assert first.said(b"EVALSHA") + second.said(b"EVALSHA") < 30


def test_what_is_refused_for_good_is_asked_once(three: FakeNodes, open_cluster: Open) -> None:
    node = three.nodes[0]
    node.answer = lambda _: b"-OOM command not allowed\r\n"
    store = open_cluster(three.url)

    with pytest.raises(StoreUnavailable, match="its memory is full"):
        store.acquire(claim_of(key_of(three, 0)))

    assert node.said(b"EVALSHA") == 1


def test_a_node_that_is_gone_is_replaced_by_its_heir(three: FakeNodes, open_cluster: Open) -> None:
    store = open_cluster(three.url, deadline=20.0)
    key = key_of(three, 0)
    store.acquire(claim_of(key))
    three.nodes[0].gone()
    three.keepers[0] = three.nodes[2]

    assert isinstance(store.acquire(claim_of(key)), Lease)

    assert three.nodes[2].said(b"EVALSHA") == 1


def test_an_address_that_only_the_nodes_know_is_said_to_be_theirs(
    three: FakeNodes, open_cluster: Open
) -> None:
    first, _, third = three.nodes
    store = open_cluster(f"redis+cluster://{first.place}", deadline=0.3)
    store.acquire(claim_of(key_of(three, 0)))
    third.gone()

    with pytest.raises(StoreUnavailable, match="whose nodes announce this address") as raised:
        store.acquire(claim_of(key_of(three, 2)))

    assert raised.value.url == f"redis://{third.place}"
    first.gone()
    with pytest.raises(StoreUnavailable, match=r"\(connection refused\); it is a node of \S+$"):
        store.acquire(claim_of(key_of(three, 0)))


def test_the_check_says_too_whose_address_it_cannot_reach(
    three: FakeNodes, open_cluster: Open
) -> None:
    first, _, third = three.nodes
    third.gone()

    with pytest.raises(StoreUnavailable, match="whose nodes announce this address") as raised:
        open_cluster(f"redis+cluster://{first.place}", deadline=2.0).check()

    assert raised.value.url == f"redis://{third.place}"


def test_the_check_says_once_that_it_asked_a_node(three: FakeNodes, open_cluster: Open) -> None:
    for node in three.nodes:
        node.answer = lambda call, node=node: None if call[0] == b"EVALSHA" else node.run(call)

    with pytest.raises(StoreUnavailable) as raised:
        open_cluster(three.url, deadline=0.5).check()

    assert str(raised.value).count("it is a node of redis+cluster://") == 1


def test_a_node_that_hangs_costs_the_keys_of_others_nothing(
    three: FakeNodes, open_cluster: Open
) -> None:
    store = open_cluster(three.url, deadline=2.0)
    store.acquire(claim_of(key_of(three, 1)))
    three.nodes[0].answer = lambda _: None

    said = r"no answer within 2 s; it is a node of redis\+cluster://"
    with pytest.raises(StoreUnavailable, match=said) as raised:
        store.acquire(claim_of(key_of(three, 0)))

    assert raised.value.url == f"redis://{three.nodes[0].place}"
    assert isinstance(store.acquire(claim_of(key_of(three, 1))), Lease)
    assert store.part_of(key_of(three, 0)) != store.part_of(key_of(three, 1))


def test_the_map_is_shown_by_whoever_answers(three: FakeNodes, open_cluster: Open) -> None:
    three.nodes[0].map = three.nodes[1].map = lambda: None
    store = open_cluster(three.url, deadline=1.5)

    assert isinstance(store.acquire(claim_of(key_of(three, 0))), Lease)


def test_who_may_not_see_the_map_is_sent_to_the_right_node(
    three: FakeNodes, open_cluster: Open
) -> None:
    for node in three.nodes:
        node.map = lambda: b"-NOPERM this user has no permissions\r\n"
    first, second, _ = three.nodes
    first.answer = lambda c: moved(second) if c[0] == b"EVALSHA" else first.run(c)
    three.nodes[2].answer = first.answer
    store = open_cluster(three.url)

    for _ in range(3):
        assert isinstance(store.acquire(claim_of("k")), Lease)

    assert second.said(b"EVALSHA") == 3


def test_a_server_that_is_no_node_says_what_to_write(
    open_cluster: Open, fresh_redis: RedisServer
) -> None:
    store = open_cluster(f"redis+cluster://127.0.0.1:{fresh_redis.port}")

    with pytest.raises(StoreError, match=r"is no node of a Redis Cluster: set lock_store to redis"):
        store.acquire(claim_of("k"))


def test_nobody_who_answers_is_an_error_that_names_one(open_cluster: Open) -> None:
    with FakeNodes(2) as nodes:
        for node in nodes.nodes:
            node.gone()
        store = open_cluster(nodes.url)

        said = rf"nobody listens there \(connection refused\); it is a node of {nodes.url}"
        with pytest.raises(StoreUnavailable, match=said.replace("+", r"\+")) as raised:
            store.acquire(claim_of("k"))

    assert raised.value.url in {f"redis://{node.place}" for node in nodes.nodes}


# -- renewals --------------------------------------------------------------------------------


def renewed(nodes: FakeNodes, store: ClusterStore, within: float | None = None) -> list[Outcome]:
    """Renew two leases of each node."""
    leases = [lease_of(key_of(nodes, number, skip)) for number in range(3) for skip in range(2)]
    return store.renew([(lease, 30.0) for lease in leases], within=within)


def prepared(nodes: FakeNodes, open_cluster: Open, **options: Any) -> ClusterStore:
    """A store that has a connection to each node."""
    store = open_cluster(nodes.url, **options)
    for number in range(3):
        store.acquire(claim_of(key_of(nodes, number)))
    return store


PATIENT = 1.5
"""Seconds in which a node that is well answers on a busy machine."""
UNKNOWN_FIRST = [Outcome.UNKNOWN] * 2 + [Outcome.RENEWED] * 4


def test_leases_of_all_nodes_are_renewed_in_one_round_trip_each(
    three: FakeNodes, open_cluster: Open
) -> None:
    store = prepared(three, open_cluster)
    asked = threading.Barrier(3, timeout=10)  # no node answers before all three were asked
    for node in three.nodes:
        first = sequence(b"wait", RENEWED)
        node.answer = lambda c, first=first: (
            (asked.wait(), RENEWED)[1] if first(c) == b"wait" else RENEWED
        )

    assert renewed(three, store) == [Outcome.RENEWED] * 6

    assert [node.connections for node in three.nodes] == [1, 1, 1]


def test_a_node_that_hangs_leaves_only_its_own_leases_unknown(
    three: FakeNodes, open_cluster: Open
) -> None:
    store = prepared(three, open_cluster)
    three.nodes[0].answer = lambda _: None

    assert renewed(three, store, PATIENT) == UNKNOWN_FIRST


def test_a_node_that_hangs_in_the_middle_of_a_reply_holds_up_no_other(
    three: FakeNodes, open_cluster: Open
) -> None:
    store = prepared(three, open_cluster)
    three.nodes[0].answer = sequence(b"*1\r", None)

    assert renewed(three, store, PATIENT) == UNKNOWN_FIRST


def test_a_node_that_is_gone_leaves_only_its_own_leases_unknown(
    three: FakeNodes, open_cluster: Open
) -> None:
    store = prepared(three, open_cluster)
    three.nodes[0].gone()

    assert renewed(three, store) == UNKNOWN_FIRST


def test_a_node_to_which_no_connection_comes_about_holds_up_no_other(
    three: FakeNodes, open_cluster: Open
) -> None:
    store = prepared(three, open_cluster)
    three.nodes[0].gone()
    store.close()  # all have to be connected to anew
    three.nodes[1].answer = lambda c: None if c[0] == b"AUTH" else three.nodes[1].run(c)

    assert renewed(three, store)[2:] == [Outcome.RENEWED] * 4


def test_leases_whose_slot_has_moved_are_renewed_in_the_same_call(
    three: FakeNodes, open_cluster: Open
) -> None:
    store = prepared(three, open_cluster)
    three.nodes[0].answer = lambda _: moved(three.nodes[1])

    assert renewed(three, store) == [Outcome.RENEWED] * 6
    assert store.part_of(key_of(three, 0)) == f"redis://{three.nodes[1].place}"


def test_leases_that_have_gone_ahead_are_renewed_in_the_same_call(
    three: FakeNodes, open_cluster: Open
) -> None:
    store = prepared(three, open_cluster)
    three.nodes[0].answer = lambda _: moved(three.nodes[1], "ASK")

    assert renewed(three, store) == [Outcome.RENEWED] * 6
    assert three.nodes[1].said(b"ASKING") == 2


def test_leases_of_a_node_with_an_heir_are_renewed_in_the_same_call(
    three: FakeNodes, open_cluster: Open
) -> None:
    store = prepared(three, open_cluster)
    three.nodes[0].gone()
    three.keepers[0] = three.nodes[2]

    assert renewed(three, store) == [Outcome.RENEWED] * 6


def test_a_connection_that_is_older_than_its_node_is_replaced(
    three: FakeNodes, open_cluster: Open
) -> None:
    store = prepared(three, open_cluster)
    node = three.nodes[0]
    node.answer = sequence(DROPPED, RENEWED)

    assert renewed(three, store) == [Outcome.RENEWED] * 6


def test_the_heir_of_a_node_that_hangs_is_found_by_renewals_alone(
    three: FakeNodes, open_cluster: Open
) -> None:
    store = prepared(three, open_cluster, deadline=5.0)
    three.nodes[0].answer = lambda _: None
    assert renewed(three, store, 0.3)[:2] == UNKNOWN_FIRST[:2]
    three.keepers[0] = three.nodes[2]

    assert renewed(three, store) == [Outcome.RENEWED] * 6


def test_a_claim_asks_others_for_the_heir_of_a_node_that_hung(
    three: FakeNodes, open_cluster: Open
) -> None:
    store = prepared(three, open_cluster, deadline=2.0)
    three.nodes[0].answer = lambda _: None
    with pytest.raises(StoreUnavailable):
        store.acquire(claim_of(key_of(three, 0)))
    three.keepers[0] = three.nodes[2]

    assert isinstance(store.acquire(claim_of(key_of(three, 0))), Lease)


# -- with the engine -------------------------------------------------------------------------


def test_a_node_that_hangs_costs_a_process_its_deadline_once(
    three: FakeNodes, open_cluster: Open
) -> None:
    locker = Locker(prepared(three, open_cluster, deadline=0.4), deadline=0.4)
    hung = three.nodes[0]
    hung.answer = lambda _: None
    asked = hung.said(b"EVAL")

    def claim(number: int, skip: int) -> object:
        key = key_of(three, number, skip)
        return locker.claim(Ask(claim_of(key), Subject("t", "t", "t")))

    for skip in range(10):
        with pytest.raises(StoreUnavailable):
            claim(0, skip)
        assert isinstance(claim(1, skip), Grant)

    # the first claim; what takes it back, and probes, are on a thread of their own
    keys = [key_of(three, 0, skip).encode() for skip in range(1, 10)]
    assert hung.said(b"EVAL") > asked
    assert not any(key + b"}" in word for key in keys for word in hung.heard)


# -- the rest --------------------------------------------------------------------------------


def leave(store: ClusterStore, key: str, failures: list[StoreError]) -> None:
    store.release_unheard(lease_of(key), End(heir=f"{key}/queued/0", heir_ttl=9), failures.append)


def test_what_nobody_waits_for_is_run_where_its_slot_has_moved_to(
    three: FakeNodes, open_cluster: Open
) -> None:
    store, failures = prepared(three, open_cluster), list[StoreError]()
    first, second, third = three.nodes
    leave(store, key_of(three, 0), failures)  # the first one is waited for
    first.answer = lambda _: moved(second)
    leave(store, key_of(three, 0), failures)

    until = monotonic() + 10
    while second.said(b"EVAL") == 1 and monotonic() < until:  # what it was prepared by
        store.acquire(claim_of(key_of(three, 2)))  # of another node

    assert second.said(b"EVAL") == 2
    assert third.said(b"EVAL") > 1
    assert failures == []


def test_a_process_that_leaves_hears_all_nodes(three: FakeNodes, open_cluster: Open) -> None:
    store, failures = prepared(three, open_cluster), list[StoreError]()
    for number in range(3):
        leave(store, key_of(three, number), failures)
        three.nodes[number].answer = lambda _: b"-ERR no\r\n"
        leave(store, key_of(three, number), failures)

    store.hear()

    assert len(failures) == 3


@pytest.mark.parametrize("word", ["MOVED", "ASK"])
def test_a_watch_goes_where_its_key_has_gone(
    three: FakeNodes, open_cluster: Open, word: str
) -> None:
    first, second, _ = three.nodes
    first.answer = lambda _: moved(second, word)
    store = open_cluster(three.url)

    store.watch(key_of(three, 0), 5.0)

    assert (first.said(b"BLPOP"), second.said(b"BLPOP")) == (1, 1)


def test_a_watch_that_is_ended_by_a_fail_over_goes_on(three: FakeNodes, open_cluster: Open) -> None:
    node = three.nodes[0]
    node.answer = sequence(b"-UNBLOCKED force unblock\r\n", b"*2\r\n$1\r\nk\r\n$1\r\n1\r\n")
    store = open_cluster(three.url)

    store.watch(key_of(three, 0), 10.0)

    assert node.said(b"BLPOP") == 2


def test_a_key_that_moves_while_all_are_listed_is_named(
    three: FakeNodes, open_cluster: Open
) -> None:
    """It went to a node that had been looked through already."""
    name = b"celery-lock:2:{k}"
    found = b"*2\r\n$1\r\n0\r\n*1\r\n$%d\r\n%b\r\n" % (len(name), name)
    none = b"*2\r\n$1\r\n0\r\n*0\r\n"
    for node in three.nodes:
        node.answer = lambda _: none
    three.nodes[0].answer = sequence(none, found)
    store = open_cluster(three.url)

    assert store.keys("") == ["k"]


# -- URLs and options ------------------------------------------------------------------------


def test_a_url_is_shown_without_its_password() -> None:
    store = ClusterStore("rediss+cluster://u:s3cret@a:1,b,[::1]:3?ssl_cert_reqs=none")

    assert store.url == "rediss+cluster://a:1,b:6379,[::1]:3"
    assert "s3cret" not in repr(store)


@pytest.mark.parametrize(
    ("url", "options", "sentence"),
    [
        ("redis+cluster://a:1,b:2/3", {}, "database 0 alone"),
        ("redis+cluster://a:x", {}, "cannot be read"),
        ("redis+cluster://s3cret@a:1,b:2", {}, "user and no password"),
        ("redis+cluster://a:1?ssl_cert_req=none", {}, "did you mean 'ssl_cert_reqs'"),
        ("redis+cluster://a:1", {"pasword": "s3cret"}, "did you mean 'password'"),
        ("redis+cluster://a:1", {"master_name": "x"}, "has no 'master_name'"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused(
    url: str, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(LockConfigurationError, match=sentence) as raised:
        ClusterStore(url, options=options)

    assert "s3cret" not in str(raised.value)


def test_a_store_of_one_server_says_that_a_node_is_of_a_cluster(
    redis_cluster: RedisCluster, open_redis: Callable[..., Any]
) -> None:
    store = open_redis(redis_cluster.plain_url.replace("redis+cluster", "redis"))

    [warning] = store.check()

    assert "set lock_store to redis+cluster://host:port" in warning


def test_a_check_names_slots_that_nobody_serves_and_clocks_that_differ(
    open_cluster: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("celery_lock.stores.redis.cluster.checkup", lambda *_, **__: [])
    with FakeNodes(2) as nodes:
        nodes.bounds[-1] -= 84
        for node, seconds in zip(nodes.nodes, (b"1000", b"1005"), strict=True):
            time = b"*2\r\n$4\r\n%b\r\n$1\r\n0\r\n" % seconds
            node.answer = lambda _, time=time: time

        slots, clocks = open_cluster(nodes.url).check()

    assert "no node has 84 of its 16384 slots" in slots
    assert "masters differ by 5." in clocks or "masters differ by 4." in clocks


def test_a_check_names_no_fault_of_a_cluster_that_is_well(
    cluster_url: str, open_cluster: Open
) -> None:
    assert open_cluster(cluster_url).check() == []
