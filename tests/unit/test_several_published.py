"""A list of locks whose publisher takes some: all of them, or none, from the call to the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from celery.exceptions import Retry

from celery_lock import Lock, LockConflict, Scope, fail, requeue, skip
from celery_lock.events import Conflicted
from celery_lock.message import HEADER

from .engine import Ended, Engine, deliver, locked
from .published import holder_of, published, queued
from .test_publishing import Message

FINISHED = [
    Lock("from:{a}", scope=Scope.UNTIL_FINISHED),
    Lock("to:{b}", scope=Scope.UNTIL_FINISHED),
]
BOTH = ("from:1", "to:2")
ONE_WAITS = [
    Lock("x:{a}", scope=Scope.UNTIL_STARTED, on_conflict=skip()),
    Lock("x:{a}", on_conflict=requeue()),
]
PLACE, KEY = "x:1%queued", "x:1"


class Shop:
    """One task, its publisher and its worker, without a server."""

    def __init__(self, locks: Any) -> None:
        self.engine = Engine()
        self.app = Celery("shop", broker="memory://", backend="cache+memory://")
        self.app.conf.update(task_default_queue=uuid4().hex)
        self.engine.install(self.app)
        self.ran: list[Any] = []
        self.during: Callable[[Any], Any] = lambda task: "done"

        def body(task: Any, a: int = 1, b: int = 2) -> Any:
            self.ran.append((a, b))
            return self.during(task)

        self.task = locked(self.app, locks, name="t", bind=True, max_retries=9)(body)

    def sent(self) -> list[Message]:
        with self.app.connection_for_read() as connection:
            queue = connection.SimpleQueue(self.app.conf.task_default_queue)
            found = []
            while queue.qsize():
                headers = queue.get_nowait().headers
                found.append(Message(headers["id"], headers.get(HEADER) or {}))
            return found

    def publish(self, *args: Any, **options: Any) -> Message | None:
        self.task.apply_async(args or (1, 2), **options)
        return next(iter(self.sent()), None)

    def deliver(self, message: Message, *args: Any, **request: Any) -> Ended:
        headers = request.pop("headers", {HEADER: message.header})
        args = args or (1, 2)
        return deliver(self.task, *args, id=message.id, tag=message.id, headers=headers, **request)

    def again(self) -> dict[str, Any]:
        return {HEADER: self.engine.sent[-1].header}

    def holders(self, *names: str) -> list[str | None]:
        return [holder_of(self.engine, name) for name in names]


def publish(shop: Shop, *args: Any) -> Message:
    message = shop.publish(*args)
    assert message is not None
    return message


# -- one waiting and one running --------------------------------------------------------------


def test_one_waits_and_one_runs() -> None:
    shop = Shop(ONE_WAITS)
    first = publish(shop)
    assert shop.publish() is None
    seen: list[Any] = []

    def while_it_runs(task: Any) -> None:
        shop.during = lambda task: "second"
        seen.append(shop.holders(PLACE))
        second = publish(shop)
        seen.append([second, shop.publish()])

    shop.during = while_it_runs

    assert shop.deliver(first).state == "SUCCESS"
    ((place,), (second, third)) = seen
    assert (place, third) == (None, None)
    assert shop.holders(PLACE, KEY) == [queued(second.id), None]
    assert shop.deliver(second).result == "second"
    assert shop.holders(PLACE, KEY) == [None, None]


def test_the_one_that_waits_keeps_its_place_until_it_runs() -> None:
    shop = Shop(ONE_WAITS)
    theirs = shop.engine.hold(KEY)
    message = publish(shop)

    assert shop.deliver(message).state == "IGNORED"
    assert shop.holders(PLACE) == [queued(message.id)]
    assert shop.publish() is None

    shop.engine.free(theirs)
    assert shop.deliver(message, headers=shop.again()).state == "SUCCESS"
    assert shop.holders(PLACE, KEY) == [None, None]


def test_the_lease_of_the_body_is_that_of_the_lock_that_runs() -> None:
    shop = Shop(ONE_WAITS)
    shop.during = lambda task: [task.lease.key, [lease.key for lease in task.leases]]

    assert shop.deliver(publish(shop)).result == [KEY, [KEY]]


def test_the_policy_of_the_running_lock_acts_on_a_message_that_had_a_place() -> None:
    shop = Shop([ONE_WAITS[0], Lock("x:{a}", on_conflict=fail())])
    shop.engine.hold(KEY)
    message = publish(shop)

    ended = shop.deliver(message)

    assert isinstance(ended.result, LockConflict)
    assert ended.result.key == KEY
    assert shop.holders(PLACE) == [None]


def test_a_message_of_somebody_without_the_library_takes_a_place_and_gives_it_back() -> None:
    shop = Shop(ONE_WAITS)
    shop.during = lambda task: shop.holders(PLACE, KEY)
    message = Message("id-1", {})

    place, key = shop.deliver(message, headers={}).result

    assert place is None
    assert key is not None
    assert shop.holders(PLACE, KEY) == [None, None]


# -- until finished ---------------------------------------------------------------------------


def test_all_are_taken_as_it_is_published_and_freed_as_it_ends() -> None:
    shop = Shop(FINISHED)
    shop.during = lambda task: [lease.key for lease in task.leases]

    message = publish(shop)
    kept = shop.holders(*BOTH)
    ended = shop.deliver(message)

    assert message.header["keys"] == list(BOTH)
    assert sorted(message.header["lease"]["names"]) == sorted(BOTH)
    assert kept == [queued(message.id)] * 2
    assert ended.result == list(BOTH)
    assert shop.holders(*BOTH) == [None, None]


@pytest.mark.parametrize("busy", BOTH)
def test_if_one_is_taken_as_it_is_published_the_other_one_is_left(busy: str) -> None:
    locks = [
        Lock(lock.key, scope=lock.scope, on_conflict=fail() if lock.key[:2] == busy[:2] else skip())
        for lock in FINISHED
    ]
    shop = Shop(locks)
    message = publish(shop)
    shop.deliver(message)
    other = {"from:1": (1, 9), "to:2": (9, 2)}[busy]
    publish(shop)

    with pytest.raises(LockConflict) as error:
        shop.publish(*other)

    assert error.value.key == busy
    free = {"from:1": "to:9", "to:2": "from:9"}[busy]
    assert shop.holders(free) == [None]


def test_transfers_in_both_directions_end_one_after_the_other() -> None:
    """Each would hold off the other one for a day, if one waited with a key of the other's."""
    locks = [
        Lock("acct:{a}", scope=Scope.UNTIL_FINISHED, on_conflict=requeue()),
        Lock("acct:{b}", scope=Scope.UNTIL_FINISHED, on_conflict=requeue()),
    ]
    shop = Shop(locks)
    there, back = publish(shop, 1, 2), publish(shop, 2, 1)

    assert "had" not in back.header
    assert shop.deliver(back, 2, 1).state == "IGNORED"
    assert shop.deliver(there, 1, 2).state == "SUCCESS"
    assert shop.deliver(back, 2, 1, headers=shop.again()).state == "SUCCESS"
    assert shop.holders("acct:1", "acct:2") == [None, None]


def test_a_retry_keeps_all() -> None:
    shop = Shop(FINISHED)
    message = publish(shop)

    def once_more(task: Any) -> Any:
        raise Retry("later", sig=task.s(1, 2))

    shop.during = once_more
    assert shop.deliver(message).state == "RETRY"
    assert shop.holders(*BOTH) == [queued(message.id, 1)] * 2
    shop.during = lambda task: "done"

    assert shop.deliver(message, retries=1).state == "SUCCESS"
    assert shop.holders(*BOTH) == [None, None]


@pytest.mark.parametrize("lapsed", BOTH)
def test_if_one_has_lapsed_the_other_one_is_given_back_and_no_policy_is_asked(lapsed: str) -> None:
    shop = Shop(FINISHED)
    message = publish(shop)
    assert shop.engine.store.inner.free(lapsed, queued(message.id))
    theirs = shop.engine.hold(lapsed)

    assert shop.deliver(message).state == "IGNORED"
    assert [fact.key for fact in shop.engine.told(Conflicted)] == [lapsed]
    free = next(name for name in BOTH if name != lapsed)
    assert shop.holders(free) == [None]
    assert shop.again()[HEADER]["turns"] == 1

    shop.engine.free(theirs)
    assert shop.deliver(message, headers=shop.again()).state == "SUCCESS"
    assert shop.holders(*BOTH) == [None, None]


def test_a_lease_of_a_message_that_never_ran_is_freed_for_all_keys() -> None:
    shop = Shop(FINISHED)
    headers = published(shop.engine, *BOTH, keys=["one", "two", "three"])

    shop.deliver(Message("id-1", {}), headers=headers)

    assert shop.holders(*BOTH) == [None, None]


def test_two_locks_that_spell_one_key_are_taken_once_as_published() -> None:
    shop = Shop(
        [Lock("acct:{a}", scope=Scope.UNTIL_FINISHED), Lock("acct:{b}", scope=Scope.UNTIL_FINISHED)]
    )
    message = publish(shop, 5, 5)

    assert message.header["lease"]["names"] == ["acct:5"]
    assert message.header["keys"] == ["acct:5", "acct:5"]
    assert shop.deliver(message, 5, 5).state == "SUCCESS"
    assert shop.holders("acct:5") == [None]


# -- what its sender says ---------------------------------------------------------------------


def test_the_keys_that_a_sender_names_are_taken_as_it_is_published() -> None:
    shop = Shop(FINISHED)
    named = {HEADER: {"v": 1, "keys": ["from:a", "to:b"]}}

    message = shop.publish(headers=named)

    assert message is not None
    assert message.header["keys"] == ["from:a", "to:b"]
    assert shop.holders("from:a", "from:1") == [queued(message.id), None]


def test_a_single_key_of_a_sender_is_published_without_a_lease_and_fails_on_its_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shop = Shop(FINISHED)

    message = shop.publish(headers={HEADER: {"v": 1, "key": "from:1"}})

    assert message is not None
    assert "had" not in message.header
    assert "names one key, 'from:1', and task t has 2 locks" in caplog.text
    assert shop.deliver(message).state == "FAILURE"
    assert shop.ran == []
