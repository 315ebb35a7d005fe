"""LockedTask as its user meets it: eager and direct calls, leases, recursion, threads, retries."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery, chain, current_task
from celery.app.trace import _install_stack_protection, reset_worker_optimizations
from celery.exceptions import Ignore, Reject

from celery_lock import (
    LeaseLost,
    Lock,
    LockConflict,
    LockError,
    constant,
    current_lease,
    fail,
    is_skipped,
    requeue,
    skip,
    wait,
)
from celery_lock.app.locks import locks_of
from celery_lock.errors import LockWaitTimeout, StoreUnavailable
from celery_lock.events import Acquired, Conflicted, Released
from celery_lock.task.locked_task import LockedTask

from .engine import Engine, deliver, locked

DOWN = StoreUnavailable("memory://", "no answer")
PATIENCE = 10.0


def task_of(app: Celery, lock: Any, body: Callable[..., Any], **options: Any) -> Any:
    return locked(app, lock, **{"name": "t", **options})(body)


def returns(value: Any) -> Callable[[], Any]:
    def body() -> Any:
        return value

    return body


def says_who_has(engine: Engine, key: str) -> Callable[[], Any]:
    def body() -> Any:
        return engine.holder_of(key)

    return body


# -- eager -----------------------------------------------------------------------------------


def test_an_eager_task_runs_with_its_key_held(app: Celery, engine: Engine) -> None:
    task = task_of(app, Lock("k"), says_who_has(engine, "k"))

    assert task.apply(task_id="id-9").get() == "id-9"
    assert engine.holder_of() is None


@pytest.mark.parametrize(
    "policy",
    [
        fail(),
        requeue(),
        requeue(constant(1), max_attempts=1, then=skip()),
        lambda c: requeue(),
    ],
)
def test_what_would_be_sent_again_is_a_conflict_at_once(
    app: Celery, engine: Engine, policy: Any
) -> None:
    task = task_of(app, Lock("k", on_conflict=policy), returns(1))
    engine.hold()

    with pytest.raises(LockConflict, match="held by other"):
        task.apply(throw=True)

    assert engine.sent == []
    assert engine.clock() == 1000
    assert [fact.decision for fact in engine.told(Conflicted)] == [fail()]


def test_an_eager_skip_skips(app: Celery, engine: Engine) -> None:
    task = task_of(app, Lock("k", on_conflict=skip()), returns(1))
    engine.hold()

    assert is_skipped(task.apply().get())


def test_an_eager_wait_waits(app: Celery, engine: Engine) -> None:
    task = task_of(app, Lock("k", on_conflict=wait(20)), returns(1))
    engine.hold(ttl=5)

    assert task.apply().get() == 1
    assert engine.clock() == pytest.approx(1005, abs=0.1)


@pytest.mark.parametrize("then", [fail(), requeue()])
def test_an_eager_wait_in_vain_raises(app: Celery, engine: Engine, then: Any) -> None:
    task = task_of(app, Lock("k", on_conflict=wait(2, then=then)), returns(1))
    engine.hold()

    with pytest.raises(LockWaitTimeout):
        task.apply(throw=True)
    assert engine.sent == []


@pytest.mark.parametrize(
    ("answer", "state"), [("requeue", "FAILURE"), ("fail", "FAILURE"), ("run", "SUCCESS")]
)
def test_an_eager_task_without_a_store_fails_unless_it_may_run_unlocked(
    app: Celery, engine: Engine, answer: Any, state: str
) -> None:
    task = task_of(app, Lock("k", on_store_error=answer), returns(1))
    engine.store.refuse("acquire", error=DOWN)

    result = task.apply()

    assert result.state == state
    assert result.result == (DOWN if state == "FAILURE" else 1)
    assert engine.sent == []


def test_always_eager_sends_nothing_to_the_broker(app: Celery, engine: Engine) -> None:
    app.conf.task_always_eager = True
    task = task_of(app, Lock("k"), returns(1))
    engine.hold()

    result = task.delay()

    assert isinstance(result.result, LockConflict)
    with app.connection_for_write() as connection:
        assert connection.SimpleQueue("celery").qsize() == 0


@pytest.mark.parametrize("policy", [fail(), requeue(), wait(20), wait(20, then=skip())])
def test_an_eager_task_inside_the_body_that_has_its_key_is_a_conflict_at_once(
    app: Celery, engine: Engine, policy: Any
) -> None:
    """Nobody could give the key back while the inner one waits."""

    def nested(deep: bool) -> Any:
        return task.apply(args=[True]).result if not deep else "too deep"

    task = task_of(app, Lock("k", on_conflict=policy), nested)

    inner = task.apply(args=[False]).get()

    assert isinstance(inner, LockConflict)
    assert engine.clock() == 1000
    assert engine.holder_of() is None


def test_an_eager_task_with_another_key_runs_inside_a_body(app: Celery, engine: Engine) -> None:
    held: list[Any] = []

    def nested(user_id: int) -> None:
        if user_id == 7:
            task.apply(args=[8])
        held.append((user_id, task.lease.key, engine.holder_of("user:7") is not None))

    task = task_of(app, Lock("user:{user_id}"), nested)

    task.apply(args=[7])

    assert held == [(8, "user:8", True), (7, "user:7", True)]
    assert engine.holder_of("user:7") is None


def test_an_eager_wait_is_for_a_holder_in_another_thread_of_this_process(
    app: Celery, engine: Engine
) -> None:
    task = task_of(app, Lock("k", on_conflict=wait(20)), returns("waited"))
    others = engine.take(task_id="in another thread")

    def freed(call: Callable[[], Any]) -> None:
        engine.clock.move(0.5)
        engine.locker.release(others)

    engine.store.instead("watch", do=freed)

    assert task.apply().get() == "waited"


def test_an_eager_task_has_no_copy_that_could_be_lost(app: Celery, engine: Engine) -> None:
    task = task_of(app, Lock("k", on_conflict=skip()), returns(1))
    engine.hold(task_id="id-9")

    assert is_skipped(task.apply(task_id="id-9").get())


def test_an_eager_retry_takes_the_key_anew(app: Celery, engine: Engine) -> None:
    def body(self: Any) -> Any:
        if self.request.retries < 2:
            raise self.retry(countdown=0)
        return self.request.retries

    task = task_of(app, Lock("k"), body, bind=True, max_retries=3)

    assert task.apply().get() == 2
    assert [type(fact) for fact in engine.facts] == [Acquired, Released] * 3


def test_an_eager_chain_goes_on_over_a_skip(app: Celery, engine: Engine) -> None:
    app.conf.task_always_eager = True

    def add(x: int, y: int) -> int:
        return x + y

    def describe(result: Any) -> str:
        return "skipped" if is_skipped(result) else f"got {result}"

    adding = task_of(app, Lock("k", on_conflict=skip()), add, name="add")
    describing = task_of(app, Lock("other"), describe, name="describe")
    line = chain(adding.s(1, 2), describing.s())
    assert line.apply_async().get() == "got 3"
    engine.hold("k")

    assert line.apply_async().get() == "skipped"


# -- direct calls ----------------------------------------------------------------------------


def test_a_direct_call_takes_no_lock(app: Celery, engine: Engine) -> None:
    task = task_of(app, Lock("k", on_conflict=fail()), returns(5))
    engine.hold()

    assert task() == 5
    assert engine.store.calls == []


def test_a_locked_task_called_directly_in_the_body_of_another_takes_no_lock(
    app: Celery, engine: Engine
) -> None:
    inner = task_of(app, Lock("inner"), says_who_has(engine, "inner"), name="inner")

    def outer() -> Any:
        return inner()

    assert task_of(app, Lock("outer"), outer, name="outer").apply().get() is None


@pytest.mark.parametrize("protected", [True, False], ids=["as in a worker", "as anywhere"])
def test_a_body_that_calls_its_own_task_goes_on_under_its_key(
    app: Celery, engine: Engine, protected: bool
) -> None:
    def countdown(self: Any, n: int) -> list[Any]:
        here = (n, self.lease.key, engine.holder_of())
        return [here] if n == 0 else [here, *self(n - 1)]

    task = task_of(app, Lock("k", on_conflict=fail()), countdown, bind=True)
    if protected:
        _install_stack_protection()
    try:
        ended = deliver(task, 3)
    finally:
        if protected:
            reset_worker_optimizations(app)

    assert ended.result == [(n, "k", "id-1") for n in (3, 2, 1, 0)]
    assert len(engine.told(Acquired)) == len(engine.told(Released)) == 1
    assert engine.holder_of() is None


# -- the lease -------------------------------------------------------------------------------


def test_the_lease_is_there_in_the_task_and_around_it(app: Celery, engine: Engine) -> None:
    def helper() -> Any:
        return current_lease()

    def body(self: Any) -> Any:
        assert self.lease is helper() is current_task.lease
        return (self.lease.key, self.lease.token > 0, self.lease.lost, self.lease.remaining() > 29)

    task = task_of(app, Lock("k"), body, bind=True)

    assert task.apply().get() == ("k", True, False, True)


def test_a_lost_lease_tells_the_body_at_its_next_check(app: Celery, engine: Engine) -> None:
    def body(self: Any) -> Any:
        self.lease.check()
        engine.clock.move(31)
        self.lease.check()
        return "went on"

    result = task_of(app, Lock("k"), body, bind=True).apply()

    assert result.state == "FAILURE"
    assert isinstance(result.result, LeaseLost)
    assert result.result.reason == "expired"


def test_a_body_that_does_not_look_goes_on_after_a_loss(app: Celery, engine: Engine) -> None:
    def body(self: Any) -> Any:
        engine.clock.move(31)
        return self.lease.lost

    assert task_of(app, Lock("k"), body, bind=True).apply().get() is True
    assert engine.told(Released)[0].in_time is False


def test_a_lease_that_outlives_its_body_is_over(app: Celery, engine: Engine) -> None:
    kept: list[Any] = []

    def body() -> None:
        kept.append(current_lease())

    task_of(app, Lock("k"), body).apply()

    assert kept[0].lost
    with pytest.raises(LeaseLost, match="released"):
        kept[0].check()


def test_outside_of_any_task_there_is_no_lease() -> None:
    with pytest.raises(
        LockError, match=r"no task is running, and no hold\(\) is entered; apply the task"
    ):
        current_lease()


def test_a_direct_call_has_no_lease(app: Celery, engine: Engine) -> None:
    def body(self: Any) -> None:
        self.lease.check()

    task = task_of(app, Lock("k"), body, bind=True)

    with pytest.raises(LockError, match="task t was called directly, or has no lock"):
        task()


def test_a_task_without_a_lock_has_no_lease(app: Celery, engine: Engine) -> None:
    def body(self: Any) -> None:
        self.lease.check()

    result = task_of(app, None, body, bind=True).apply()

    assert isinstance(result.result, LockError)
    assert "no lease here" in str(result.result)


def test_a_task_inside_another_has_the_lease_of_its_own(app: Celery, engine: Engine) -> None:
    seen: list[str] = []

    def inner() -> None:
        seen.append(current_lease().key)

    inner_task = task_of(app, Lock("inner"), inner, name="inner")

    def outer() -> None:
        inner_task.apply()
        seen.append(current_lease().key)

    task_of(app, Lock("outer"), outer, name="outer").apply()

    assert seen == ["inner", "outer"]


def test_after_a_run_the_request_has_no_lease_any_more(app: Celery, engine: Engine) -> None:
    task = task_of(app, Lock("k"), returns(1))
    task.push_request(id="id-1", called_directly=False)
    try:
        task()
        with pytest.raises(LockError):
            _ = task.lease
        assert task() == 1
    finally:
        task.pop_request()

    assert len(engine.told(Acquired)) == 2


# -- how a body may end ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "state"),
    [(Ignore(), "IGNORED"), (Reject("no", requeue=False), "REJECTED"), (ValueError(), "FAILURE")],
)
def test_celerys_own_exceptions_pass_through_and_free_the_key(
    app: Celery, engine: Engine, error: Exception, state: str
) -> None:
    def body() -> None:
        raise error

    assert deliver(task_of(app, Lock("k"), body)).state == state
    assert engine.holder_of() is None


def test_a_replaced_task_frees_its_key(app: Celery, engine: Engine) -> None:
    other = locked(app, None, name="other")(returns(1))

    def body(self: Any) -> Any:
        return self.replace(other.s())

    assert deliver(task_of(app, Lock("k"), body, bind=True)).state == "IGNORED"
    assert engine.holder_of() is None


def test_a_retry_frees_its_key(app: Celery, engine: Engine) -> None:
    def body(self: Any) -> Any:
        raise self.retry(countdown=0)

    assert deliver(task_of(app, Lock("k"), body, bind=True)).state == "RETRY"
    assert engine.holder_of() is None


def test_a_loss_is_retried_where_the_task_retries_everything(app: Celery, engine: Engine) -> None:
    def body(self: Any) -> Any:
        engine.clock.move(31)
        self.lease.check()

    task = task_of(app, Lock("k"), body, bind=True, autoretry_for=(LeaseLost,), retry_backoff=1)

    assert deliver(task).state == "RETRY"


def test_a_conflict_is_not_retried_by_autoretry(app: Celery, engine: Engine) -> None:
    task = task_of(app, Lock("k", on_conflict=fail()), returns(1), autoretry_for=(Exception,))
    engine.hold()

    assert deliver(task).state == "FAILURE"


def test_contention_uses_up_none_of_the_tasks_retries(app: Celery, engine: Engine) -> None:
    def body(self: Any) -> int:
        return int(self.request.retries)

    task = task_of(app, Lock("k"), body, bind=True, max_retries=0)
    other = engine.hold(ttl=3600)
    for _ in range(3):
        headers = {"celery_lock": engine.sent[-1].header} if engine.sent else None
        assert deliver(task, headers=headers).state == "IGNORED"
    engine.free(other)

    assert deliver(task, headers={"celery_lock": engine.sent[-1].header}) == ("SUCCESS", 0)


# -- threads ---------------------------------------------------------------------------------


def test_two_threads_run_one_task_with_two_keys(app: Celery, engine: Engine) -> None:
    """The task object is shared by all threads of a pool."""
    both_in = threading.Barrier(2)
    seen: dict[int, tuple[str, str]] = {}

    def body(self: Any, user_id: int) -> None:
        both_in.wait(PATIENCE)
        seen[user_id] = (self.lease.key, current_lease().key)
        both_in.wait(PATIENCE)

    task = task_of(app, Lock("user:{user_id}"), body, bind=True)
    threads = [
        threading.Thread(target=deliver, args=(task, n), kwargs={"id": f"id-{n}"}) for n in (7, 8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert seen == {7: ("user:7", "user:7"), 8: ("user:8", "user:8")}
    assert len(engine.keeper) == 0
    assert engine.holder_of("user:7") is engine.holder_of("user:8") is None


def test_two_threads_with_one_key_do_not_run_at_once(app: Celery, engine: Engine) -> None:
    inside, leave = threading.Event(), threading.Event()

    def body() -> str:
        inside.set()
        leave.wait(PATIENCE)
        return "ran"

    task = task_of(app, Lock("k", on_conflict=skip()), body)
    thread = threading.Thread(target=deliver, args=(task,))
    thread.start()
    assert inside.wait(PATIENCE)
    try:
        assert is_skipped(deliver(task, id="id-2", tag="tag-2").result)
    finally:
        leave.set()
        thread.join(PATIENCE)


# -- other people's classes ------------------------------------------------------------------


def test_a_base_of_the_users_is_called_around_the_lock_and_the_body(
    app: Celery, engine: Engine
) -> None:
    calls: list[Any] = []

    class Audited(LockedTask):  # type: ignore[type-arg]
        abstract = True

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            calls.append(("before", engine.holder_of()))
            try:
                return super().__call__(*args, **kwargs)
            finally:
                calls.append(("after", engine.holder_of()))

    deliver(task_of(app, Lock("k"), returns(1), base=Audited))

    assert calls == [("before", None), ("after", None)]
    assert len(engine.told(Released)) == 1


def test_a_class_based_task_without_a_name_is_really_locked(app: Celery, engine: Engine) -> None:
    class Charge(LockedTask):  # type: ignore[type-arg]
        lock = Lock("user:{user_id}", on_conflict=skip())

        def run(self, user_id: int) -> str:
            return self.lease.key

    task = app.register_task(Charge())

    assert deliver(task, 7).result == "user:7"
    engine.hold("user:7")
    assert is_skipped(deliver(task, 7).result)


def test_model_and_dict_are_one_key_for_a_pydantic_task(app: Celery, engine: Engine) -> None:
    pydantic = pytest.importorskip("pydantic")
    order_model = pydantic.create_model("Order", a=(int, ...), b=(str, "x"))
    seen: list[str] = []

    def body(order: Any) -> None:
        seen.append(current_lease().key)

    body.__annotations__["order"] = order_model
    task = task_of(app, Lock(), body, pydantic=True)

    for order in ({"a": 1}, {"a": 1, "b": "x"}, {"b": "x", "a": "1"}, order_model(a=1)):
        deliver(task, order)
    deliver(task, {"a": 2})

    assert len(set(seen[:4])) == 1
    assert seen[4] != seen[0]


def test_a_celery_task_is_skipped_only_once_its_key_is_taken(app: Celery, engine: Engine) -> None:
    task = task_of(app, Lock("k", on_conflict=skip()), returns(1))
    before = task.apply()
    lease = engine.hold()
    during = task.apply()
    engine.free(lease)

    assert (before.get(), is_skipped(during.get()), task.apply().get()) == (1, True, 1)
    assert len(engine.told(Conflicted)) == 1


def test_a_worker_that_a_test_starts_keeps_the_engine_that_the_test_put_in_place(
    app: Celery, engine: Engine
) -> None:
    locks = locks_of(app)

    locks.in_worker(events=lambda: False)

    assert locks.locker is engine.locker
    assert locks.open_store() is engine.store


def test_a_stand_in_gives_way_to_the_one_before_it(app: Celery, engine: Engine) -> None:
    locks, other = locks_of(app), Engine()

    before = locks.swap(other.locker)
    assert locks.locker is other.locker
    locks.swap(before)

    assert before is locks.locker is engine.locker


def test_an_app_without_a_store_says_so_when_the_first_task_runs(engine: Engine) -> None:
    app = engine.app()
    locks_of(app).swap(None)
    task = task_of(app, Lock("k"), returns(1))

    result = task.apply()

    assert isinstance(result.result, LockError)
    assert "set lock_store" in str(result.result)
