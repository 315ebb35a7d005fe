"""The contract on three servers that know nothing of each other, and what only these can do."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any

import pytest

from celery_lock.errors import StoreError, StoreUnavailable
from celery_lock.model import Claim, Completion, End, Held, Lease, LockStore, Met, Outcome
from celery_lock.stores import open_store
from celery_lock.stores.redlock import RedlockStore
from tests.contract.by_entry_point import ByEntryPoint
from tests.contract.conftest import claim_of
from tests.contract.programs.running import run
from tests.services.proxy import Proxy
from tests.services.redis_server import RedisServer
from tests.services.redlock_nodes import RedlockNodes
from tests.services.waiting import wait_for
from tests.unit.forking import holds_in_a_child
from tests.unit.too_many_files import too_many_files

pytestmark = pytest.mark.contract

GROWN = {"longest_ttl": 0.05}
"""The nodes are seconds old, and nobody loses a lease that they have forgotten."""
LONG = 20.0
"""A deadline that no call should need, on however busy a machine."""

Opening = Callable[..., RedlockStore]


@pytest.fixture(scope="module")
def running(redis_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedlockNodes]:
    with RedlockNodes(redis_binary, tmp_path_factory.mktemp("redlock"), 3) as nodes:
        nodes.wait_grown_up()
        yield nodes


@pytest.fixture
def nodes(running: RedlockNodes) -> Iterator[RedlockNodes]:
    running.empty()
    yield running
    for node in running.nodes:
        node.resume()


@pytest.fixture
def opened(nodes: RedlockNodes) -> Iterator[Opening]:
    """`opened()`, `opened(url, deadline=0.5)`: a store that is closed with the test."""
    with ExitStack() as stack:

        def one(url: str = "", **options: Any) -> RedlockStore:
            options = {"options": GROWN, "deadline": LONG, **options}
            return stack.enter_context(closing(RedlockStore(url or nodes.url, **options)))

        yield one


def granted(store: LockStore, claim: Claim) -> Lease:
    answer = store.acquire(claim)
    assert isinstance(answer, Lease), answer
    return answer


def at(nodes: RedlockNodes, number: int) -> str:
    """The URL of one node alone: what it knows."""
    return nodes.url_for([nodes.nodes[number].port])


def holders(opened: Opening, nodes: RedlockNodes, key: str) -> list[str | None]:
    """Who has a key at each node."""
    found = [opened(at(nodes, number)).peek(key) for number in range(len(nodes.nodes))]
    return [None if held is None else held.holder for held in found]


def wait_everywhere(store: LockStore, lease: Lease, opened: Opening, nodes: RedlockNodes) -> None:
    """Wait until each node has the lease: one that was slow gets it by a renewal."""

    def everywhere() -> bool:
        if holders(opened, nodes, lease.key) == [lease.holder] * 3:
            return True
        return store.renew([(lease, 30.0)]) != [Outcome.RENEWED]

    wait_for(everywhere, "a lease at each node")
    assert holders(opened, nodes, lease.key) == [lease.holder] * 3


def knows_a_completion(node: RedisServer) -> bool:
    with node.client() as client:
        return any(client.hexists(name, "c") for name in client.keys("*:d:*"))


class TestRedlock(ByEntryPoint):
    schemes = ("redlock",)

    @pytest.fixture(autouse=True)
    def _servers(self, nodes: RedlockNodes) -> None:
        self.urls = [nodes.url]

    def open_store(self, prefix: str) -> LockStore:
        return open_store(self.urls[0], options=GROWN, prefix=prefix, deadline=self.deadline)


# -- a node that is slow, hangs, or is away ----------------------------------------------------


def test_nobody_waits_for_a_node_that_hangs(nodes: RedlockNodes, opened: Opening) -> None:
    store = opened()
    store.peek("warm up")
    nodes.nodes[1].pause()
    began = time.monotonic()

    for _ in range(20):
        lease = granted(store, claim_of())
        assert store.renew([(lease, 30.0)]) == [Outcome.RENEWED]
        assert store.release(lease)
    fresh = granted(opened(), claim_of())

    assert time.monotonic() - began < LONG / 2
    assert store.release(fresh)


def test_a_grant_that_comes_after_the_release_is_taken_back(
    nodes: RedlockNodes, opened: Opening
) -> None:
    with Proxy(nodes.nodes[0].port) as proxy:
        ports = [proxy.port, nodes.nodes[1].port, nodes.nodes[2].port]
        store, claim = opened(nodes.url_for(ports)), claim_of()
        granted(store, claim_of())  # the scripts are known
        proxy.hold()
        lease = granted(store, claim)
        wait_for(lambda: proxy.kept, "the claim on its way to a slow node")
        proxy.forward()
        with_others = store._nodes._own.value.idle.get()  # the release goes over other connections
        assert store.release(lease)
        store._nodes._own.value.idle.put(with_others)

        proxy.let_go()
        wait_for(lambda: holders(opened, nodes, claim.key)[0], "the late grant")

        def taken_back() -> bool:
            store.peek("whatever is next")
            return holders(opened, nodes, claim.key) == [None, None, None]

        wait_for(taken_back, "a grant that is taken back")


@pytest.mark.parametrize("is_known", [False, True], ids=["lost in the call", "lost before"])
def test_a_node_hears_of_an_undo_as_it_comes_back(
    nodes: RedlockNodes, opened: Opening, is_known: bool
) -> None:
    store, claim = opened(), claim_of()
    wait_everywhere(store, granted(store, claim), opened, nodes)
    with Proxy(nodes.nodes[2].port) as proxy:
        ports = [nodes.nodes[0].port, nodes.nodes[1].port, proxy.port]
        behind = opened(nodes.url_for(ports))
        again = granted(behind, replace(claim, ttl=40.0))
        proxy.refuse()
        proxy.cut()
        if is_known:
            behind.peek("what shows that the node is away")
        assert behind.release(again)
        assert holders(opened, nodes, claim.key)[2] == claim.holder
        proxy.forward()

        def heard() -> bool:
            behind.peek("whatever is next")
            return holders(opened, nodes, claim.key) == [None, None, None]

        wait_for(heard, "a node that has heard of the release")


def test_a_late_answer_is_never_taken_for_another(nodes: RedlockNodes, opened: Opening) -> None:
    with Proxy(nodes.nodes[0].port) as proxy:
        ports = [proxy.port, nodes.nodes[1].port, nodes.nodes[2].port]
        store = opened(nodes.url_for(ports))
        granted(store, claim_of("kept"))
        proxy.delay = 0.05

        for number in range(30):
            lease = granted(store, claim_of(f"late:{number}"))
            held = store.acquire(claim_of(f"late:{number}"))
            assert isinstance(held, Held)
            assert held.holder == lease.holder
            assert store.release(lease)
            assert store.peek(f"late:{number}") is None

        proxy.delay = 0.0
        assert store.peek("kept") is not None


def test_a_majority_that_hangs_costs_one_deadline(nodes: RedlockNodes, opened: Opening) -> None:
    store = opened(deadline=0.5)
    store.peek("warm up")
    for node in nodes.nodes[:2]:
        node.pause()

    with pytest.raises(StoreUnavailable, match="2 of its 3 nodes did not take part, and 2 have to"):
        store.acquire(claim_of())
    for node in nodes.nodes[:2]:
        node.resume()
    claim = claim_of()

    def again() -> Lease | None:
        try:
            return granted(store, claim)
        except StoreUnavailable:
            return None

    assert store.release(wait_for(again, "a lease after the outage"))


def test_connections_that_were_all_idle_for_too_long_are_made_again(
    nodes: RedlockNodes, opened: Opening
) -> None:
    store = opened()
    lease = granted(store, claim_of())
    for node in nodes.nodes:
        with node.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)

    assert store.renew([(lease, 30.0)]) == [Outcome.RENEWED]
    assert store.release(lease)


def test_servers_that_were_told_to_forget_get_the_scripts_again(
    nodes: RedlockNodes, opened: Opening
) -> None:
    store = opened()
    lease = granted(store, claim_of())
    for node in nodes.nodes:
        with node.client() as client:
            client.script_flush()

    again = granted(store, claim_of())
    assert store.release(lease)
    assert store.release(again)


def test_a_stop_in_the_middle_of_a_call_leaves_no_answer_behind(
    nodes: RedlockNodes, opened: Opening
) -> None:
    class Stop(BaseException):
        pass

    def stop(*_: object) -> None:
        raise Stop

    store, claim = opened(), claim_of()
    store.peek("warm up")
    for node in nodes.nodes[:2]:
        node.pause()
    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Stop):
            store.acquire(claim)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    for node in nodes.nodes[:2]:
        node.resume()

    store.undo(claim)

    assert store.peek(claim.key) is None
    assert store.release(granted(store, claim_of(claim.key)))
    for _ in range(3):
        refused = store.acquire(claim)
        assert isinstance(refused, Held)
        assert refused.met is Met.UNDONE


# -- votes -----------------------------------------------------------------------------------


def test_votes_that_are_split_go_to_one_of_the_claims(nodes: RedlockNodes, opened: Opening) -> None:
    claims = [claim_of("split", holder=f"{name}#node@host#1#0a") for name in "abc"]
    for number, claim in enumerate(claims):
        granted(opened(at(nodes, number)), claim)
    answers: list[Lease | Held] = []
    stores = [opened() for _ in claims]

    def ask(store: RedlockStore, claim: Claim) -> None:
        answers.append(store.acquire(claim))

    each = zip(stores, claims, strict=True)
    threads = [threading.Thread(target=ask, args=one) for one in each]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(isinstance(answer, Lease) for answer in answers) == 1
    assert len({answer.holder for answer in answers}) == 1


def test_a_claim_that_lost_is_made_once_more_though_its_undo_is_late(
    nodes: RedlockNodes, opened: Opening
) -> None:
    """The undo of the first try must not take the vote that the second one has got."""
    store, claim = opened(), claim_of("tries")
    first = opened(at(nodes, 1))
    other = granted(first, claim_of("tries", ttl=30.0))
    second = opened(at(nodes, 2))
    also = granted(second, replace(claim_of("tries"), holder=other.holder))
    assert isinstance(store.acquire(claim), Held)
    assert first.release(other)
    assert second.release(also)

    lease = granted(store, claim)

    assert lease.proof.startswith("1:")
    wait_everywhere(store, lease, opened, nodes)
    assert store.release(lease)


def test_what_a_dead_claimant_left_at_one_node_keeps_nobody_out(
    nodes: RedlockNodes, opened: Opening
) -> None:
    granted(opened(at(nodes, 1)), claim_of("orphan"))
    store = opened()

    assert store.peek("orphan") is None
    assert store.release(granted(store, claim_of("orphan")))


def test_one_server_under_two_names_has_one_vote(nodes: RedlockNodes, opened: Opening) -> None:
    port, other = nodes.nodes[0].port, nodes.nodes[1].port
    twice = opened(f"redlock://127.0.0.1:{port},localhost:{port},127.0.0.1:{other}")

    try:
        said = "\n".join(twice.check())
    except StoreError as error:  # both have heard of each other, and neither is believed
        said = str(error)

    assert "are one server, and it has one vote" in said


def test_a_renewal_brings_a_lease_to_the_nodes_that_lack_it(
    nodes: RedlockNodes, opened: Opening
) -> None:
    store, claim = opened(), claim_of()
    lease = granted(store, claim)
    wait_everywhere(store, lease, opened, nodes)
    with nodes.nodes[1].client() as client:
        client.flushall()
    assert holders(opened, nodes, claim.key) == [claim.holder, None, claim.holder]

    assert store.renew([(lease, 30.0)]) == [Outcome.RENEWED]

    wait_everywhere(store, lease, opened, nodes)
    held = opened(at(nodes, 1)).peek(claim.key)
    assert held is not None
    assert held.publication == claim.publication
    assert store.release(lease)
    assert store.peek(claim.key) is None


def test_a_lease_that_most_nodes_have_forgotten_is_lost_and_given_up_by_the_others(
    nodes: RedlockNodes, opened: Opening
) -> None:
    store, claim = opened(), claim_of()
    lease = granted(store, claim)
    wait_everywhere(store, lease, opened, nodes)

    def forgotten() -> bool:
        for node in nodes.nodes[1:]:
            with node.client() as client:
                client.flushall()
        return holders(opened, nodes, claim.key) == [claim.holder, None, None]

    wait_for(forgotten, "two nodes that have forgotten")

    assert store.renew([(lease, 30.0)]) == [Outcome.LOST]

    wait_for(lambda: holders(opened, nodes, claim.key) == [None, None, None], "a free key")
    assert not store.release(lease)


def test_a_copy_of_what_was_completed_before_it_was_first_seen_is_no_copy(
    nodes: RedlockNodes, opened: Opening
) -> None:
    """The mark has a time of each node, since their clocks differ."""
    store, claim = opened(), claim_of("marks", publication="p")
    store.release(granted(store, claim), End(publication="p", remember=30.0))
    store.complete([Completion("marks", "p", 30.0)])
    wait_for(lambda: all(map(knows_a_completion, nodes.nodes)), "a completion at each node")
    other = granted(store, claim_of("marks"))
    seen = store.acquire(claim_of("marks"))
    assert isinstance(seen, Held)
    store.release(other)

    assert len(seen.mark.split(".")) == 3
    copy = replace(claim_of("marks", publication="p"), copy_since="")
    held = store.acquire(copy)
    assert isinstance(held, Held)
    assert held.done
    assert store.release(granted(store, replace(copy, copy_since=seen.mark)))


# -- the age of a node -------------------------------------------------------------------------


def test_nodes_that_were_just_started_do_not_vote(nodes: RedlockNodes, opened: Opening) -> None:
    store = opened(options={"longest_ttl": 3600.0})

    with pytest.raises(StoreUnavailable) as caught:
        store.acquire(claim_of("young"))

    assert "was started a short time ago, and votes in 3" in str(caught.value)
    assert "(longest_ttl is 3600 s)" in str(caught.value)
    assert holders(opened, nodes, "young") == [None, None, None]
    with pytest.raises(StoreUnavailable, match="longest_ttl"):
        store.check()


def test_young_nodes_do_not_know_that_a_key_is_free(nodes: RedlockNodes, opened: Opening) -> None:
    store = opened(options={"longest_ttl": 3600.0})

    with pytest.raises(StoreUnavailable, match="longest_ttl"):
        store.peek("forgotten")


def test_young_nodes_renew_and_give_back(nodes: RedlockNodes, opened: Opening) -> None:
    """Whoever has a lease keeps it, and can give it back, while no new one is granted."""
    lease = granted(opened(), claim_of())
    young = opened(options={"longest_ttl": 3600.0})

    assert young.renew([(lease, 30.0)]) == [Outcome.RENEWED]
    assert young.peek(lease.key) is not None
    assert young.release(lease)


# -- what servers refuse -----------------------------------------------------------------------


def test_a_node_with_another_password_is_left_out_and_named(
    nodes: RedlockNodes, opened: Opening
) -> None:
    first, second, third = (f"127.0.0.1:{node.port}" for node in nodes.nodes)
    store = opened(f"redlock://{first},{second},:s3cret@{third}")

    lease = granted(store, claim_of())

    assert store.release(lease)
    said = "\n".join(store.check())
    assert f"{third}/0 has no password, and the URL brings one" in said
    assert "can do without 0 more of its nodes" in said
    assert "s3cret" not in said


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "has 1 node and can do without 0 of them: 3 would do better"),
        (2, "has 2 nodes and can do without 0 of them: 3 would do better"),
        (3, None),
    ],
)
def test_a_number_of_nodes_that_helps_nobody_is_warned_of(
    nodes: RedlockNodes, opened: Opening, count: int, words: str | None
) -> None:
    few = ",".join(f"127.0.0.1:{node.port}" for node in nodes.nodes[:count])

    said = "\n".join(opened(f"redlock://{few}").check())

    assert ("would do better" in said) is (words is not None)
    assert words is None or words in said


def test_a_password_that_most_nodes_refuse_is_an_error_that_lasts(
    nodes: RedlockNodes, opened: Opening
) -> None:
    store = opened(nodes.url.replace("//", "//:s3cret@"))

    with pytest.raises(StoreError) as caught:
        store.acquire(claim_of())

    assert not isinstance(caught.value, StoreUnavailable)
    assert "it has no password" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_node_that_hides_its_age_has_no_vote(nodes: RedlockNodes, opened: Opening) -> None:
    for node in nodes.nodes:
        with node.client() as client:
            client.execute_command(
                "ACL", "SETUSER", "blind", "on", "nopass", "~*", "+@all", "-info"
            )
    store = opened(nodes.url.replace("//", "//blind:x@"))

    with pytest.raises(StoreError, match=r"\+info"):
        store.acquire(claim_of())


def test_the_least_permissions_are_enough(nodes: RedlockNodes, opened: Opening) -> None:
    words = opened().permissions.split()
    for node in nodes.nodes:
        with node.client() as client:
            client.execute_command("ACL", "SETUSER", "least", "reset", "on", "nopass", *words)
    store = opened(nodes.url.replace("//", "//least:x@"))

    assert store.check() == []
    assert store.version().startswith("Redis ")
    lease = granted(store, claim_of(at_least=30.0, publication="p"))
    assert store.release(lease, End(publication="p", remember=30.0))
    store.complete([Completion(lease.key, "p", 30.0)])
    assert store.free(lease.key, lease.holder, floor=True) is not None


def test_a_check_warns_of_a_node_that_may_forget(nodes: RedlockNodes, opened: Opening) -> None:
    with nodes.nodes[1].client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", "100mb")
        try:
            (said,) = opened().check()
        finally:
            client.config_set("maxmemory", 0)
            client.config_set("maxmemory-policy", "noeviction")

    assert "may evict a lock" in said
    assert str(nodes.nodes[1].port) in said


def test_a_node_whose_memory_is_full_is_left_out(nodes: RedlockNodes, opened: Opening) -> None:
    store = opened()
    with nodes.nodes[0].client() as client:
        client.config_set("maxmemory", 1)
        try:
            lease = granted(store, claim_of())
            assert store.renew([(lease, 30.0)]) == [Outcome.RENEWED]
            assert store.release(lease)
        finally:
            client.config_set("maxmemory", 0)


# -- one store used by many --------------------------------------------------------------------


def test_no_thread_stays_however_many_keys_there_are(nodes: RedlockNodes, opened: Opening) -> None:
    store = opened()
    leases = [granted(store, claim_of()) for _ in range(50)]

    assert store.renew([(lease, 30.0) for lease in leases]) == [Outcome.RENEWED] * 50

    assert [t.name for t in threading.enumerate() if "redlock" in t.name] == []
    assert all(store.release(lease) for lease in leases)


@pytest.mark.parametrize("program", ["redlock_forks", "redlock_greenlets"])
def test_processes_and_greenlets_share_a_store(nodes: RedlockNodes, program: str) -> None:
    assert run(program, nodes.url) == "well\n"


def test_a_process_that_can_open_no_more_files_hears_the_nodes_that_it_is_connected_to(
    opened: Opening,
) -> None:
    store = opened()

    def are_heard() -> bool:
        store.peek("k")
        with too_many_files():
            return isinstance(store.acquire(claim_of("k")), Lease)

    assert holds_in_a_child(are_heard)
