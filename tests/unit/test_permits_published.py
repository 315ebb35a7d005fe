"""Permits that publishers take: each message has its own, until it starts or has finished."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from celery_lock import Lock, LockConflict, Scope, fail, is_skipped, requeue, skip
from celery_lock.message import HEADER
from celery_lock.model import Claim, End, Holder, Lease

from .engine import Ended, Engine, deliver, locked
from .published import QUEUE_TTL, queued

KEY, PLACE = "api", "api%queued"


class Fetch:
    """A task whose publishers take permits."""

    def __init__(self, engine: Engine, scope: Scope, **lock: Any) -> None:
        self.engine = engine
        self.ran: list[str] = []
        self.during: Callable[[Any], Any] = lambda task: "done"

        def body(task: Any) -> Any:
            self.ran.append(task.request.id)
            return self.during(task)

        lock = {"limit": 3, "on_conflict": skip(), **lock}
        self.task = locked(engine.app(), Lock(KEY, scope=scope, **lock), name="t", bind=True)(body)

    def deliver(self, id: str, headers: Any = None, **request: Any) -> Ended:
        return deliver(self.task, id=id, headers=headers, **request)


def published(
    engine: Engine, name: str, *ids: str, limit: int = 3, confirmed: bool = True
) -> dict[str, dict[str, Any]]:
    """Take what the publishers of these messages take; return their headers, by their ids."""
    headers = {}
    for id in ids:
        holder = str(Holder(id, "web", 99, f"p-{id}.1"))
        lease = engine.store.inner.acquire(
            Claim(name, holder, 30.0, publication=f"p-{id}", limit=limit, unconfirmed=True)
        )
        assert isinstance(lease, Lease), lease
        if confirmed:
            end = End(heir=queued(id, 0), heir_ttl=QUEUE_TTL)
            assert engine.store.inner.release(lease, end)
        header = {"v": 1, "id": id, "publication": f"p-{id}", "had": True, "key": KEY}
        own = engine.locker.store_id.get()
        headers[id] = {HEADER: {**header, "lease": {"names": [name], "store": own}}}
    return headers


def slots(engine: Engine, name: str = KEY) -> list[int]:
    held = engine.store.inner.peek(name)
    return [] if held is None else [one.slot for one in held.holders]


def test_each_message_takes_over_its_own_permit(engine: Engine) -> None:
    fetch = Fetch(engine, Scope.UNTIL_FINISHED)
    headers = published(engine, KEY, "a", "b", "c")
    seen: list[Any] = []
    fetch.during = lambda task: seen.append((task.lease.slot, slots(engine)))

    for id in ("c", "a", "b"):
        fetch.deliver(id, headers[id])

    assert seen == [(2, [0, 1, 2]), (0, [0, 1]), (1, [1])]
    assert slots(engine) == []


def test_a_message_without_a_permit_meets_the_queued_ones(engine: Engine) -> None:
    fetch = Fetch(engine, Scope.UNTIL_FINISHED)
    published(engine, KEY, "a", "b", "c")

    ended = fetch.deliver("d")

    assert is_skipped(ended.result)
    assert fetch.ran == []


def test_a_permit_whose_message_may_never_have_been_sent_skips_nobody(engine: Engine) -> None:
    fetch = Fetch(engine, Scope.UNTIL_FINISHED)
    published(engine, KEY, "a", "b")
    published(engine, KEY, "c", confirmed=False)

    ended = fetch.deliver("d")

    assert ended.state == "IGNORED"
    assert engine.sent[0].header["turns"] == 1


def test_a_message_that_had_a_permit_waits_for_another_one_whatever_the_policy(
    engine: Engine,
) -> None:
    fetch = Fetch(engine, Scope.UNTIL_FINISHED, on_conflict=fail())
    headers = published(engine, KEY, "a")
    assert engine.store.inner.free(KEY, queued("a", 0)) is not None  # by hand
    published(engine, KEY, "b", "c", "d")

    assert fetch.deliver("a", headers["a"]).state == "IGNORED"
    assert isinstance(fetch.deliver("e").result, LockConflict)
    assert engine.store.inner.free(KEY, queued("c", 0)) is not None
    fetch.deliver("a", {HEADER: engine.sent[-1].header})

    assert fetch.ran == ["a"]


@pytest.mark.parametrize("limit", [1, 5])
def test_queued_messages_keep_their_permits_through_a_deploy(engine: Engine, limit: int) -> None:
    fetch = Fetch(engine, Scope.UNTIL_FINISHED, limit=limit, on_conflict=requeue())
    headers = published(engine, KEY, "a", "b", "c", limit=3)
    beside: list[Ended] = []

    def within(task: Any) -> None:
        fetch.during = lambda task: "beside"
        beside.extend(fetch.deliver(id, headers[id]) for id in ("b", "c"))
        assert fetch.deliver("new").state == ("IGNORED" if limit == 1 else "SUCCESS")

    fetch.during = within
    fetch.deliver("a", headers["a"])

    assert [ended.result for ended in beside] == ["beside", "beside"]
    assert slots(engine) == []


def test_several_may_wait_in_the_queue_and_each_leaves_its_place_as_it_starts(
    engine: Engine,
) -> None:
    fetch = Fetch(engine, Scope.UNTIL_STARTED, limit=2)
    headers = published(engine, PLACE, "a", "b", limit=2)
    places: list[list[int]] = []
    fetch.during = lambda task: places.append(slots(engine, PLACE))

    new = fetch.deliver("c")
    fetch.deliver("b", headers["b"])
    fetch.deliver("a", headers["a"])

    assert is_skipped(new.result)
    assert places == [[0], []]


def test_a_copy_of_a_queued_message_gets_no_permit_of_another(engine: Engine) -> None:
    fetch = Fetch(engine, Scope.UNTIL_FINISHED)
    headers = published(engine, KEY, "a")
    copies: list[Ended] = []
    fetch.during = lambda task: copies.append(fetch.deliver("a", headers["a"], redelivered=True))

    fetch.deliver("a", headers["a"])

    assert fetch.ran == ["a"]
    assert [copy.state for copy in copies] == ["IGNORED"]


def test_a_run_without_its_lock_gives_back_what_its_publisher_took(engine: Engine) -> None:
    """A message that was published with its lease, and changed by hand since."""
    fetch = Fetch(engine, Scope.UNTIL_FINISHED)
    headers = published(engine, KEY, "a")
    headers["a"][HEADER]["unlocked"] = True

    fetch.deliver("a", headers["a"])

    assert fetch.ran == ["a"]
    assert slots(engine) == []
