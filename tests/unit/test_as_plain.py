"""What a locked task does where its lock has no say: wrong arguments, replacing itself, Celery's
own tasks."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any

import pytest
from celery import Celery, Task, chain, group

from celery_lock import Lock, LockConflict, LockedTask, LockError, fail, requeue, skip
from celery_lock.events import Acquired, Released

from .engine import Engine, deliver, locked

# -- wrong arguments -------------------------------------------------------------------------


def charge(user_id: int, amount: int = 1) -> str:
    return "charged"


def charge_bound(self: Any, user_id: int, amount: int = 1) -> str:
    return "charged"


WRONG: list[tuple[list[Any], dict[str, Any]]] = [
    ([], {}),
    ([1, 2, 3], {}),
    ([1], {"user_id": 2}),
    ([1], {"unknown": 2}),
]
KEYS: list[Any] = [None, "user:{user_id}", lambda user_id, amount: f"user:{user_id}"]


def failure(task: Any, *args: Any, **kwargs: Any) -> tuple[type, str]:
    ended = deliver(task, *args, kwargs=kwargs)
    assert ended.state == "FAILURE"
    return type(ended.result), str(ended.result)


@pytest.mark.parametrize("key", KEYS, ids=["all arguments", "template", "function"])
@pytest.mark.parametrize(("args", "kwargs"), WRONG, ids=repr)
@pytest.mark.parametrize("body", [charge, charge_bound])
def test_wrong_arguments_raise_what_the_call_of_a_plain_task_raises(
    app: Celery, engine: Engine, body: Any, args: list[Any], kwargs: dict[str, Any], key: Any
) -> None:
    bind = body is charge_bound
    plain = app.task(name="plain", shared=False, lazy=False, bind=bind)(body)
    task = locked(app, Lock(key), name="t", bind=bind)(body)

    assert failure(task, *args, **kwargs) == failure(plain, *args, **kwargs)
    assert deliver(task, *args, kwargs=kwargs).result.__context__ is None
    assert engine.store.calls == []


def test_wrong_arguments_are_tried_again_where_the_task_says_so(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = locked(app, Lock("k:{user_id}"), name="t", autoretry_for=(TypeError,), typing=False)(
        charge
    )
    published: list[Any] = []
    monkeypatch.setattr(app, "send_task", lambda name, *_, **said: published.append(name))

    assert deliver(task).state == "RETRY"
    assert published == ["t"]


def test_a_class_based_task_with_wrong_arguments_is_tried_again_too(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Charge(LockedTask):  # type: ignore[type-arg]
        name = "t"
        lock = Lock("k:{user_id}", on_lost="interrupt")
        autoretry_for = (TypeError,)
        typing = False

        def run(self, user_id: int) -> None:
            """Do nothing."""

    task = app.register_task(Charge())
    published: list[Any] = []
    monkeypatch.setattr(app, "send_task", lambda name, *_, **said: published.append(name))

    assert deliver(task).state == "RETRY"
    assert published == ["t"]


def test_a_body_behind_a_decorator_that_takes_anything_is_not_run_without_its_lock(
    app: Celery,
) -> None:
    """The decorator adds an argument, so nobody can say by the call alone what the key is."""
    ran: list[int] = []

    def with_user(body: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(body)
        def run(*args: Any) -> Any:
            return body(7, *args)

        return run

    @with_user
    def body(user_id: int, amount: int) -> None:
        ran.append(user_id)

    kind, said = failure(locked(app, Lock("k:{user_id}"), name="t")(body), 1)

    assert (kind, ran) == (TypeError, [])
    assert "missing a required argument: 'amount'" in said
    assert "key of task t is made by" in said
    assert "give it a __signature__" in said


def with_session_in_call(self: Any, *args: Any, **kwargs: Any) -> Any:
    return super(self.adds, self).__call__("a session", *args, **kwargs)


def adding(*bases: Any) -> Any:
    """A base class like Warehouse's, which gives each body a request of its web framework."""
    members: Any = {"abstract": True, "__call__": with_session_in_call}
    plain: Any = Task
    adds = type("Adds", tuple(bases) or (plain,), members)
    adds.adds = adds  # type: ignore[attr-defined]
    return adds


def with_what_is_sent(function: Callable[..., Any]) -> Any:
    said: Any = function
    _, *sent = signature(function).parameters.values()
    said.__signature__ = Signature(sent)
    return said


def test_a_body_to_which_a_class_behind_ours_gives_more_is_not_run_without_its_lock(
    app: Celery,
) -> None:
    ran: list[int] = []

    def body(session: str, user_id: int) -> None:
        ran.append(user_id)

    locked_class: Any = LockedTask
    both = type("Both", (locked_class, adding()), {"abstract": True})
    kind, said = failure(locked(app, Lock("k:{user_id}"), name="t", base=both)(body), 1)

    assert (kind, ran) == (TypeError, [])
    assert "missing a required argument: 'user_id'" in said
    assert "If with_session_in_call gives that more than is sent" in said


def test_a_class_behind_ours_may_give_more_where_the_function_says_what_is_sent(
    app: Celery, engine: Engine
) -> None:
    def body(session: str, user_id: int) -> list[Any]:
        return [session, user_id]

    locked_class: Any = LockedTask
    both = type("Both", (locked_class, adding()), {"abstract": True})
    task = locked(app, Lock("k:{user_id}"), name="t", base=both)(with_what_is_sent(body))

    assert deliver(task, 7).result == ["a session", 7]
    assert task.key_of(7) == "k:7"
    assert [fact.key for fact in engine.told(Acquired)] == ["k:7"]


def test_a_class_before_ours_may_give_more_and_the_key_is_made_of_that(
    app: Celery, engine: Engine
) -> None:
    def body(session: str, user_id: int) -> list[Any]:
        return [session, user_id]

    task = locked(app, Lock("k:{user_id}"), name="t", base=adding(LockedTask))(body)

    assert deliver(task, 7).result == ["a session", 7]
    assert [fact.key for fact in engine.told(Acquired)] == ["k:7"]


def test_a_body_that_takes_more_than_it_says_is_sent_is_not_run_without_its_lock(
    app: Celery,
) -> None:
    ran: list[int] = []

    @with_what_is_sent
    def body(session: str, user_id: int) -> None:
        ran.append(user_id)

    kind, said = failure(
        locked(app, Lock("k:{user_id}"), name="t", base=adding(LockedTask))(body), 1
    )

    assert (kind, ran) == (TypeError, [])
    assert "too many positional arguments" in said


def test_what_is_put_around_a_body_on_its_task_may_give_it_more(app: Celery) -> None:
    ran: list[int] = []

    def body(session: str, user_id: int) -> None:
        ran.append(user_id)

    task = locked(app, Lock("k:{user_id}"), name="t")(body)
    task.run = wraps(body)(lambda *args: body("a session", *args))
    kind, said = failure(task, 1)

    assert (kind, ran) == (TypeError, [])
    assert "key of task t is made by" in said


def test_a_decorator_that_says_what_it_takes_is_believed(app: Celery, engine: Engine) -> None:
    """One adds a session, one takes a tenant away: the key is of what is sent."""

    def in_a_session(body: Callable[..., Any]) -> Any:
        @wraps(body)
        def run(*args: Any, tenant: str, **kwargs: Any) -> Any:
            return body(f"session of {tenant}", *args, **kwargs)

        wanted = [*signature(body).parameters.values()][1:]
        taken = Parameter("tenant", Parameter.KEYWORD_ONLY)
        said: Any = run
        said.__signature__ = Signature([*wanted, taken])
        return said

    @in_a_session
    def body(session: str, user_id: int) -> list[Any]:
        return [session, user_id]

    task = locked(app, Lock("{tenant}:{user_id}"), name="t")(body)

    assert deliver(task, 7, kwargs={"tenant": "red"}).result == ["session of red", 7]
    assert task.key_of(7, tenant="red") == "red:7"
    assert [fact.key for fact in engine.told(Acquired)] == ["red:7"]


def test_a_pydantic_argument_that_is_not_valid_raises_what_pydantic_does(app: Celery) -> None:
    pydantic = pytest.importorskip("pydantic")
    order_model = pydantic.create_model("Order", a=(int, ...))

    def body(order: Any) -> None:
        """Do nothing."""

    body.__annotations__["order"] = order_model
    lock = Lock(lambda order: f"order:{order.a}")
    task = locked(app, lock, name="t", pydantic=True)(body)

    assert failure(task, {"a": "no number"})[0] is pydantic.ValidationError


def test_a_key_that_cannot_be_made_of_right_arguments_is_still_the_locks_error(
    app: Celery,
) -> None:
    def order(order: Any) -> None:
        """Do nothing."""

    task = locked(app, Lock("order:{order[id]}"), name="t")(order)

    assert issubclass(failure(task, {"name": "x"})[0], LockError)


# -- replacing itself ------------------------------------------------------------------------


def replacing(app: Celery, how: Callable[[Any], Any], **lock: Any) -> Any:
    """A task that puts something in its own place once."""

    def body(self: Any, n: int) -> Any:
        if n:
            return [self.lease.key, n]
        return self.replace(how(self))

    return locked(app, Lock("k", **lock), name="t", bind=True)(body)


@pytest.mark.parametrize("policy", [fail(), requeue(), skip()])
def test_what_takes_the_place_of_an_eager_task_runs_within_its_lease(
    app: Celery, engine: Engine, policy: Any
) -> None:
    task = replacing(app, lambda self: self.s(1), on_conflict=policy)

    assert task.apply(args=[0], throw=True).get() == ["k", 1]
    assert (len(engine.told(Acquired)), len(engine.told(Released))) == (1, 1)
    assert engine.holder_of() is None


@pytest.mark.parametrize(
    ("how", "result"),
    [
        (lambda self: chain(self.si(1), self.si(2)), ["k", 2]),
        (lambda self: group(self.si(1), self.si(2)), [["k", 1], ["k", 2]]),
    ],
    ids=["chain", "group"],
)
def test_so_do_all_members_of_a_canvas_that_takes_its_place(
    app: Celery, engine: Engine, how: Any, result: Any
) -> None:
    task = replacing(app, how)

    assert task.apply(args=[0], throw=True).get() == result
    assert engine.holder_of() is None


def test_another_key_is_taken_as_ever(app: Celery, engine: Engine) -> None:
    held: list[Any] = []

    def other(n: int) -> None:
        held.append([engine.holder_of(key) is not None for key in ("k", "other")])

    another = locked(app, Lock("other"), name="other")(other)
    task = replacing(app, lambda self: another.si(1))

    task.apply(args=[0], throw=True).get()

    assert held == [[True, True]]
    assert len(engine.told(Acquired)) == 2


def test_nothing_is_lent_to_what_the_body_calls_by_itself(app: Celery, engine: Engine) -> None:
    """Not before the replacement, and not after it."""
    met: list[Any] = []

    def body(self: Any, how: str) -> Any:
        if how != "outer":
            return how
        met.append(type(self.apply(("inner",)).result))
        replaced = self.replace(self.s("replacement"))
        met.append(type(self.apply(("inner",)).result))
        return replaced

    task = locked(app, Lock("k"), name="t", bind=True)(body)

    assert task.apply(("outer",)).get() == "replacement"
    assert met == [LockConflict, LockConflict]


# -- Celery's own tasks ----------------------------------------------------------------------


def test_a_lock_for_all_tasks_leaves_celerys_own_unlocked(engine: Engine) -> None:
    app = engine.app(task_cls=LockedTask)
    app.conf.task_annotations = {"*": {"lock": Lock(), "max_retries": 7}}
    mine: Any = app.task(name="mine", shared=False)(charge)

    app.finalize()

    celerys = [task for name, task in app.tasks.items() if name.startswith("celery.")]
    assert len(celerys) > 5
    assert {getattr(task, "_bound_locks", ()) for task in celerys} == {()}
    assert {task.max_retries for task in celerys} == {7}
    assert mine._bound_locks


def test_one_of_celerys_own_that_is_named_has_the_lock_that_it_is_given(engine: Engine) -> None:
    app = engine.app(task_cls=LockedTask)
    named = Lock("cleanup")
    app.conf.task_annotations = {
        "*": {"lock": Lock()},
        "celery.backend_cleanup": {"lock": named},
    }

    app.finalize()

    task: Any = app.tasks["celery.backend_cleanup"]
    assert [each.lock for each in task._bound_locks] == [named]


# -- what a conflict says --------------------------------------------------------------------


def test_a_conflict_says_when_the_key_is_free_if_nobody_renews_it(
    app: Celery, engine: Engine
) -> None:
    task = locked(app, Lock("k", on_conflict=fail()), name="t")(charge)
    engine.hold(ttl=12.0)

    conflict = deliver(task, 1).result

    assert isinstance(conflict, LockConflict)
    assert (conflict.key, conflict.holder) == ("k", "other")
    assert conflict.expires_in == pytest.approx(12.0)
