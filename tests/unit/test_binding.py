"""A Lock meets its task: which tasks are locked, with what, and each mistake told at import."""

from __future__ import annotations

import asyncio
import functools
import gc
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, Task, shared_task
from celery._state import _on_app_finalizers
from celery.worker.request import Request
from kombu.utils.imports import symbol_by_name

from celery_lock import (
    Lock,
    LockConfigurationError,
    LockedTask,
    Scope,
    requeue,
    skip,
    wait,
)
from celery_lock.app.bound import BoundLock
from celery_lock.app.locks import AppLocks, locks_of
from celery_lock.task.binding import LONG_WAIT
from celery_lock.task.request import LockedRequest, LockedRequestMixin

from .engine import locked

MISTAKE = LockConfigurationError


def an_app(**options: Any) -> Celery:
    return Celery("shop", broker="memory://", set_as_current=False, **options)


def body(user_id: int, amount: int = 0) -> None:
    """Do nothing."""


def bound_lock(task: Any) -> BoundLock | None:
    found: tuple[BoundLock, ...] = task._bound_locks
    return found[0] if found else None


def key(task: Any, *args: Any, **kwargs: Any) -> str:
    bound = bound_lock(task)
    assert bound is not None
    return bound.key.render(args, kwargs)


@pytest.fixture
def app() -> Celery:
    return an_app()


# -- which tasks are locked ------------------------------------------------------------------


def test_a_task_that_names_locked_task_is_locked_on_its_name_and_arguments(app: Celery) -> None:
    task = locked(app, name="charge")(body)

    assert key(task, 7).startswith("charge:")
    assert key(task, 7) == key(task, user_id=7, amount=0) != key(task, 8)


def test_a_task_that_names_a_subclass_is_locked(app: Celery) -> None:
    class Audited(LockedTask):
        pass

    assert bound_lock(locked(app, base=Audited, name="t")(body)) is not None


def test_a_declared_lock_is_the_one(app: Celery) -> None:
    task = locked(app, Lock("user:{user_id}", ttl=5), name="t")(body)

    assert key(task, 7) == "user:7"


def test_a_lock_is_inherited(app: Celery) -> None:
    class ByUser(LockedTask):
        lock = Lock("user:{user_id}")

    task = locked(app, base=ByUser, name="t")(body)

    assert key(task, 7) == "user:7"


def test_an_inherited_lock_can_be_replaced_and_switched_off(app: Celery) -> None:
    class ByUser(LockedTask):
        lock = Lock("user:{user_id}")

    other = locked(app, Lock("other"), base=ByUser, name="a")(body)
    none = locked(app, base=ByUser, name="b", lock=None)(body)

    assert key(other, 7) == "other"
    assert bound_lock(none) is None


def test_a_task_without_a_lock_is_as_celerys_own(app: Celery) -> None:
    task = locked(app, name="t", lock=None)(body)

    assert bound_lock(task) is None
    assert locks_of(app).bound == {}


def test_as_the_default_class_it_locks_only_what_declares_a_lock() -> None:
    app = an_app(task_cls=LockedTask)
    app.finalize()
    plain = app.task(name="plain", shared=False, lazy=False)(body)
    declared = app.task(name="declared", shared=False, lazy=False, lock=Lock("k"))(body)
    named = app.task(name="named", shared=False, lazy=False, base=LockedTask)(body)

    assert {name for name, task in app.tasks.items() if bound_lock(task)} == {"declared", "named"}
    assert isinstance(plain, LockedTask)
    assert key(declared, 7) == "k"
    assert key(named, 7).startswith("named:")


def test_celerys_own_tasks_are_left_alone() -> None:
    app = an_app(task_cls=LockedTask)
    app.finalize()

    assert "celery.chord_unlock" in app.tasks
    assert [name for name, task in app.tasks.items() if bound_lock(task)] == []


@pytest.mark.filterwarnings("ignore::UserWarning")  # Celery 5.7 warns of builtin tasks made twice
@pytest.mark.parametrize("second", [LockedTask, None])
def test_a_task_of_the_default_class_is_not_locked_in_a_second_app_that_shares_it(
    second: type | None,
) -> None:
    app = an_app(task_cls=LockedTask)
    app.task(name="plain", shared=False, lazy=False)(body)
    app.task(name="declared", shared=False, lazy=False, lock=Lock("k"))(body)
    app.finalize()

    other = an_app(task_cls=second, tasks=app.tasks)
    other.finalize()

    assert other.tasks is app.tasks
    assert [name for name, task in other.tasks.items() if bound_lock(task)] == ["declared"]


def test_a_class_that_keeps_an_app_of_another_framework_locks(app: Celery) -> None:
    """Celery writes its own app under that name into the task's class, and into no base of it."""

    class FlaskTask(LockedTask):  # type: ignore[type-arg]
        abstract = True
        _app = object()

    assert bound_lock(locked(app, base=FlaskTask, name="t")(body)) is not None


def test_a_lock_on_the_default_class_is_refused_for_it_would_lock_every_task() -> None:
    class ByUser(LockedTask):
        lock = Lock("user:{user_id}")

    app = an_app(task_cls=ByUser)

    with pytest.raises(MISTAKE, match="ByUser declares a lock and is the app's default task class"):
        app.task(shared=False, lazy=False)(body)


def test_the_default_class_may_be_named_by_a_task() -> None:
    class Mine(LockedTask):
        pass

    app = an_app(task_cls=Mine)
    task = locked(app, base=Mine, name="t")(body)
    app.finalize()

    assert [name for name, each in app.tasks.items() if bound_lock(each)] == [task.name]


def test_an_annotation_declares_a_lock_and_switches_it_off() -> None:
    app = an_app(task_cls=LockedTask)
    app.conf.task_annotations = {"a": {"lock": Lock("annotated")}, "b": {"lock": None}}
    a = app.task(name="a", shared=False, lazy=False)(body)
    b = app.task(name="b", shared=False, lazy=False, lock=Lock("k"))(body)

    assert key(a, 7) == "annotated"
    assert bound_lock(b) is None


@pytest.mark.filterwarnings("ignore:task shared.t is made of")  # in an app of another test
def test_a_shared_task_is_locked_in_every_app() -> None:
    before = set(_on_app_finalizers)
    try:
        proxy = shared_task(base=LockedTask, name="shared.t", lock=Lock("user:{user_id}"))(body)
        apps = [an_app(), an_app()]
        for app in apps:
            app.finalize()

        tasks = [app.tasks["shared.t"] for app in apps]
    finally:
        _on_app_finalizers.intersection_update(before)

    assert proxy is not None
    assert [key(task, 7) for task in tasks] == ["user:7", "user:7"]
    assert tasks[0] is not tasks[1]


def test_a_class_based_task_is_locked(app: Celery) -> None:
    class Charge(LockedTask):
        name = "charge"
        lock = Lock("user:{user_id}")

        def run(self, user_id: int, amount: int = 0) -> None:
            """Do nothing."""

    assert key(app.register_task(Charge()), 7, amount=5) == "user:7"


def test_a_class_based_task_that_celery_names_is_locked(app: Celery) -> None:
    class Charge(LockedTask):
        def run(self, user_id: int) -> None:
            """Do nothing."""

    task = app.register_task(Charge())

    assert task.name.endswith(".Charge")
    assert key(task, 7).startswith(f"{task.name}:")
    assert list(locks_of(app).bound) == [task.name]


def test_a_base_class_that_is_no_task_needs_no_fitting_lock(app: Celery) -> None:
    class ByUser(LockedTask):
        lock = Lock("user:{user_id}")

    ByUser.bind(app)

    assert bound_lock(ByUser) is None


def test_self_is_no_part_of_the_key(app: Celery) -> None:
    def bound(self: Any, user_id: int) -> None:
        """Do nothing."""

    task = locked(app, Lock("user:{user_id}"), name="t", bind=True)(bound)
    digest = locked(app, name="d", bind=True)(bound)

    assert key(task, 7) == key(task, user_id=7) == "user:7"
    assert key(digest, 7) == key(digest, user_id=7)


def test_binding_twice_changes_nothing(app: Celery) -> None:
    task = locked(app, Lock("user:{user_id}"), name="t")(body)
    request = type(task).Request

    task.bind(app)
    app.finalize()

    assert key(task, 7) == "user:7"
    assert type(task).Request is request


def test_retries_of_its_own_leave_the_key_as_it_is(app: Celery) -> None:
    """Celery wraps `run` for `autoretry_for`, after the task was bound."""
    task = locked(app, Lock("user:{user_id}"), name="t", autoretry_for=(OSError,))(body)
    app.finalize()

    assert key(task, 7) == "user:7"


def test_a_key_function_is_called_without_the_task(app: Celery) -> None:
    """A function among a task's options becomes a method; one inside a Lock does not."""

    class Charge(LockedTask):
        name = "charge"
        lock = Lock(lambda user_id, amount: f"user:{user_id}", on_conflict=lambda c: skip())

        def run(self, user_id: int, amount: int = 0) -> None:
            """Do nothing."""

    assert key(app.register_task(Charge()), 7) == "user:7"


def test_binding_opens_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError("nobody asked for a lease")

    monkeypatch.setattr(AppLocks, "open_store", refuse)
    app = Celery("shop", broker="redis://nowhere.invalid:1", set_as_current=False)

    assert key(locked(app, Lock("user:{user_id}"), name="t")(body), 7) == "user:7"
    app.finalize()


def test_an_app_that_nobody_uses_any_more_goes_away() -> None:
    def make() -> weakref.ref[Celery]:
        app = an_app()
        locked(app, Lock("k"), name="t")(body)
        return weakref.ref(app)

    gone = make()
    gc.collect()

    assert gone() is None


# -- what a lock becomes ---------------------------------------------------------------------


def test_what_a_lock_leaves_open_comes_from_the_settings() -> None:
    class Config:
        lock_ttl = 12
        lock_on_conflict = skip()
        lock_on_store_error = "run"

    app = an_app()
    app.config_from_object(Config)
    task = locked(app, Lock("k"), name="t")(body)

    bound = bound_lock(task)
    assert bound is not None
    assert (bound.ttl, bound.on_conflict, bound.on_store_error) == (12, skip(), "run")
    assert (bound.at_least, bound.at_most) == (0, None)


def test_what_a_lock_says_wins_over_the_settings() -> None:
    app = an_app()
    app.conf.update(lock_ttl=12, lock_on_conflict=skip(), lock_on_store_error="run")
    lock = Lock("k", ttl=5, on_conflict=wait(3), on_store_error="fail", at_least=1, at_most=60)

    bound = bound_lock(locked(app, lock, name="t")(body))

    assert bound is not None
    assert (bound.ttl, bound.on_conflict, bound.on_store_error) == (5, wait(3), "fail")
    assert (bound.at_least, bound.at_most) == (1, 60)


def test_without_any_word_it_is_sent_again(app: Celery) -> None:
    bound = bound_lock(locked(app, name="t")(body))

    assert bound is not None
    assert (bound.ttl, bound.on_conflict, bound.on_store_error) == (30, requeue(), "requeue")


@pytest.mark.parametrize("scope", [each for each in Scope if each.is_publishers])
def test_a_duplicate_is_not_even_queued_whatever_the_setting_says(app: Celery, scope: Any) -> None:
    app.conf.lock_on_conflict = wait(3)

    bound = bound_lock(locked(app, Lock("k", scope=scope), name="t")(body))

    assert bound is not None
    assert bound.on_conflict == skip()


def test_a_policy_of_the_lock_itself_counts_in_every_scope(app: Celery) -> None:
    lock = Lock("k", scope="until_started", on_conflict=requeue())

    bound = bound_lock(locked(app, lock, name="t")(body))

    assert bound is not None
    assert bound.on_conflict == requeue()


def test_a_wrong_setting_is_told_as_the_first_task_is_bound() -> None:
    app = an_app()
    app.conf.lock_ttl = -1

    with pytest.raises(MISTAKE, match="lock_ttl=-1 must be more than zero"):
        locked(app, name="t")(body)


# -- the request class -----------------------------------------------------------------------


def test_a_locked_tasks_messages_are_ours(app: Celery) -> None:
    task = locked(app, name="t")(body)

    assert task.Request == "celery_lock.task.request:LockedRequest"
    assert issubclass(LockedRequest, LockedRequestMixin)


@pytest.mark.parametrize("as_name", [True, False])
def test_a_users_own_request_class_is_kept_under_ours(app: Celery, as_name: bool) -> None:
    class Theirs(LockedTask):
        Request: Any = f"{__name__}:UsersRequest" if as_name else UsersRequest

    task = locked(app, base=Theirs, name="t")(body)

    assert issubclass(task.Request, LockedRequestMixin)
    assert issubclass(task.Request, UsersRequest)
    assert task.Request.__mro__.index(LockedRequestMixin) < task.Request.__mro__.index(UsersRequest)


@pytest.mark.parametrize("lock", [Lock("k"), None], ids=["locked", "without a lock"])
def test_a_request_of_a_users_class_behind_ours_is_kept_under_ours_too(
    app: Celery, lock: Any
) -> None:
    """`class Both(LockedTask, Theirs)` is what we advise, and ours is found first there."""

    class Theirs(Task):  # type: ignore[type-arg]
        abstract = True
        Request = UsersRequest

    class Both(LockedTask, Theirs):
        abstract = True

    task = locked(app, base=Both, name="t", lock=lock)(body)
    found = symbol_by_name(task.Request)
    task.bind(app)

    assert issubclass(found, UsersRequest)
    assert found.__mro__.index(LockedRequestMixin) < found.__mro__.index(UsersRequest)
    assert task.Request is found


def test_without_a_request_of_its_users_a_task_has_ours_alone(app: Celery) -> None:
    assert locked(app, Lock("k"), name="t")(body).Request == LockedTask.Request


def test_what_a_mixin_behind_celerys_class_calls_its_request_is_none_of_the_tasks(
    app: Celery,
) -> None:
    """One of a web framework, say: a plain task with the mixin has Celery's."""

    class FromTheWeb:
        class Request:
            """What a browser sends."""

    both: Any = type("Both", (LockedTask, FromTheWeb), {"abstract": True})
    plain: Any = type("Plain", (Task, FromTheWeb), {"abstract": True})

    assert locked(app, Lock("k"), name="t", base=both)(body).Request == LockedTask.Request
    assert plain.Request == Task.Request


class UsersRequest(Request):
    """A user's own."""


# -- mistakes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("user:{user_id}", r'task t: lock=.* is no Lock; write lock=Lock\("user:{user_id}"\)'),
        (True, r"lock=True is no Lock; write lock=Lock\(\)"),
        (Lock, r"is no Lock; write lock=Lock\(\)"),
        (skip(), r"is no Lock"),
        ([Lock("a"), "b"], r"is no Lock"),
    ],
)
def test_what_is_no_lock_is_refused(app: Celery, given: Any, said: str) -> None:
    with pytest.raises(MISTAKE, match=said):
        locked(app, name="t", lock=given)(body)


def test_a_field_that_the_task_does_not_have_is_refused_with_those_it_has(app: Celery) -> None:
    with pytest.raises(MISTAKE, match=r"\{usr_id\}.*task 't' has.*user_id") as caught:
        locked(app, Lock("user:{usr_id}"), name="t")(body)

    assert "amount" in str(caught.value)


@pytest.mark.parametrize(
    "option", ["lock_key", "lock_ttl", "on_conflict", "on_store_error", "at_least", "at_most"]
)
def test_an_option_of_the_lock_beside_it_is_refused(app: Celery, option: str) -> None:
    said = option.removeprefix("lock_")
    with pytest.raises(
        MISTAKE, match=rf"'{option}', which nobody reads; write lock=Lock\(..., {said}="
    ):
        locked(app, name="t", **{option: 5})(body)


def test_a_method_that_sounds_like_an_option_is_none(app: Celery) -> None:
    class Charge(LockedTask):
        name = "charge"

        def run(self, user_id: int) -> None:
            """Do nothing."""

        def lock_key(self) -> str:
            return "mine"

    assert bound_lock(app.register_task(Charge())) is not None


def coroutine() -> Callable[..., Any]:
    async def work(user_id: int) -> None:
        """Do nothing."""

    return work


def generator() -> Callable[..., Any]:
    def work(user_id: int) -> Iterator[int]:
        yield user_id

    return work


def asynchronous_generator() -> Callable[..., Any]:
    async def work(user_id: int) -> Any:
        yield user_id

    return work


DEFERRED = [
    (coroutine(), "a coroutine function"),
    (generator(), "a generator function"),
    (asynchronous_generator(), "an async generator"),
]


@pytest.mark.parametrize(("work", "kind"), DEFERRED)
def test_a_body_that_runs_after_its_call_is_refused(
    app: Celery, work: Callable[..., Any], kind: str
) -> None:
    with pytest.raises(MISTAKE, match=f"body of task t is {kind}.*make it a plain function"):
        locked(app, name="t")(work)


@pytest.mark.parametrize(("work", "kind"), DEFERRED)
def test_a_body_that_runs_after_its_call_is_refused_in_a_class_too(
    app: Celery, work: Callable[..., Any], kind: str
) -> None:
    charge = type("Charge", (LockedTask,), {"name": "charge", "run": work})

    with pytest.raises(MISTAKE, match=f"body of task charge is {kind}"):
        app.register_task(charge())


def test_a_coroutine_that_a_decorator_runs_to_its_end_is_fine(app: Celery) -> None:
    def run_to_the_end(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inner(*args: Any, **kwargs: Any) -> Any:
            return asyncio.run(function(*args, **kwargs))

        return inner

    task = locked(app, Lock("user:{user_id}"), name="t")(run_to_the_end(coroutine()))

    assert key(task, 7) == "user:7"


def test_a_coroutine_is_refused_with_both_ways_to_run_it(app: Celery) -> None:
    with pytest.raises(MISTAKE, match=r"inside it is fine\), or give the task a class whose"):
        locked(app, name="t")(coroutine())


def test_a_generator_is_refused_also_if_a_class_might_run_it(app: Celery) -> None:
    class Runs(LockedTask):  # type: ignore[type-arg]
        abstract = True

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return list(self.run(*args, **kwargs))

    with pytest.raises(MISTAKE, match="body of task t is a generator function"):
        locked(app, base=Runs, name="t")(generator())


def test_a_coroutine_behind_pydantic_is_refused(app: Celery) -> None:
    pytest.importorskip("pydantic")

    with pytest.raises(MISTAKE, match="body of task t is a coroutine function"):
        locked(app, name="t", pydantic=True)(coroutine())


def test_a_bound_body_without_self_is_refused(app: Celery) -> None:
    def nothing() -> None:
        """Do nothing."""

    with pytest.raises(MISTAKE, match=r"body of task t takes no argument at all.*needs self"):
        locked(app, name="t", bind=True)(nothing)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (Lock("k", ttl=5), Lock("k", ttl=6), "tasks b and a share the lock 'k' but not its ttl"),
        (Lock("k"), Lock("k", ttl=5), r"ttl: 5\.0 against 30\.0; give both the same, or two"),
        (Lock("k", limit=3), Lock("k", limit=2), "not its limit: 2 against 3; give both the same"),
        (Lock("k"), Lock("k", limit=2), "tasks b and a share .* limit: 2 against 1"),
    ],
)
def test_one_template_with_two_times_is_refused_with_both_names(
    app: Celery, first: Lock, second: Lock, said: str
) -> None:
    locked(app, first, name="a")(body)

    with pytest.raises(MISTAKE, match=said):
        locked(app, second, name="b")(body)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Lock("k", ttl=30), Lock("k")),
        (Lock("k", on_conflict=skip(), at_least=5), Lock("k", at_most=60)),
        (Lock("k", limit=3), Lock("k", limit=3, on_conflict=skip())),
        (Lock("a", ttl=5), Lock("b", ttl=6, limit=2)),
        (Lock(ttl=5), Lock(ttl=6)),
        (Lock(lambda user_id, amount: "k", ttl=5), Lock(lambda user_id, amount: "k", ttl=6)),
    ],
)
def test_what_does_not_contradict_is_one_shared_lock(
    app: Celery, first: Lock, second: Lock
) -> None:
    one = locked(app, first, name="a")(body)
    other = locked(app, second, name="b")(body)

    assert bound_lock(one) is not None
    assert bound_lock(other) is not None


def test_two_apps_may_contradict_each_other() -> None:
    assert bound_lock(locked(an_app(), Lock("k", ttl=5), name="a")(body)) is not None
    assert bound_lock(locked(an_app(), Lock("k", ttl=6), name="b")(body)) is not None


# -- warnings --------------------------------------------------------------------------------


def _bare(inner: Any) -> Any:
    """A decorator that shows nothing of what it is put around."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return inner(*args, **kwargs)

    return wrapper


def _any(*args: Any, **kwargs: Any) -> None:
    """Take whatever comes."""


def _by_position(*args: Any) -> None:
    """Take no names."""


def test_a_wrapper_that_hides_the_parameters_is_warned_of_with_what_to_write() -> None:
    with pytest.warns(UserWarning, match=r"task t: its body is .*wrapper\(\*args.*") as said:
        locked(an_app(), Lock(), name="t")(_bare(body))

    (message,) = [str(one.message) for one in said]
    assert "around body(user_id, amount), whose parameters it hides" in message
    assert "@functools.wraps(body)" in message


@pytest.mark.parametrize(
    ("key", "function"),
    [
        (None, functools.wraps(body)(_bare(body))),
        (None, _bare(lambda: None)),
        (None, _bare(functools.partial(body, 7))),
        (None, _any),
        (None, _by_position),
        ("all", _bare(body)),
    ],
    ids=["wraps", "nothing to hide", "no function", "no wrapper", "by position alone", "a key"],
)
def test_a_body_whose_calls_are_the_same_is_not_warned_of(key: Any, function: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        locked(an_app(), Lock(key), name="t")(function)


def test_a_body_that_calls_other_functions_is_no_wrapper_of_them(app: Celery) -> None:
    """What it hands its arguments on to is named, and nothing else that it closes over."""

    def tell(error: Exception) -> None:
        raise AssertionError(error)

    def checked(given: Any) -> Any:
        return given

    def guarded(inner: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            try:
                return inner("a session", *args, **checked(kwargs))
            except ValueError as error:
                tell(error)

        return wrapper

    def generic(*args: Any, **kwargs: Any) -> None:
        tell(ValueError(args, kwargs))
        print(*args, tell, **kwargs)

    with pytest.warns(UserWarning, match="around body") as said:
        locked(app, Lock(), name="t")(guarded(body))
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        locked(app, Lock(), name="u")(generic)


def wrappers(inner: Any, times: int, session: Callable[..., Any]) -> dict[str, Any]:
    def adds(*args: Any, **kwargs: Any) -> Any:
        return inner(times, *args, **kwargs)

    def names(*args: Any, **kwargs: Any) -> Any:
        return inner(*args, times=times, session=session, **kwargs)

    def cleans(*args: Any, **kwargs: Any) -> Any:
        return inner(*args, **dict(kwargs))

    def chooses(*args: Any, **kwargs: Any) -> Any:
        return inner(session if times else None, times if session else 1, *args, **kwargs)

    def tries(*args: Any, **kwargs: Any) -> Any:
        for _ in range(times):
            try:
                with session():
                    return inner(*args, *[times for _ in args], **kwargs)
            except KeyError as error:
                session(error)
        return None

    return {each.__name__: each for each in (adds, names, cleans, chooses, tries)}


@pytest.mark.parametrize("name", ["adds", "names", "cleans", "chooses", "tries"])
def test_a_wrapper_is_known_whatever_else_it_hands_on(app: Celery, name: str) -> None:
    def session(*given: Any) -> Any:
        raise AssertionError(given)

    with pytest.warns(UserWarning, match="around body") as said:
        locked(app, Lock(), name="t")(wrappers(body, 3, session)[name])

    assert len(said) == 1


def test_a_body_may_name_what_comes_after_it(app: Celery) -> None:
    """As a task does that sends itself, in a function which makes it in an app that is ready."""
    app.finalize()

    with warnings.catch_warnings():
        warnings.simplefilter("error")

        @locked(app, Lock(), name="t")
        def again(*args: Any, **kwargs: Any) -> Any:
            return again.name, later(*args, **kwargs)

    def later(number: int) -> int:
        return number

    assert again(7) == ("t", 7)


def test_a_long_wait_is_warned_of(app: Celery) -> None:
    with pytest.warns(UserWarning, match=r"task t waits for its lock for up to 31 s.*requeue\(\)"):
        locked(app, Lock("k", on_conflict=wait(LONG_WAIT + 1)), name="t")(body)


def test_a_short_wait_is_not_warned_of(app: Celery) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        locked(app, Lock("k", on_conflict=wait(LONG_WAIT)), name="t")(body)


class RunsAtOnce(Task):  # type: ignore[type-arg]
    """A base of somebody else's whose call goes straight to the body."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(*args, **kwargs)


class HandsOn(Task):  # type: ignore[type-arg]
    """A base of somebody else's that calls what comes after it."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **kwargs)


def mixed(*bases: type) -> type:
    return type("Mixed", bases, {"abstract": True})


@pytest.mark.parametrize(
    "bases",
    [
        (LockedTask, RunsAtOnce),
        (RunsAtOnce, LockedTask),
        (HandsOn, LockedTask),
        (LockedTask, HandsOn),
    ],
)
def test_a_base_beside_ours_is_not_warned_of(app: Celery, bases: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        locked(app, base=mixed(*bases), name="t")(body)


def test_without_a_lock_nobody_is_warned(app: Celery) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        locked(app, base=mixed(RunsAtOnce, LockedTask), name="t", lock=None)(body)


def test_a_lock_on_a_task_without_the_base_class_is_warned_of() -> None:
    """Nobody would read it, and nothing would be locked."""
    app = Celery("plain", broker="memory://")

    @app.task(lock=Lock("order:{order_id}"))
    def ship(order_id: int) -> None: ...

    with pytest.warns(UserWarning, match="base=LockedTask"):
        app.finalize()


def test_a_lock_on_a_mixin_class_is_not_warned_of() -> None:
    """It is read by the task that has the class, and LockedTask, among its bases."""

    class Orders:
        lock = Lock("order:{order_id}")

    assert Orders.lock.key == "order:{order_id}"


def test_a_task_whose_binding_broke_off_does_not_run_without_its_lock(app: Celery) -> None:
    runs: list[int] = []

    def noted() -> None:
        runs.append(1)

    declared = locked(app, lock=Lock("k", on_conflict=wait(LONG_WAIT + 1)), name="t")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as a test suite may have it
        with pytest.raises(UserWarning):
            declared(noted)

    result = app._tasks["t"].apply()

    assert isinstance(result.result, MISTAKE)
    assert "task t is not bound: UserWarning: task t waits" in str(result.result)
    assert runs == []
