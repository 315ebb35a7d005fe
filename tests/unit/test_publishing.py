"""A publisher takes the lease: what is sent, what it says, and what is left when nothing is."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, ClassVar, NamedTuple
from uuid import uuid4

import pytest
from celery import Celery, Task, signals
from celery.beat import Scheduler
from celery.result import AsyncResult, EagerResult, ResultSet
from celery.schedules import crontab

from celery_lock import (
    Conflict,
    Lock,
    LockConfigurationError,
    LockConflict,
    LockedTask,
    Scope,
    StoreError,
    fail,
    is_skipped,
    peek,
    requeue,
    skip,
    wait,
)
from celery_lock.errors import StoreUnavailable
from celery_lock.events import Conflicted, StoreFailed
from celery_lock.message import HEADER, mark_of, marked
from celery_lock.model import Claim, End, Held, Holder, Lease
from celery_lock.task import fitted
from celery_lock.task.binding import bind

from .engine import Engine, deliver, locked

PUBLISHERS = [each for each in Scope if each.is_publishers]


class Message(NamedTuple):
    """One that was sent."""

    id: str
    header: dict[str, Any]


class Shop:
    """An app without a server, and what it has sent."""

    def __init__(self, *, main: str = "shop", engine: Engine | None = None, **conf: Any) -> None:
        self.engine = engine or Engine()
        self.app = Celery(main, broker="memory://", backend="cache+memory://", set_as_current=False)
        self.app.conf.update(task_default_queue=uuid4().hex, **conf)
        self.engine.install(self.app)

    def task(self, lock: Any = ..., name: str = "report", **options: Any) -> Any:
        def body(shop_id: int, to: str = "") -> None: ...

        return locked(self.app, lock, name=name, **options)(body)

    @property
    def sent(self) -> list[Message]:
        """What lies in the queue."""
        with self.app.connection_for_read() as connection:
            queue = connection.SimpleQueue(self.app.conf.task_default_queue)
            found = []
            while queue.qsize():
                headers = queue.get_nowait().headers
                found.append(Message(headers["id"], headers.get(HEADER) or {}))
            return found

    def held(self, name: str) -> Held | None:
        return self.engine.store.inner.peek(name)


@pytest.fixture
def shop() -> Shop:
    return Shop()


def lock_of(scope: Scope, **options: Any) -> Lock:
    return Lock("report:{shop_id}", scope=scope, **options)


def name_of(scope: Scope, shop_id: int = 7) -> str:
    return scope.name_of(f"report:{shop_id}")


UNTIL_FINISHED = lock_of(Scope.UNTIL_FINISHED)
ONE_AND_ONE = [lock_of(Scope.UNTIL_STARTED), lock_of(Scope.WHILE_RUNNING)]
TWO = [lock_of(Scope.UNTIL_FINISHED), Lock("to:{to}", scope="until_finished", on_conflict=fail())]


# -- what is sent ----------------------------------------------------------------------------


@pytest.mark.parametrize("scope", PUBLISHERS)
def test_a_message_carries_the_lease_that_was_taken_for_it(shop: Shop, scope: Scope) -> None:
    result = shop.task(lock_of(scope)).delay(7)

    (message,) = shop.sent
    assert isinstance(result, AsyncResult)
    assert message.id == result.id == message.header["id"]
    assert message.header["key"] == "report:7"
    assert message.header["had"] is True
    store = shop.engine.locker.store_id.get()
    assert message.header["lease"] == {"names": [name_of(scope)], "store": store}
    held = shop.held(name_of(scope))
    assert held is not None
    assert held.holder == str(Holder.for_retry(result.id, 0))
    assert held.expires_in == pytest.approx(86_400)


def test_a_lock_that_a_worker_takes_asks_no_store(shop: Shop) -> None:
    shop.engine.store.refuse()

    shop.task(Lock("report:{shop_id}")).delay(7)

    (message,) = shop.sent
    assert set(message.header) == {"v", "id", "publication"}


def test_while_it_is_sent_the_lease_is_unconfirmed(shop: Shop) -> None:
    seen: list[Held | None] = []

    said: list[str] = []

    def look(**_: Any) -> None:
        seen.append(shop.held("report:7"))
        said.append(str(peek("report:7", shop.app)))

    signals.before_task_publish.connect(look)
    try:
        sent = shop.task(UNTIL_FINISHED).delay(7)
    finally:
        signals.before_task_publish.disconnect(look)

    (held,) = seen
    assert held is not None
    assert [one.unconfirmed for one in held.holders] == [True]
    assert f"is taken for {sent.id}, a message that is being sent" in said[0]
    assert held.expires_in == pytest.approx(30)


@pytest.mark.parametrize(
    ("options", "life"),
    [
        ({}, 600.0),
        ({"countdown": 3600}, 4200.0),
        ({"eta": timedelta(hours=1)}, 4200.0),
        ({"eta": (timedelta(hours=1), datetime.isoformat)}, 4200.0),
        ({"eta": timedelta(hours=-1)}, 600.0),
        ({"expires": 60}, 60.0),
        ({"expires": timedelta(seconds=60)}, 60.0),
        ({"expires": 0.1}, 0.1),
        ({"countdown": 30, "expires": 6000}, 630.0),
        ({"countdown": 10**9, "expires": 10**9}, 315_360_000.0),
    ],
)
def test_a_queued_message_keeps_its_key_for_so_long(
    shop: Shop, options: dict[str, Any], life: float
) -> None:
    task = shop.task(lock_of(Scope.UNTIL_FINISHED, queue_ttl=600))

    task.apply_async((7,), **{name: from_now(value) for name, value in options.items()})

    held = shop.held("report:7")
    assert held is not None
    assert held.expires_in == pytest.approx(life, abs=5 if life > 5 else 0.05)


def from_now(value: Any) -> Any:
    if isinstance(value, tuple):
        later, written = value
        return written(from_now(later))
    return datetime.now(timezone.utc) + value if isinstance(value, timedelta) else value


def test_the_expiry_of_the_task_bounds_it_too(shop: Shop) -> None:
    shop.task(UNTIL_FINISHED, expires=60).delay(7)

    held = shop.held("report:7")
    assert held is not None
    assert held.expires_in == pytest.approx(60, abs=5)


def test_positions_of_apply_async_count_as_ever(shop: Shop) -> None:
    result = shop.task(UNTIL_FINISHED).apply_async((), {"shop_id": 7}, "id-7")

    assert result.id == "id-7"
    assert [message.id for message in shop.sent] == ["id-7"]


def test_a_key_that_its_sender_names_is_the_one_that_is_taken(shop: Shop) -> None:
    shop.task(UNTIL_FINISHED).apply_async((7,), headers={HEADER: {"v": 1, "key": "mine"}})

    (message,) = shop.sent
    assert (message.header["key"], message.header["given"]) == ("mine", True)
    assert shop.held("mine") is not None
    assert shop.held("report:7") is None


def test_a_bucket_is_the_same_for_the_worker(shop: Shop) -> None:
    task = shop.task(Lock("report:{bucket:1h}", scope="until_finished"))

    task.delay(7)

    (message,) = shop.sent
    assert isinstance(message.header["first_published"], float)
    assert shop.held(message.header["key"]) is not None


# -- nothing is sent -------------------------------------------------------------------------


class Refused(Exception):
    """The broker says no."""


def refusing(**_: Any) -> None:
    raise Refused


@pytest.mark.parametrize("scope", PUBLISHERS)
def test_a_send_that_fails_leaves_nothing_taken(shop: Shop, scope: Scope) -> None:
    task = shop.task(lock_of(scope))

    with pytest.raises(Refused):
        task.apply_async((7,), producer=Refusing())

    assert shop.held(name_of(scope)) is None
    task.delay(7)
    assert shop.held(name_of(scope)) is not None


class Refusing:
    """A producer of a broker that says no."""

    def __getattr__(self, name: str) -> Any:
        raise Refused


def test_a_message_that_a_class_behind_ours_keeps_holds_no_key(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    kept: list[Any] = []
    task = shop.task(UNTIL_FINISHED)
    own = shop.app.send_task
    shop.app.send_task = lambda *args, **options: kept.append((args, options))
    try:
        task.delay(7)
    finally:
        shop.app.send_task = own

    assert kept
    assert shop.held("report:7") is None
    assert "apply_async has not sent a message of task report. If" in caplog.text


class AfterCommit(Task):
    """Sends after a commit, as many a project's base class does."""

    abstract = True
    sends: ClassVar[list[Callable[[], Any]]] = []

    def apply_async(self, *args: Any, **options: Any) -> Any:
        self.sends.append(partial(super().apply_async, *args, **options))

    @classmethod
    def commit(cls) -> None:
        while cls.sends:
            cls.sends.pop(0)()


def send_twice_and_commit(shop: Shop, *bases: type) -> None:
    task = shop.task(UNTIL_FINISHED, base=type("Both", bases, {"abstract": True}))
    for _ in range(2):
        task.delay(7)
    AfterCommit.commit()


def test_a_class_behind_ours_that_sends_later_is_named_once(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    send_twice_and_commit(shop, LockedTask, AfterCommit)

    assert len(shop.sent) == 2
    assert caplog.text.count("AfterCommit.apply_async has not sent a message of task report") == 1
    assert "write class Both(AfterCommit, LockedTask)" in caplog.text


def test_a_class_before_ours_that_sends_later_sends_no_duplicate(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    send_twice_and_commit(shop, AfterCommit, LockedTask)

    assert len(shop.sent) == 1
    assert shop.held("report:7") is not None
    assert "has not sent" not in caplog.text


def test_a_call_that_its_task_does_not_take_takes_no_key(shop: Shop) -> None:
    with pytest.raises(TypeError) as said:
        shop.task(UNTIL_FINISHED).delay()

    assert shop.sent == []
    assert said.value.__context__ is None, "it is told as that of a plain task"


def test_a_call_that_is_sent_though_its_task_does_not_take_it_is_warned_of(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """Its class may add an argument: then the worker alone can make the key."""
    task = shop.task(UNTIL_FINISHED)
    type(task).typing = False

    task.delay()

    (message,) = shop.sent
    assert "had" not in message.header
    assert "published without its lease" in caplog.text
    assert "missing a required argument" in caplog.text


def test_a_key_that_cannot_be_made_is_left_to_the_worker(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    def key(shop_id: int, to: str = "") -> str:
        raise RuntimeError("only on a worker")

    shop.task(Lock(key, scope="until_finished")).delay(7)

    (message,) = shop.sent
    assert "had" not in message.header
    assert "published without its lease" in caplog.text
    assert "only on a worker" in caplog.text


def test_a_header_that_is_missing_is_named_and_the_message_sent(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.task(Lock("report:{header[tenant]}", scope="until_finished")).delay(7)

    (message,) = shop.sent
    assert "had" not in message.header
    assert "no header 'tenant'" in caplog.text


def test_a_header_of_the_call_is_shown(shop: Shop) -> None:
    task = shop.task(Lock("report:{header[tenant]}", scope="until_finished"))

    task.apply_async((7,), headers={"tenant": "acme"})

    assert shop.held("report:acme") is not None


@pytest.mark.parametrize("word", ["requeue", "run"])
def test_without_a_store_the_message_is_sent_without_a_lease(shop: Shop, word: Any) -> None:
    shop.engine.store.refuse()

    shop.task(lock_of(Scope.UNTIL_FINISHED, on_store_error=word)).delay(7)

    (message,) = shop.sent
    assert "had" not in message.header
    (fact,) = shop.engine.told(StoreFailed)
    assert fact.answer == "send"


def test_an_answer_that_was_lost_leaves_nothing_taken(shop: Shop) -> None:
    task = shop.task(UNTIL_FINISHED)
    shop.engine.locker.store_id.get()
    shop.engine.store.lose_answer("acquire")

    task.delay(7)

    shop.engine.settle()
    assert shop.held("report:7") is None


@pytest.mark.parametrize("several", [False, True])
def test_a_confirmation_without_an_answer_is_made_again(shop: Shop, several: bool) -> None:
    shop.engine.store.refuse("release", "release_all")
    task = shop.task(TWO if several else UNTIL_FINISHED)

    result = task.delay(7)

    (fact,) = shop.engine.told(StoreFailed)
    assert (fact.call, fact.answer) == ("confirm", "retry")
    shop.engine.settle()
    for name in ("report:7", "to:") if several else ("report:7",):
        held = shop.held(name)
        assert held is not None
        assert held.holder == str(Holder.for_retry(result.id, 0))


def test_a_confirmation_that_nobody_waits_for_is_made_again(shop: Shop) -> None:
    left: list[Any] = []
    vars(shop.engine.locker.store)["release_unheard"] = lambda *said: left.append(said)
    result = shop.task(UNTIL_FINISHED).delay(7)
    (_, end, failed) = left.pop()
    assert end.heir == str(Holder.for_retry(result.id, 0))

    failed(StoreUnavailable("redis://nowhere", "its connection died"))

    assert shop.engine.told(StoreFailed) == []  # not within somebody else's call
    shop.engine.settle()
    (fact,) = shop.engine.told(StoreFailed)
    assert (fact.call, fact.answer) == ("confirm", "retry")
    held = shop.held("report:7")
    assert held is not None
    assert held.holder == end.heir


@pytest.mark.parametrize("several", [False, True])
def test_a_confirmation_that_comes_behind_a_duplicate_is_not_overlooked(
    shop: Shop, several: bool
) -> None:
    task = shop.task(TWO if several else UNTIL_FINISHED)
    on_its_way: list[Any] = []
    store: Any = shop.engine.store
    vars(shop.engine.locker.store)["release_unheard"] = lambda *said: None
    claim = Claim("report:7", "first#node@host#4711#x.1", 30.0, unconfirmed=True)
    lease = store.inner.acquire(claim)
    on_its_way.append(End(heir="first/queued/0", heir_ttl=60.0))

    def confirmed_behind_it(call: Any) -> Any:
        answer = call()
        if on_its_way:
            store.inner.release(lease, on_its_way.pop())
        return answer

    store.instead("acquire", "acquire_all", do=confirmed_behind_it)

    task.delay(7)

    (message,) = shop.sent
    assert message.header.get("wait") is True  # behind somebody else's message, by what is known


def test_a_process_that_leaves_hears_what_nobody_waited_for(shop: Shop) -> None:
    heard = []
    vars(shop.engine.locker.store)["hear"] = lambda: heard.append(True)

    shop.engine.locker.pending.make_now()

    assert heard == [True]


def test_a_lock_may_say_that_it_is_not_sent_without_a_store(shop: Shop) -> None:
    task = shop.task(lock_of(Scope.UNTIL_FINISHED, on_store_error="fail"))

    with shop.engine.store.down(), pytest.raises(StoreError):
        task.delay(7)

    assert shop.sent == []


def test_a_publish_that_is_interrupted_leaves_nothing_taken(shop: Shop) -> None:
    task = shop.task(UNTIL_FINISHED)
    shop.engine.locker.store_id.get()
    shop.engine.store.lose_answer("acquire", error=KeyboardInterrupt(), times=1)

    with pytest.raises(KeyboardInterrupt):
        task.delay(7)

    shop.engine.settle()
    assert shop.held("report:7") is None


# -- a duplicate -----------------------------------------------------------------------------


@pytest.mark.parametrize("scope", PUBLISHERS)
def test_a_duplicate_is_not_sent_and_has_the_result_of_the_first(shop: Shop, scope: Scope) -> None:
    task = shop.task(lock_of(scope))
    first = task.delay(7)

    second = task.delay(shop_id=7)

    assert len(shop.sent) == 1
    assert type(second) is type(first)
    assert second.id == first.id
    (fact,) = shop.engine.told(Conflicted)
    assert (fact.key, fact.holder.task_id, fact.decision) == (name_of(scope), first.id, skip())


def test_another_key_is_no_duplicate(shop: Shop) -> None:
    task = shop.task(UNTIL_FINISHED)

    assert task.delay(7).id != task.delay(8).id
    assert len(shop.sent) == 2


def test_fail_is_raised_to_the_caller(shop: Shop) -> None:
    task = shop.task(lock_of(Scope.UNTIL_FINISHED, on_conflict=fail()))
    first = task.delay(7)

    with pytest.raises(LockConflict, match="which is queued") as caught:
        task.delay(7)

    assert (caught.value.key, caught.value.holder) == ("report:7", first.id)
    assert len(shop.sent) == 1


@pytest.mark.parametrize("policy", [requeue(), wait(1), lambda c: requeue()])
def test_any_other_policy_is_asked_on_the_worker(shop: Shop, policy: Any) -> None:
    task = shop.task(lock_of(Scope.UNTIL_FINISHED, on_conflict=policy))
    task.delay(7)

    task.delay(7)

    _, message = shop.sent
    assert message.header["key"] == "report:7"
    assert not {"had", "lease", "wait", "verdict"} & set(message.header)
    assert shop.engine.told(Conflicted) == []


def test_a_function_is_asked_where_it_is_published(shop: Shop) -> None:
    asked: list[Conflict] = []

    def policy(conflict: Conflict) -> Any:
        asked.append(conflict)
        return skip(result="no")

    task = shop.task(lock_of(Scope.UNTIL_FINISHED, on_conflict=policy))
    first = task.delay(7)

    task.delay(7)

    (conflict,) = asked
    assert (conflict.attempt, conflict.holder.task_id) == (1, first.id)
    assert (conflict.task, conflict.in_canvas, conflict.state) == ("report", False, "queued")


def test_a_function_that_is_wrong_loses_no_message(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    task = shop.task(lock_of(Scope.UNTIL_FINISHED, on_conflict=lambda c: "nonsense"))
    task.delay(7)

    task.delay(7)

    assert len(shop.sent) == 2
    assert "answered 'nonsense'" in caplog.text


def test_whoever_may_never_have_sent_is_no_reason_to_drop(shop: Shop) -> None:
    shop.engine.hold("report:7", unconfirmed=True)

    shop.task(UNTIL_FINISHED).delay(7)

    (message,) = shop.sent
    assert not {"had", "wait", "verdict"} & set(message.header)


def test_a_body_of_the_same_task_answers_too(shop: Shop) -> None:
    """A worker has adopted the lease, and runs."""
    task = shop.task(UNTIL_FINISHED)
    first = task.delay(7)
    (message,) = shop.sent
    adopted = shop.engine.claim(
        "report:7",
        task_id=first.id,
        heir_of=str(Holder.for_retry(first.id, 0)),
        publication=f"{message.header['publication']}@celery",
    )
    assert isinstance(shop.engine.store.inner.acquire(adopted), Lease)

    assert task.delay(7).id == first.id
    assert shop.sent == []


@pytest.mark.parametrize(
    ("holder", "mark"),
    [
        (str(Holder.outside("web", 4, "n1")), ""),
        ("id-9#w1@host#7#n.1", "abc@celery"),
        ("id-9#w1@host#7#n.1", marked("abc", mark_of("shop", "other")) + "@celery"),
        ("id-9#w1@host#7#n.1", marked("abc", mark_of("depot", "report")) + "@celery"),
    ],
    ids=["hold()", "a release before", "another task", "another app"],
)
@pytest.mark.parametrize("policy", [skip(), fail()])
def test_another_holder_is_waited_for(shop: Shop, holder: str, mark: str, policy: Any) -> None:
    assert isinstance(
        shop.engine.store.inner.acquire(Claim("report:7", holder, 30.0, publication=mark)), Lease
    )

    shop.task(lock_of(Scope.UNTIL_FINISHED, on_conflict=policy)).delay(7)

    (message,) = shop.sent
    assert message.header["wait"] is True
    assert "had" not in message.header


def test_a_template_of_two_tasks_keeps_them_apart(shop: Shop) -> None:
    shop.task(UNTIL_FINISHED).delay(7)

    shop.task(UNTIL_FINISHED, name="another").delay(7)

    _, message = shop.sent
    assert message.header["wait"] is True


def test_two_apps_are_kept_apart(shop: Shop) -> None:
    other = Shop(main="depot", engine=shop.engine)
    shop.task(UNTIL_FINISHED).delay(7)

    other.task(UNTIL_FINISHED).delay(7)

    (message,) = other.sent
    assert message.header["wait"] is True


@pytest.mark.parametrize(("policy", "sends"), [(skip(), False), (fail(), False), (requeue(), True)])
def test_a_floor_alone(shop: Shop, policy: Any, sends: bool) -> None:
    shop.engine.free(shop.engine.hold("report:7", task_id="before", at_least=60))
    task = shop.task(lock_of(Scope.UNTIL_FINISHED, on_conflict=policy, at_least=60))

    if policy == fail():
        with pytest.raises(LockConflict, match="kept taken by at_least"):
            task.delay(7)
    else:
        result = task.delay(7)
        assert sends or is_skipped(result.get())

    assert len(shop.sent) == sends


def test_a_floor_does_not_count_while_a_message_is_queued(shop: Shop) -> None:
    shop.task(lock_of(Scope.UNTIL_FINISHED, at_least=60)).delay(7)

    held = shop.held("report:7")
    assert held is not None
    assert shop.engine.store.inner.free("report:7", held.holder) is not None
    assert shop.held("report:7") is None


# -- whose result cannot be read -------------------------------------------------------------


def second(shop: Shop, *, first: dict[str, Any], **options: Any) -> Any:
    task = shop.task(UNTIL_FINISHED)
    task.apply_async((7,), **first)
    result = task.apply_async((7,), **options)
    assert len(shop.sent) == 1
    return result


def test_nobody_reads_a_result_that_nobody_stores(shop: Shop) -> None:
    result = second(shop, first={"ignore_result": True})

    assert isinstance(result, EagerResult)
    assert is_skipped(result.get())
    assert result.get()["skipped"] == "report:7"


def test_who_ignores_its_own_result_asks_for_none(shop: Shop) -> None:
    result = second(shop, first={}, ignore_result=True)

    assert isinstance(result, EagerResult)


@pytest.mark.parametrize("backend", ["disabled://", "rpc://"])
def test_a_backend_may_have_no_result_to_read(backend: str) -> None:
    shop = Shop()
    shop.app.conf.result_backend = backend

    result = second(shop, first={})

    assert isinstance(result, EagerResult)
    assert is_skipped(result.get())


def test_the_result_of_who_is_skipped_may_be_the_first_of_a_set(shop: Shop) -> None:
    result = second(shop, first={"ignore_result": True})

    assert ResultSet([result]).app is shop.app  # whose backend it asks for the others


def test_skip_may_have_a_result_of_its_own() -> None:
    shop = Shop()
    task = shop.task(
        lock_of(Scope.UNTIL_FINISHED, on_conflict=skip(result="no")), ignore_result=True
    )
    task.delay(7)

    assert task.delay(7).get() == "no"


def test_what_is_put_around_the_methods_of_a_task_does_not_leave_ours_out(shop: Shop) -> None:
    """By an annotation `"@apply_async"`, which Celery puts around what a method has wrapped."""
    task = shop.task(UNTIL_FINISHED)
    calls: list[Any] = []

    def audit(inner: Any) -> Any:
        def apply_async(self: Any, *args: Any, **options: Any) -> Any:
            calls.append(args)
            return inner(self, *args, **options)

        return apply_async

    type(task).add_around("apply_async", audit)
    task.delay(7)
    task.delay(7)

    assert len(calls) == 2
    assert len(shop.sent) == 1


@pytest.mark.parametrize("name", ["apply_async", "apply", "retry"])
def test_a_method_shows_the_parameters_of_celerys(name: str) -> None:
    shown = inspect.signature(getattr(LockedTask, name))

    assert shown == inspect.signature(getattr(Task, name))


# -- permits and several locks ---------------------------------------------------------------


def test_with_permits_the_oldest_answers(shop: Shop) -> None:
    task = shop.task(lock_of(Scope.UNTIL_FINISHED, limit=2))
    first = task.delay(7)
    shop.engine.clock.move(1)
    task.delay(7)

    assert task.delay(7).id == first.id
    assert len(shop.sent) == 2


def test_with_permits_one_that_runs_answers_before_those_in_the_queue(shop: Shop) -> None:
    task = shop.task(lock_of(Scope.UNTIL_FINISHED, limit=2))
    first = task.delay(7)
    shop.engine.clock.move(1)
    task.delay(7)
    shop.engine.clock.move(1)
    started, _ = shop.sent
    adopting = Claim(
        name_of(Scope.UNTIL_FINISHED),
        f"{first.id}#worker#1#nonce.1",
        30.0,
        heir_of=str(Holder.for_retry(first.id, 0)),
        publication=started.header["publication"],
        limit=2,
    )
    assert isinstance(shop.engine.store.inner.acquire(adopting), Lease)

    assert task.delay(7).id == first.id


# -- canvas ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"parent_id": "p"},
        {"group_id": "g"},
        {"task_id": "preset"},
        {"chain": [{"task": "next"}]},
        {"link": [{"task": "next", "args": (), "kwargs": {}, "options": {}}]},
        {"link_error": [{"task": "next", "args": (), "kwargs": {}, "options": {}}]},
    ],
    ids=lambda options: next(iter(options)),
)
@pytest.mark.parametrize(("policy", "word"), [(skip(), "skip"), (fail(), "fail")])
def test_a_duplicate_that_somebody_waits_for_is_sent_with_its_verdict(
    shop: Shop, options: dict[str, Any], policy: Any, word: str
) -> None:
    task = shop.task(lock_of(Scope.UNTIL_FINISHED, on_conflict=policy))
    first = task.delay(7)

    second = task.apply_async((7,), **options)

    _, message = shop.sent
    assert message.id == second.id != first.id
    assert message.header["verdict"] == word
    assert message.header["met"] == {
        "key": "report:7",
        "by": str(Holder.for_retry(first.id, 0)),
        "expires_in": 86_400,
        "live": True,
    }
    assert "had" not in message.header


def test_a_member_of_a_canvas_takes_a_free_key(shop: Shop) -> None:
    shop.task(UNTIL_FINISHED).apply_async((7,), group_id="g", task_id="t-1")

    (message,) = shop.sent
    assert message.header["had"] is True


def test_a_verdict_ends_the_message_on_its_worker(shop: Shop) -> None:
    task = shop.task(UNTIL_FINISHED)
    header = {"v": 1, "id": "id-2", "publication": "n", "key": "report:7", "verdict": "skip"}

    ended = deliver(
        task, 7, id="id-2", headers={HEADER: {**header, "met": {"key": "report:7", "by": "id-1"}}}
    )

    assert ended == ("SUCCESS", {"skipped": "report:7", "held_by": "id-1"})
    assert shop.held("report:7") is None


def test_a_verdict_may_be_a_failure(shop: Shop) -> None:
    task = shop.task(lock_of(Scope.UNTIL_FINISHED, on_conflict=fail()))
    header = {"v": 1, "id": "id-2", "publication": "n", "key": "report:7", "verdict": "fail"}
    met = {"key": "report:7", "by": "id-1/queued/0", "expires_in": 60.0}

    ended = deliver(task, 7, id="id-2", headers={HEADER: {**header, "met": met}})

    assert ended.state == "FAILURE"
    assert isinstance(ended.result, LockConflict)
    assert (ended.result.holder, ended.result.state) == ("id-1", "queued")
    assert ended.result.expires_in == 60.0


def test_who_waits_for_another_holder_asks_no_policy(shop: Shop) -> None:
    task = shop.task(UNTIL_FINISHED)
    shop.engine.hold("report:7")
    header = {"v": 1, "id": "id-2", "publication": "n", "key": "report:7", "wait": True}

    ended = deliver(task, 7, id="id-2", headers={HEADER: header})

    assert ended.state == "IGNORED"
    (again,) = shop.engine.sent
    assert (again.header["wait"], again.header["turns"]) == (True, 1)


# -- what is published plain -----------------------------------------------------------------


def test_in_eager_mode_nothing_is_taken_for_a_message(shop: Shop) -> None:
    shop.app.conf.task_always_eager = True
    task = shop.task(UNTIL_FINISHED)
    other = shop.engine.hold("report:8")

    assert task.delay(7).successful()

    assert shop.held("report:7") is None
    assert is_skipped(task.delay(8).get())
    held = shop.held("report:8")
    assert held is not None
    assert held.holder == other.holder


def test_a_retry_takes_nothing_where_it_is_published(shop: Shop) -> None:
    shop.task(UNTIL_FINISHED).apply_async((7,), task_id="id-1", retries=1)

    (message,) = shop.sent
    assert "had" not in message.header
    assert shop.held("report:7") is None


def test_other_locks_of_the_app_publish_without_the_store(shop: Shop) -> None:
    shop.task(UNTIL_FINISHED)
    shop.engine.store.refuse()

    shop.task(Lock("other:{shop_id}"), name="other").delay(7)

    assert len(shop.sent) == 1


def test_a_publish_under_the_same_id_is_no_second_message(shop: Shop) -> None:
    """Nobody can read two results under one id."""
    task = shop.task(UNTIL_FINISHED)
    task.apply_async((7,), task_id="mine")

    again = task.apply_async((7,), task_id="mine")

    assert again.id == "mine"
    assert len(shop.sent) == 1


def test_a_publish_that_is_made_once_more_has_the_lease_of_the_first_try(shop: Shop) -> None:
    """Its publisher has died in between, or its broker gave no answer."""
    shop.engine.hold("report:7", task_id="mine", unconfirmed=True)

    shop.task(UNTIL_FINISHED).apply_async((7,), task_id="mine")

    (message,) = shop.sent
    assert message.header["had"] is True
    assert message.header["lease"]["names"] == ["report:7"]


# -- schedules -------------------------------------------------------------------------------

TICK = {
    "v": 1,
    "publication": "beat:shop:nightly:2026-11-23T14%3A00",
    "beat": {"entry": "nightly", "due": "2026-11-23T14:00:00+00:00"},
}


@pytest.mark.parametrize("policy", [skip(), fail()])
def test_a_tick_that_is_a_duplicate_is_not_sent_and_no_error(shop: Shop, policy: Any) -> None:
    """Its scheduler counts it as sent."""
    task = shop.task(lock_of(Scope.UNTIL_FINISHED, on_conflict=policy))
    first = task.delay(7)

    result = task.apply_async((7,), task_id="tick", headers={HEADER: TICK})

    assert result.id == first.id
    assert len(shop.sent) == 1
    (fact,) = shop.engine.told(Conflicted)
    assert fact.decision == skip()


def test_a_tick_that_is_free_keeps_its_name_and_its_mark(shop: Shop) -> None:
    shop.task(UNTIL_FINISHED).apply_async((7,), task_id="tick", headers={HEADER: TICK})

    (message,) = shop.sent
    assert message.header["publication"] == marked(TICK["publication"], mark_of("shop", "report"))
    assert message.header["beat"] == TICK["beat"]
    assert message.header["had"] is True


@pytest.mark.parametrize("policy", [skip(), fail()])
def test_celerys_own_beat_logs_no_error_for_a_duplicate(shop: Shop, policy: Any) -> None:
    task = shop.task(lock_of(Scope.UNTIL_FINISHED, on_conflict=policy))
    first = task.delay(7)
    scheduler = Scheduler(shop.app, lazy=True)
    entry = scheduler.Entry(
        name="nightly", task="report", args=(7,), schedule=crontab(), app=shop.app
    )

    assert scheduler.apply_async(entry, advance=False).id == first.id

    assert len(shop.sent) == 1


def test_a_call_without_its_lock_takes_no_lease(shop: Shop) -> None:
    task = shop.task(UNTIL_FINISHED)
    task.delay(7)

    task.apply_async((7,), lock=None)
    task.apply_async((7,), headers={HEADER: {"v": 1, "unlocked": True}})

    _, *others = shop.sent
    assert [each.header["unlocked"] for each in others] == [True, True]
    assert not any({"had", "wait", "key"} & set(each.header) for each in others)


def test_a_lock_of_one_call_is_refused_and_leaves_nothing_taken(shop: Shop) -> None:
    with pytest.raises(LockConfigurationError):
        shop.task(UNTIL_FINISHED).apply_async((7,), lock=UNTIL_FINISHED)

    assert shop.held("report:7") is None
    assert shop.engine.store.calls == []


# -- several locks ---------------------------------------------------------------------------


def test_one_may_wait_while_another_one_runs(shop: Shop) -> None:
    shop.engine.hold("report:7", task_id="running")

    shop.task(ONE_AND_ONE).delay(7)

    (message,) = shop.sent
    assert message.header["keys"] == ["report:7", "report:7"]
    assert message.header["lease"]["names"] == [name_of(Scope.UNTIL_STARTED)]


def test_all_locks_of_a_list_are_taken_or_none(shop: Shop) -> None:
    task = shop.task(TWO)
    task.delay(7, to="acme")

    with pytest.raises(LockConflict) as caught:
        task.delay(8, to="acme")

    (message,) = shop.sent
    assert message.header["keys"] == ["report:7", "to:acme"]
    assert message.header["lease"]["names"] == ["report:7", "to:acme"]
    assert caught.value.key == "to:acme"
    assert shop.held("report:8") is None


def test_the_policy_of_the_busy_lock_decides(shop: Shop) -> None:
    task = shop.task(TWO)
    first = task.delay(7, to="acme")

    assert task.delay(7, to="other").id == first.id
    assert shop.held("to:other") is None


def test_a_list_is_left_to_the_message_as_a_whole(shop: Shop) -> None:
    result = shop.task(TWO).delay(7, to="acme")

    for name in ("report:7", "to:acme"):
        held = shop.held(name)
        assert held is not None
        assert held.holder == str(Holder.for_retry(result.id, 0))


def test_a_send_that_fails_leaves_none_of_a_list_taken(shop: Shop) -> None:
    with pytest.raises(Refused):
        shop.task(TWO).apply_async((7, "acme"), producer=Refusing())

    assert (shop.held("report:7"), shop.held("to:acme")) == (None, None)


def test_a_task_that_another_thread_is_about_to_bind_takes_its_lease(shop: Shop) -> None:
    """Celery makes a task known before it binds it."""
    task = shop.task(UNTIL_FINISHED)
    type(task)._publishes, type(task)._bound_locks = None, ()

    task.delay(7)

    assert shop.held("report:7") is not None


def test_a_task_that_is_bound_once_more_never_loses_its_lock(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Celery binds again as an app is finalized, while other threads publish."""
    task = shop.task(UNTIL_FINISHED)
    seen: list[Any] = []

    def look(cls: Any, *args: Any) -> Any:
        seen.append((cls._bound_locks, cls._publishes))
        return bind(cls, *args)

    monkeypatch.setattr(fitted, "bind", look)

    type(task).bind(shop.app)

    ((locks, publishes),) = seen
    assert len(locks) == 1
    assert publishes is True
