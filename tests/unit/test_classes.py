"""The classes of a locked task: a lock that is declared is taken, or refused with what to write."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import celery
import pytest
from celery import Celery, Task
from celery.contrib.django.task import DjangoTask

from celery_lock import (
    Lock,
    LockConfigurationError,
    LockedTask,
    LockError,
    Scope,
    is_skipped,
    skip,
)
from celery_lock.events import Acquired, Released

from .engine import Engine, deliver, locked

MISTAKE = LockConfigurationError
PlainTask: Any = Task
Locked: Any = LockedTask


@contextmanager
def nothing_is_warned_of() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def a_class(name: str, *bases: Any, **members: Any) -> Any:
    return type(name, bases, {"abstract": True, "__module__": __name__, **members})


def body() -> None:
    """Do nothing."""


# -- a Strategy of its own -------------------------------------------------------------------


def in_batches(self: Any, task: Any, app: Any, consumer: Any) -> Any:
    """Run many messages at once, as celery-batches does."""


STRATEGIES: list[dict[str, Any]] = [
    {"Strategy": in_batches},
    {"Strategy": "somewhere:strategy"},
    {"Strategy": staticmethod(in_batches)},
    {"start_strategy": in_batches},
]


@pytest.mark.parametrize("members", STRATEGIES)
@pytest.mark.parametrize("order", ["before", "after"])
def test_a_class_with_a_strategy_of_its_own_is_refused_with_what_to_write(
    app: Celery, members: dict[str, Any], order: str
) -> None:
    batches = a_class("Batches", PlainTask, **members)
    bases = (LockedTask, batches) if order == "after" else (batches, LockedTask)

    with pytest.raises(MISTAKE, match="task t cannot be locked: Batches has a Strategy") as said:
        locked(app, Lock("k"), base=a_class("Both", *bases), name="t")(body)

    assert "Write lock=None on this task" in str(said.value)


def test_it_is_refused_where_only_the_base_class_says_that_it_is_locked(app: Celery) -> None:
    with pytest.raises(MISTAKE, match="Strategy of its own"):
        locked(app, base=a_class("Mine", Locked, Strategy=in_batches), name="t")(body)


def test_a_strategy_that_a_task_names_itself_is_refused(app: Celery) -> None:
    with pytest.raises(MISTAKE, match="task a cannot be locked: it has a Strategy of its own"):
        locked(app, name="a", Strategy="somewhere:strategy")(body)


def test_a_strategy_that_an_annotation_names_is_refused(app: Celery) -> None:
    app.conf.task_annotations = {"b": {"Strategy": "somewhere:strategy"}}
    with pytest.raises(MISTAKE, match="Strategy of its own"):
        locked(app, name="b")(body)


def test_without_a_lock_a_strategy_is_nobodys_business(app: Celery) -> None:
    task = locked(app, None, name="t", Strategy="somewhere:strategy")(body)

    assert task._bound_locks == ()


def test_a_task_that_was_refused_does_not_run_without_its_lock(app: Celery) -> None:
    ran: list[int] = []

    def runs() -> None:
        ran.append(1)

    with pytest.raises(MISTAKE):
        locked(app, name="t", Strategy="somewhere:strategy")(runs)

    ended = deliver(app._tasks["t"])  # type: ignore[attr-defined]  # the stubs do not know it

    assert ended.state == "FAILURE"
    assert "task t cannot be locked" in str(ended.result)
    assert ran == []


# -- classes that keep ours from being asked -------------------------------------------------


def test_a_class_that_keeps_on_bound_to_itself_has_its_lock_all_the_same(
    app: Celery, engine: Engine
) -> None:
    seen: list[Any] = []
    Selfish = a_class("Selfish", Locked, on_bound=classmethod(lambda cls, app: seen.append(app)))

    deliver(locked(app, Lock("k"), base=Selfish, name="t")(body))

    assert seen == [app]
    assert len(engine.told(Acquired)) == 1


def test_a_class_that_declares_its_lock_as_it_is_bound_has_it(app: Celery, engine: Engine) -> None:
    def on_bound(cls: Any, app: Any) -> None:
        cls.lock = Lock("late")

    deliver(
        locked(app, base=a_class("Late", Locked, on_bound=classmethod(on_bound)), name="t")(body)
    )

    assert [fact.key for fact in engine.told(Acquired)] == ["late"]


def test_a_lock_that_a_task_gives_itself_is_taken(app: Celery, engine: Engine) -> None:
    def init(self: Any) -> None:
        self.lock = Lock("own")

    deliver(locked(app, base=a_class("Own", Locked, __init__=init), name="t")(body))

    assert [fact.key for fact in engine.told(Acquired)] == ["own"]


def test_a_lock_that_a_class_is_given_later_is_taken_once_the_app_is_finalized(
    app: Celery, engine: Engine
) -> None:
    task = locked(app, None, name="t")(body)
    type(task).lock = Lock("later")

    app.finalize()
    deliver(task)

    assert [fact.key for fact in engine.told(Acquired)] == ["later"]


@pytest.mark.parametrize("finalized", [False, True])
def test_a_lock_that_a_task_is_given_later_is_taken_from_then_on(
    app: Celery, engine: Engine, finalized: bool
) -> None:
    task = locked(app, Lock("first"), name="t")(body)
    if finalized:
        app.finalize()

    for lock in (Lock("second"), None, [Lock("a"), Lock("b")], Lock("first")):
        task.lock = lock
        deliver(task)

    keys = [fact.key for fact in engine.told(Acquired)]
    assert keys == ["second", "a", "b", "first"]
    assert task.key_of() == "first"


def test_a_lock_that_is_taken_off_a_task_again_leaves_that_of_its_class(
    app: Celery, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = locked(app, Lock("first"), name="t")(body)
    for lock in (Lock("second"), None):
        with monkeypatch.context() as patched:
            patched.setattr(task, "lock", lock)
            deliver(task)
        deliver(task)

    assert [fact.key for fact in engine.told(Acquired)] == ["second", "first", "first"]


def test_a_lock_that_cannot_be_is_refused_as_it_is_given_and_the_one_before_stays(
    app: Celery, engine: Engine
) -> None:
    task = locked(app, Lock("first"), name="t")(body)
    app.finalize()

    with pytest.raises(LockConfigurationError, match="parameter"):
        task.lock = Lock("of:{nobody}")
    deliver(task)

    assert [fact.key for fact in engine.told(Acquired)] == ["first"]


def runs_itself(self: Any, *args: Any, **kwargs: Any) -> Any:
    return ("around", self.run(*args, **kwargs))


def runs_by_celerys(self: Any, *args: Any, **kwargs: Any) -> Any:
    return ("around", Task.__call__(self, *args, **kwargs))


def runs_or_not(self: Any, *args: Any, **kwargs: Any) -> Any:
    call = super(LockedTask, self).__call__ if args else self.run
    return ("around", call(*args, **kwargs))


class Callable:
    """No function, but to be called."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return ("around", "no body at all")


RUN_PAST_OURS = [runs_itself, runs_by_celerys, runs_or_not]


@pytest.mark.parametrize("call", RUN_PAST_OURS)
@pytest.mark.parametrize("order", ["itself", "before"])
def test_a_call_that_runs_the_body_past_ours_runs_with_the_key(
    app: Celery, engine: Engine, call: Any, order: str
) -> None:
    """As in Flask's documentation: `self.run` within the context of the application."""
    if order == "itself":
        base = a_class("FlaskTask", Locked, __call__=call)
    else:
        base = a_class("Both", a_class("FlaskTask", PlainTask, __call__=call), Locked)
    held: list[Any] = []

    def says(self: Any) -> str:
        held.append(engine.holder_of())
        return str(self.lease.key)

    with nothing_is_warned_of():
        task = locked(app, Lock("k"), base=base, name="t", bind=True)(says)
    ended = deliver(task)

    assert ended.result == ("around", "k")
    assert held == ["id-1"]
    assert engine.holder_of() is None
    assert len(engine.told(Acquired)) == len(engine.told(Released)) == 1


def test_what_is_put_around_such_a_call_does_not_leave_the_lock_out(
    app: Celery, engine: Engine
) -> None:
    """By an annotation `"@__call__"`, which Celery puts around what a method has wrapped."""

    def audit(inner: Any) -> Any:
        return lambda self, *args, **kwargs: ("audited", inner(self, *args, **kwargs))

    base = a_class("FlaskTask", Locked, __call__=runs_itself)
    task = locked(app, Lock("k"), base=base, name="t")(body)

    type(task).add_around("__call__", audit)

    assert deliver(task).result == ("audited", ("around", None))
    assert len(engine.told(Acquired)) == 1


def test_a_call_that_is_no_function_is_made_with_the_key(app: Celery, engine: Engine) -> None:
    task = locked(app, Lock("k"), base=a_class("Odd", Locked, __call__=Callable()), name="t")(body)

    assert deliver(task).result == ("around", "no body at all")
    assert len(engine.told(Acquired)) == 1


# -- bodies that are coroutines --------------------------------------------------------------


def awaits_run(self: Any, *args: Any, **kwargs: Any) -> Any:
    return asyncio.run(self.run(*args, **kwargs))


def awaits_celerys(self: Any, *args: Any, **kwargs: Any) -> Any:
    """As in many an answer on the web: the call itself is within a coroutine."""

    async def run() -> Any:
        return await Task.__call__(self, *args, **kwargs)

    return asyncio.run(run())


class AwaitsOurs(LockedTask):  # type: ignore[type-arg]
    """Runs what comes of the call of the class before: ours, where it is a base of its own."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(super().__call__(*args, **kwargs))
        finally:
            loop.close()


AWAITING = {
    "run": a_class("Async", Locked, __call__=awaits_run),
    "ours": AwaitsOurs,
    "Celery's": a_class("Async", Locked, __call__=awaits_celerys),
    "before ours": a_class("Both", a_class("Async", PlainTask, __call__=awaits_run), Locked),
    "behind ours": a_class("Both", Locked, a_class("Async", PlainTask, __call__=awaits_run)),
    "an heir": a_class("Heir", a_class("Async", Locked, __call__=awaits_run)),
}


@pytest.mark.parametrize("how", AWAITING)
def test_a_coroutine_that_a_class_runs_has_its_key_until_it_ends(
    app: Celery, engine: Engine, how: str
) -> None:
    held: list[Any] = []

    async def body(self: Any) -> str:
        await asyncio.sleep(0)
        held.append(engine.holder_of())
        return str(self.lease.key)

    with nothing_is_warned_of():
        task = locked(app, Lock("k"), base=AWAITING[how], name="t", bind=True)(body)

    assert deliver(task).result == "k"
    assert held == ["id-1"]
    assert engine.holder_of() is None
    assert len(engine.told(Acquired)) == len(engine.told(Released)) == 1


@pytest.mark.parametrize("how", AWAITING)
def test_a_coroutine_that_a_class_runs_ends_with_its_error(
    app: Celery, engine: Engine, how: str
) -> None:
    async def body() -> None:
        await asyncio.sleep(0)
        raise ValueError(engine.holder_of())

    task = locked(app, Lock("k"), base=AWAITING[how], name="t")(body)
    result = deliver(task).result

    assert (type(result), str(result)) == (ValueError, "id-1")
    assert engine.holder_of() is None


def test_a_class_based_coroutine_is_locked_in_a_second_app_and_with_another_lock(
    engine: Engine,
) -> None:
    """Our call stands in the place of its own by then."""

    class Sync(LockedTask):  # type: ignore[type-arg]
        name = "sync"
        lock = Lock("k")
        __call__ = awaits_run

        async def run(self) -> str:
            return str(self.lease.key)

    for _ in range(2):
        app = engine.app()
        task = app.register_task(Sync())

        assert deliver(task).result == "k"

    task.lock = Lock("l")
    assert deliver(task).result == "l"


def test_a_call_that_a_coroutine_does_not_take_names_the_class_that_runs_it(
    app: Celery, engine: Engine
) -> None:
    async def body(user_id: int) -> None:
        """Do nothing."""

    task = locked(app, Lock("{user_id}"), base=AwaitsOurs, name="t")(body)
    result = deliver(task).result

    assert isinstance(result, TypeError)
    assert "'user_id'" in str(result)
    assert "If AwaitsOurs.__call__ gives that more" in str(result)
    assert engine.told(Acquired) == []


FUTURES: list[Any] = []


def elsewhere(self: Any) -> Any:
    """Hand the coroutine to a loop in another thread, and do not wait for it."""
    self.run().close()
    FUTURES.append(Future())
    return FUTURES[-1]


def lazy(self: Any) -> Any:
    return self.run()


@pytest.mark.parametrize(
    "base",
    [
        a_class("Lazy", Locked, __call__=lazy),
        a_class("Both", Locked, a_class("Lazy", PlainTask, __call__=lazy)),
        a_class("Lazy", Locked, __call__=elsewhere),
    ],
    ids=["itself", "behind ours", "in another thread"],
)
def test_a_coroutine_that_its_class_has_not_run_is_an_error(
    app: Celery, engine: Engine, base: Any
) -> None:
    async def body() -> None:
        raise AssertionError("nobody awaits it")

    task = locked(app, Lock("k"), base=base, name="t")(body)

    with nothing_is_warned_of():  # of a coroutine that was never awaited
        result = deliver(task).result
        gc.collect()

    assert isinstance(result, LockError)
    assert "body of task t is a coroutine function, and its class has not run it" in str(result)
    assert all(future.cancelled() for future in FUTURES)
    assert engine.holder_of() is None


def test_whoever_calls_such_a_task_directly_gets_what_its_class_returns(app: Celery) -> None:
    async def body() -> int:
        return 7

    task = locked(app, Lock("k"), base=a_class("Lazy", Locked, __call__=lazy), name="t")(body)

    assert asyncio.run(task()) == 7


def test_an_interrupt_is_refused_where_the_body_is_a_coroutine(app: Celery) -> None:
    async def body() -> None:
        """Do nothing."""

    lock = Lock("k", on_lost="interrupt")
    with pytest.raises(MISTAKE, match=r"coroutine function, which no interrupt reaches: leave"):
        locked(app, lock, base=AWAITING["run"], name="t")(body)


def test_functions_of_a_lock_do_not_see_what_a_class_sets_up_for_a_coroutine(app: Celery) -> None:
    async def body() -> None:
        """Do nothing."""

    with pytest.warns(UserWarning, match=r"AwaitsOurs\.__call__ .* what it sets up$"):
        locked(app, Lock(lambda: "k"), base=AwaitsOurs, name="t")(body)


# -- calls that run nothing ------------------------------------------------------------------


async def awaits(self: Any, *args: Any, **kwargs: Any) -> Any:
    return self.run(*args, **kwargs)


def yields(self: Any, *args: Any, **kwargs: Any) -> Any:
    yield self.run(*args, **kwargs)


@pytest.mark.parametrize("call", [awaits, yields])
def test_a_call_that_runs_nothing_yet_is_refused(app: Celery, call: Any) -> None:
    with pytest.raises(MISTAKE, match=r"Odd\.__call__ runs nothing yet.*a plain function"):
        locked(app, Lock("k"), base=a_class("Odd", Locked, __call__=call), name="t")(body)


def test_a_conflict_ends_before_a_call_that_would_run_the_body(app: Celery, engine: Engine) -> None:
    engine.hold("k")
    base = a_class("FlaskTask", Locked, __call__=runs_itself)

    task = locked(app, Lock("k", on_conflict=skip()), base=base, name="t")(body)

    assert is_skipped(deliver(task).result)


def test_a_call_around_ours_is_made_once_by_a_direct_call(app: Celery, engine: Engine) -> None:
    base = a_class("FlaskTask", Locked, __call__=runs_itself)
    task = locked(app, Lock("k"), base=base, name="t")(body)

    assert task() == ("around", None)
    assert engine.told(Acquired) == []


def test_binding_twice_and_inheriting_put_one_lock_around(app: Celery, engine: Engine) -> None:
    class FlaskTask(LockedTask):  # type: ignore[type-arg]
        name = "a"
        lock = Lock("k")

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return ("around", self.run(*args, **kwargs))

        def run(self) -> int:
            return 7

    class Heir(FlaskTask):
        name = "b"

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return ("further", super().__call__(*args, **kwargs))

    first = app.register_task(FlaskTask())
    first.bind(app)
    second = app.register_task(Heir())

    assert deliver(first).result == ("around", 7)
    assert deliver(second, id="id-2").result == ("further", ("around", 7))
    assert len(engine.told(Acquired)) == len(engine.told(Released)) == 2


def test_a_call_that_hands_on_makes_the_key_within_what_it_sets_up(
    app: Celery, engine: Engine
) -> None:
    tenant: list[str] = []

    class InTenant(LockedTask):  # type: ignore[type-arg]
        abstract = True

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            tenant.append("red")
            try:
                return super().__call__(*args, **kwargs)
            finally:
                tenant.pop()

    with nothing_is_warned_of():
        task = locked(app, Lock(lambda: f"{tenant[0]}:k"), base=InTenant, name="t")(body)
    deliver(task)

    assert [fact.key for fact in engine.told(Acquired)] == ["red:k"]


def test_our_class_may_be_called_by_its_name(app: Celery) -> None:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return Locked.__call__(self, *args, **kwargs)

    base = a_class("Old", Locked, __call__=call)

    with nothing_is_warned_of():
        locked(app, Lock(lambda: "k"), base=base, name="t")(body)

    assert "__call__" not in vars(type(app.tasks["t"]))


@pytest.mark.parametrize(
    "lock", [Lock(lambda: "k"), Lock("k", on_conflict=lambda conflict: skip())]
)
def test_functions_of_a_lock_that_do_not_see_what_a_call_sets_up_are_warned_of(
    app: Celery, lock: Lock
) -> None:
    base = a_class("FlaskTask", Locked, __call__=runs_itself)

    with pytest.warns(UserWarning, match=r"task t: FlaskTask\.__call__ runs the body itself"):
        locked(app, lock, base=base, name="t")(body)


# -- the app's own task class ----------------------------------------------------------------


Mine = a_class("Mine", PlainTask, __call__=runs_itself)
Audited = a_class("Audited", Locked, max_retries=9)


@pytest.mark.parametrize("lock", [Lock("k"), None, ...])
def test_a_base_that_leaves_out_the_apps_own_class_is_warned_of_with_both(
    engine: Engine, lock: Any
) -> None:
    app = engine.app(task_cls=Mine)

    with pytest.warns(
        UserWarning, match=r"task t is made of LockedTask alone, without Mine"
    ) as said:
        locked(app, lock, name="t")(body)

    assert "class Both(LockedTask, Mine): abstract = True, and base=Both" in str(said[0].message)


@pytest.mark.parametrize(
    ("base", "written"),
    [
        (a_class("Other", Locked), "class Both(Other, Mine): abstract = True, and base=Both"),
        (a_class("Both", Locked, Mine), None),
        (a_class("Both", Mine, Locked), None),
    ],
)
def test_a_base_of_ones_own_is_looked_at_as_well(
    engine: Engine, base: Any, written: str | None
) -> None:
    app = engine.app(task_cls=Mine)

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        locked(app, Lock("k"), base=base, name="t")(body)

    assert [written in str(each.message) for each in said if written] == [True] * bool(written)
    assert bool(said) is bool(written)


def test_a_class_based_task_is_warned_of_with_its_own_bases(engine: Engine) -> None:
    charge = type("Charge", (LockedTask,), {"name": "charge", "run": lambda self: None})

    with pytest.warns(UserWarning, match=r"write class Charge\(LockedTask, Mine\)"):
        engine.app(task_cls=Mine).register_task(charge())


def test_where_the_apps_own_class_is_a_locked_one_it_is_the_base_to_write(engine: Engine) -> None:
    with pytest.warns(UserWarning, match="leave base= out, or write base=Audited"):
        locked(engine.app(task_cls=Audited), Lock("k"), name="t")(body)


def test_a_class_that_was_put_into_the_app_later_is_the_apps_own(app: Celery) -> None:
    """As the first pages on Flask with Celery had it: `celery.Task = ContextTask`."""
    app.Task = a_class("ContextTask", app.Task, __call__=runs_itself)

    with pytest.warns(UserWarning, match="without ContextTask"):
        locked(app, Lock("k"), name="t")(body)


def test_one_base_is_warned_of_once_in_an_app(engine: Engine) -> None:
    app = engine.app(task_cls=Mine)

    with pytest.warns(UserWarning, match="task a is made of LockedTask alone"):
        locked(app, Lock("k"), name="a")(body)

    with nothing_is_warned_of():
        locked(app, Lock("k"), name="b")(body)


@pytest.mark.parametrize(
    "task_cls",
    [
        LockedTask,
        DjangoTask,
        "celery.contrib.django.task:DjangoTask",
        a_class("Nothing", PlainTask),
    ],
)
def test_a_class_that_is_not_missed_is_not_warned_of(engine: Engine, task_cls: Any) -> None:
    with nothing_is_warned_of():
        locked(engine.app(task_cls=task_cls), Lock("k"), name="t")(body)


def test_what_celerys_django_task_does_is_there_also_if_the_app_names_that(engine: Engine) -> None:
    task = locked(engine.app(task_cls=DjangoTask), Lock("k"), name="t")(body)

    assert type(task).delay_on_commit is DjangoTask.delay_on_commit


# -- a lock that nobody would read -----------------------------------------------------------


@pytest.mark.parametrize("as_default", [True, False])
def test_a_lock_beside_a_class_that_cannot_lock_is_warned_of_with_both(as_default: bool) -> None:
    app = Celery("shop", set_as_current=False, task_cls=Mine if as_default else None)
    base = {} if as_default else {"base": Mine}

    with pytest.warns(UserWarning, match="declares a lock that nobody reads") as said:
        app.task(name="t", lock=Lock("k"), shared=False, lazy=False, **base)(body)

    assert "class Both(LockedTask, Mine): abstract = True, and base=Both" in str(said[0].message)


def test_a_lock_on_a_plain_task_is_warned_of_with_our_class() -> None:
    app = Celery("shop", set_as_current=False)

    with pytest.warns(UserWarning, match=r"write @app\.task\(base=LockedTask, lock=") as said:
        app.task(name="t", lock=Lock("k"), shared=False, lazy=False)(body)

    assert "Both" not in str(said[0].message)


# -- an apply_async that sends past ours -----------------------------------------------------


def sends_by_name(self: Any, *args: Any, **options: Any) -> Any:
    return PlainTask.apply_async(self, *args, **options)


def sends_by_the_modules_name(self: Any, *args: Any, **options: Any) -> Any:
    return celery.Task.apply_async(self, *args, **options)


def sends_later(self: Any, *args: Any, **options: Any) -> Any:
    return (lambda: PlainTask.apply_async(self, *args, **options))()


@pytest.mark.parametrize("send", [sends_by_name, sends_by_the_modules_name, sends_later])
def test_a_class_that_sends_past_ours_is_warned_of_where_a_publisher_takes_the_key(
    app: Celery, send: Any
) -> None:
    theirs = a_class("Theirs", PlainTask, apply_async=send)
    lock = Lock("k", scope=Scope.UNTIL_FINISHED)

    with pytest.warns(
        UserWarning, match=r"Theirs\.apply_async calls .* Both\(LockedTask, Theirs\)"
    ):
        locked(app, lock, base=a_class("Both", theirs, Locked), name="a")(body)
    with pytest.warns(UserWarning, match=r"let it call super\(\)\.apply_async\(\.\.\.\)$"):
        locked(app, lock, base=a_class("Ours", Locked, apply_async=send), name="b")(body)


def asks_celery_and_sends_by_our_name(self: Any, *args: Any, **options: Any) -> Any:
    if celery.current_task and isinstance(self, PlainTask):
        options.setdefault("headers", {})
    return LockedTask.apply_async(self, *args, **options)


def sends_by_a_function(self: Any, *args: Any, **options: Any) -> Any:
    assert isinstance(self, PlainTask)
    self.told.apply_async()
    return asks_celery_and_sends_by_our_name(self, *args, **options)


def sends_past_ours_where_asked(self: Any, *args: Any, bare: bool = False, **options: Any) -> Any:
    send = PlainTask.apply_async if bare else LockedTask.apply_async
    return send(self, *args, **options)


@pytest.mark.parametrize(
    "send",
    [asks_celery_and_sends_by_our_name, sends_by_a_function, sends_past_ours_where_asked],
)
def test_a_class_that_names_celerys_for_something_else_is_not_warned_of(
    app: Celery, send: Any
) -> None:
    lock = Lock("k", scope=Scope.UNTIL_FINISHED)

    with nothing_is_warned_of():
        locked(app, lock, base=a_class("Ours", Locked, apply_async=send), name="a")(body)


def test_a_class_that_sends_through_ours_is_not_warned_of(app: Celery) -> None:
    class Hands(LockedTask):  # type: ignore[type-arg]
        abstract = True

        def apply_async(self, *args: Any, **options: Any) -> Any:
            assert isinstance(self, PlainTask)
            return super().apply_async(*args, **options)

    behind = a_class("Both", Locked, a_class("Theirs", PlainTask, apply_async=sends_by_name))
    lock = Lock("k", scope=Scope.UNTIL_FINISHED)

    with nothing_is_warned_of():
        locked(app, lock, base=Hands, name="a")(body)
        locked(app, lock, base=behind, name="b")(body)
        locked(app, Lock("c"), base=a_class("C", Locked, apply_async=sends_by_name), name="c")(body)
