"""`apply_async(lock=None)`: one run without the lock of its task, and all that comes of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery, chain, chord, group

from celery_lock import (
    Lock,
    LockConfigurationError,
    LockedTask,
    LockError,
    Scope,
    current_lease,
    fail,
)
from celery_lock.app.locks import locks_of
from celery_lock.events import Acquired, Conflicted, SwitchedOff
from celery_lock.events.log_words import words
from celery_lock.events.table import row_of
from celery_lock.message import HEADER
from celery_lock.testing import memory_locks

from .engine import Ended, Engine, deliver, locked

MISTAKE = LockConfigurationError
SAYS_NONE = {HEADER: {"v": 1, "unlocked": True}}


class Charge:
    """A task, how often its body ran, and what it does."""

    def __init__(self, engine: Engine, lock: Lock | None = None, **options: Any) -> None:
        self.ran = 0
        self.during: Callable[[Any], Any] = lambda task: "done"

        def body(task: Any, user_id: int = 7) -> Any:
            self.ran += 1
            return self.during(task)

        lock = lock or Lock("user:{user_id}", on_conflict=fail())
        options = {"name": "charge", "bind": True, **options}
        self.task = locked(engine.app(), lock, **options)(body)

    def deliver(self, *args: Any, **request: Any) -> Ended:
        return deliver(self.task, *args, headers=SAYS_NONE, **request)


# -- the run ---------------------------------------------------------------------------------


def test_the_body_runs_though_somebody_has_the_key_and_leaves_it_to_him(engine: Engine) -> None:
    charge = Charge(engine)
    engine.hold("user:7")

    ended = charge.deliver()

    assert (ended.state, charge.ran) == ("SUCCESS", 1)
    assert engine.holder_of("user:7") == "other"


def test_nobody_is_kept_out_by_it(engine: Engine) -> None:
    charge = Charge(engine, Lock("k", at_least=60, on_conflict=fail()))
    beside: list[Ended] = []

    def meanwhile(task: Any) -> None:
        charge.during = lambda task: "beside"
        beside.append(deliver(charge.task, id="id-2"))

    charge.during = meanwhile
    charge.deliver()

    assert beside == [Ended("SUCCESS", "beside")]


def test_it_asks_the_store_for_nothing(engine: Engine) -> None:
    charge = Charge(engine, Lock("k", scope=Scope.ACROSS_RETRIES))
    with engine.store.down():
        ended = charge.deliver(redelivered=True)
        engine.move(60)

    assert ended.state == "SUCCESS"
    assert not engine.facts[1:]
    assert engine.store.calls == []


def test_it_runs_where_there_is_no_store_at_all() -> None:
    app = Celery("shop", broker="pyamqp://nowhere//", set_as_current=False)

    @locked(app, name="t")
    def task() -> str:
        return "done"

    assert deliver(task, headers=SAYS_NONE) == Ended("SUCCESS", "done")


def test_its_lease_is_an_error_that_says_why(engine: Engine) -> None:
    charge = Charge(engine)
    said: list[str] = []

    def asks(task: Any) -> None:
        for lease in (lambda: task.lease, current_lease):
            with pytest.raises(LockError) as caught:
                lease()
            said.append(str(caught.value))

    charge.during = asks
    charge.deliver()

    assert said == ["task charge runs without its lock 'user:7': its call said lock=None"] * 2


def test_it_is_told_of_as_a_fact_of_its_own(engine: Engine) -> None:
    charge = Charge(engine)

    charge.deliver()

    (fact,) = engine.facts
    assert isinstance(fact, SwitchedOff)
    assert (fact.key, fact.task, fact.task_id) == ("user:7", "charge", "id-1")
    assert row_of(fact).event == "lock-switched-off"
    template, *values = words(fact)
    assert template % tuple(values) == (
        "Task charge[id-1]: runs WITHOUT its lock 'user:7': its call said lock=None"
    )


def no_key(user_id: int = 7) -> str:
    raise ValueError("no tenant")


@pytest.mark.parametrize(
    ("key", "shown"),
    [(no_key, f"{__name__}.no_key"), ("{user_id[a]}", "{user_id[a]}")],
    ids=["function", "template"],
)
def test_a_key_that_cannot_be_made_is_no_reason_not_to_run(
    engine: Engine, key: Any, shown: str
) -> None:
    charge = Charge(engine, Lock(key))

    ended = charge.deliver()

    assert ended.state == "SUCCESS"
    assert engine.told(SwitchedOff)[0].key == shown


def test_wrong_arguments_end_as_those_of_a_plain_task(engine: Engine) -> None:
    charge = Charge(engine)

    ended = charge.deliver(1, 2, 3)

    assert type(ended.result) is TypeError
    assert "takes from 1 to 2 positional arguments" in str(ended.result)


def test_a_body_that_calls_its_own_task_directly_just_calls_it(engine: Engine) -> None:
    charge = Charge(engine)
    charge.during = lambda task: task(8) if charge.ran == 1 else "inner"

    assert charge.deliver().result == "inner"
    assert len(engine.facts) == 1


@pytest.mark.parametrize("value", ["yes", 1, 0, None, [], "true"])
def test_what_is_neither_true_nor_false_is_refused(engine: Engine, value: Any) -> None:
    charge = Charge(engine)

    ended = deliver(charge.task, headers={HEADER: {"v": 1, "unlocked": value}})

    if value is None:  # as with every field: it is not there
        assert ended.state == "SUCCESS"
        return
    assert "the field 'unlocked' of the message header celery_lock is" in str(ended.result)
    assert charge.ran == 0


# -- the call --------------------------------------------------------------------------------


@pytest.fixture
def app() -> Celery:
    app = Celery(
        uuid.uuid4().hex, broker="memory://", backend="cache+memory://", set_as_current=False
    )
    app.conf.task_default_queue = app.main
    return app


def messages_of(app: Celery) -> list[Any]:
    """The messages that were published, oldest first."""
    with app.connection_for_read() as connection:
        queue = connection.SimpleQueue(app.main)
        messages = [queue.get_nowait() for _ in range(queue.qsize())]
        queue.close()
    return messages


def says_none(message: Any) -> bool:
    header = message.headers[HEADER]
    assert header["id"] == message.headers["id"]
    return header.get("unlocked", False) is True


def a_task(app: Celery, **options: Any) -> Any:
    def body(self: Any, user_id: int = 7) -> Any:
        return "done"

    return locked(app, **{"name": "charge", "bind": True, **options})(body)


WAYS: dict[str, Callable[[Any], Any]] = {
    "apply_async": lambda task: task.apply_async((8,), lock=None),
    "with a key of its own": lambda task: task.apply_async(
        (8,), lock=None, headers={HEADER: {"v": 1, "key": "k"}}
    ),
    "set": lambda task: task.s(8).set(lock=None).delay(),
    "a member of a group": lambda task: group(task.si(8).set(lock=None), app=task.app)(),
    "chain": lambda task: chain(task.si(8).set(lock=None), task.si(9), app=task.app)(),
    "header of a chord": lambda task: chord([task.si(8).set(lock=None)], app=task.app)(task.si(9)),
    "the header alone": lambda task: task.apply_async((8,), headers=SAYS_NONE),
    "by name": lambda task: task.app.send_task("charge", headers=SAYS_NONE),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_message_says_that_it_goes_without_the_lock(app: Celery, way: str) -> None:
    task = a_task(app)

    WAYS[way](task)
    task.apply_async((9,))

    first, *_, last = messages_of(app)
    assert says_none(first)
    assert not says_none(last)
    assert "lock" not in first.properties


def test_the_headers_of_the_caller_stay_as_they_are(app: Celery) -> None:
    headers = {"tenant": "a", HEADER: {"v": 1, "key": "k"}, "headers": {"tenant": "a"}}
    before = {**headers, "headers": {**headers["headers"]}}  # type: ignore[dict-item]

    a_task(app).apply_async(lock=None, headers=headers)

    (message,) = messages_of(app)
    assert headers == before
    assert message.headers["tenant"] == "a"
    assert message.headers[HEADER]["key"] == "k"
    assert message.headers["headers"][HEADER] == message.headers[HEADER]


def test_the_headers_of_another_task_do_not_keep_a_call_from_going_without(app: Celery) -> None:
    """A body may hand on the headers that it came with."""
    theirs = {HEADER: {"v": 1, "id": "another", "publication": "p", "key": "k"}}

    a_task(app).apply_async(lock=None, headers=theirs)

    (message,) = messages_of(app)
    assert says_none(message)
    assert "key" not in message.headers[HEADER]


def test_a_run_without_its_lock_hands_that_to_nobody_elses_message(app: Celery) -> None:
    task, sent = a_task(app), {HEADER: {"v": 1, "id": "x", "publication": "p", "unlocked": True}}

    task.apply_async(headers=sent)
    task.apply_async(headers=sent, task_id="x")

    assert [says_none(message) for message in messages_of(app)] == [False, True]


@pytest.mark.parametrize("tools", [False, True], ids=["", "with inner headers"])
def test_its_retry_goes_without_the_lock_too(app: Celery, tools: bool) -> None:
    def body(self: Any) -> None:
        self.retry(countdown=1)

    lock = Lock("k", scope=Scope.ACROSS_RETRIES)
    task = locked(app, lock, name="t", bind=True)(body)
    headers = {**SAYS_NONE, **({"headers": {**SAYS_NONE, "trace": 1}} if tools else {})}

    with memory_locks(app) as locks:
        assert deliver(task, headers=headers).state == "RETRY"
        (retry,) = messages_of(app)
        assert deliver(task, headers=dict(retry.headers), retries=1).state == "RETRY"

    assert says_none(retry)
    assert "kept" not in retry.headers[HEADER]
    assert [type(fact) for fact in locks.facts] == [SwitchedOff, SwitchedOff]


def test_what_replaces_it_by_the_same_task_goes_without_the_lock_too(app: Celery) -> None:
    def body(self: Any, again: bool = True) -> Any:
        return self.replace(self.s(False)) if again else "done"

    task = locked(app, Lock("k"), name="t", bind=True)(body)

    with memory_locks(app):
        deliver(task, headers=SAYS_NONE)
    (replacement,) = messages_of(app)

    assert says_none(replacement)


def test_a_replacement_that_says_so_goes_without_the_lock_of_the_run_before(app: Celery) -> None:
    def body(self: Any, again: bool = True) -> Any:
        return self.replace(self.s(False).set(lock=None)) if again else "done"

    task = locked(app, Lock("k", on_conflict=fail()), name="t", bind=True)(body)

    with memory_locks(app) as locks:
        deliver(task)
        (replacement,) = messages_of(app)
        locks.hold("k")
        ended = deliver(task, False, headers=dict(replacement.headers))

    assert says_none(replacement)
    assert ended == Ended("SUCCESS", "done")


def test_the_key_of_a_run_is_not_kept_for_a_replacement_without_the_lock(app: Celery) -> None:
    def body(self: Any) -> Any:
        return self.replace(self.s().set(lock=None))

    lock = Lock("k", scope=Scope.UNTIL_FINISHED)
    task = locked(app, lock, name="t", bind=True)(body)

    with memory_locks(app) as locks:
        task.apply_async()
        (first,) = messages_of(app)
        deliver(task, id=first.headers["id"], headers=dict(first.headers))
        assert locks.holder("k") is None


def test_what_it_publishes_besides_has_its_lock(app: Celery) -> None:
    def body(self: Any) -> None:
        self.apply_async()
        self.apply_async(headers=dict(self.request.headers or {}))

    task = locked(app, Lock("k"), name="t", bind=True)(body)

    named = {**SAYS_NONE[HEADER], "id": "id-1"}  # as the main process hands it on
    with memory_locks(app):
        deliver(task, headers={HEADER: named})

    assert [says_none(message) for message in messages_of(app)] == [False, False]


@pytest.mark.parametrize("eager", [False, True], ids=["apply", "always eager"])
def test_an_eager_call_goes_without_the_lock(app: Celery, eager: bool) -> None:
    app.conf.task_always_eager = eager
    task = locked(app, Lock("k", on_conflict=fail()), name="t")(no_key_at_all)

    with memory_locks(app) as locks:
        locks.hold("k")
        call = task.apply_async if eager else task.apply
        assert call(lock=None, throw=False).result == "done"
        assert isinstance(call(throw=False).result, LockError)

    assert [type(fact) for fact in locks.facts] == [SwitchedOff, Conflicted]


def no_key_at_all() -> str:
    return "done"


def test_an_eager_retry_goes_without_the_lock_too(app: Celery) -> None:
    def body(self: Any) -> Any:
        return self.request.retries or self.retry(countdown=0)

    task = locked(app, Lock("k"), name="t", bind=True)(body)

    with memory_locks(app) as locks:
        assert task.apply(lock=None).get() == 1

    assert not any(isinstance(fact, Acquired) for fact in locks.facts)


def test_a_task_whose_lock_is_switched_off_takes_it_as_any_call(app: Celery) -> None:
    task = a_task(app, lock=None)

    task.apply_async(lock=None)
    assert task.apply(lock=None).get() == "done"

    assert len(messages_of(app)) == 1


def test_it_needs_no_store_to_be_published() -> None:
    app = Celery(uuid.uuid4().hex, broker="memory://", set_as_current=False)
    app.conf.lock_store = "redis://127.0.0.1:1/0"
    task = a_task(app, lock=Lock("k", scope=Scope.UNTIL_FINISHED))

    task.apply_async(lock=None)

    assert "locker" not in locks_of(app)._engine


# -- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [False, 0, "", "none", Lock("k"), [], [None], True, fail()], ids=str
)
@pytest.mark.parametrize("how", ["apply_async", "apply"])
def test_any_other_lock_of_a_call_is_refused(app: Celery, how: str, value: Any) -> None:
    task = a_task(app)

    with pytest.raises(MISTAKE, match=r"nobody reads the lock of a single call.*lock=None alone"):
        getattr(task, how)(lock=value)


def test_a_retry_cannot_leave_the_lock_of_its_run(app: Celery) -> None:
    with pytest.raises(MISTAKE, match=r"a retry runs under the lock of its task.*apply_async\("):
        a_task(app).retry(lock=None)


def test_a_class_of_the_users_may_have_a_lock_of_its_own_in_calls(app: Celery) -> None:
    taken: list[Any] = []

    class Before(LockedTask):
        def apply_async(self, *args: Any, lock: Any = "unset", **options: Any) -> Any:
            taken.append(lock)
            return super().apply_async(*args, **options)

    a_task(app, base=Before).apply_async(lock=None)

    assert taken == [None]
    assert not says_none(messages_of(app)[0])
