"""Options that nobody reads are refused with what to write; those of a user's own are not."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery, Task, chain, group, signature

from celery_lock import (
    Lock,
    LockConfigurationError,
    LockedTask,
    Scope,
    constant,
    fail,
    requeue,
    skip,
    wait,
)

MISTAKE = LockConfigurationError


def an_app(**options: Any) -> Celery:
    return Celery("shop", broker="memory://", set_as_current=False, **options)


def body(user_id: int = 0) -> None:
    """Do nothing."""


def a_task(app: Celery | None = None, run: Any = body, **options: Any) -> Any:
    app = app or an_app()
    return app.task(name="t", lazy=False, shared=False, **{"base": LockedTask, **options})(run)


OPTIONS: list[tuple[str, Any, str]] = [
    ("key", "user:{user_id}", r'lock=Lock\("order:'),
    ("key", lambda user_id: "k", r'lock=Lock\("order:'),
    ("ttl", 5, r"lock=Lock\(..., ttl=...\)"),
    ("ttl", timedelta(seconds=5), r"ttl=...\)"),
    ("scope", "across_retries", r"scope=...\)"),
    ("scope", Scope.ACROSS_RETRIES, r"scope=...\)"),
    ("at_least", 5, r"at_least=...\)"),
    ("at_most", 5, r"at_most=...\)"),
    ("queue_ttl", 5, r"queue_ttl=...\)"),
    ("limit", 3, r"lock=Lock\(..., limit=...\)"),
    ("lock_limit", 3, r"lock=Lock\(..., limit=...\)"),
    ("max_concurrency", 3, r"lock=Lock\(..., limit=...\)"),
    ("at_least_on_failure", False, r"at_least_on_failure=...\)"),
    ("on_conflict", skip(), r"on_conflict=...\)"),
    ("on_conflict", "skip", r"on_conflict=...\)"),
    ("on_store_error", "run", r"on_store_error=...\)"),
    ("on_lost", "interrupt", r"on_lost=...\)"),
    ("lock_key", "user:{user_id}", r"key=...\)"),
    ("lock_ttl", 5, r"ttl=...\)"),
    ("lock_on_conflict", skip(), r"on_conflict=...\)"),
    ("lock_tll", 5, r"lock=Lock\(..., ttl=...\)"),
    ("on_confict", "skip", r"on_conflict=...\)"),
    ("atleast", 5, r"at_least=...\)"),
    ("conflict", skip(), r"on_conflict=...\)"),
    ("policy", wait(5), r"on_conflict=...\)"),
    ("pause", constant(5), "with the backoff in it"),
    ("retry_lock_in", Scope.WHILE_RUNNING, r"scope=...\)"),
    ("locks", Lock("k"), r"write lock=Lock\('k', ...\)"),
    ("mutex", Lock("k"), r"write lock=Lock\('k', ...\)"),
    ("Lock", Lock(), r"write lock=Lock\(...\)"),
    ("locks", [Lock("a"), Lock("b")], r"write lock=\[Lock\(...\), Lock\(...\)\]"),
    ("once", {"keys": ["user_id"]}, r"scope=Scope.UNTIL_FINISHED, on_conflict=skip\(\)\)"),
    ("once", True, r"on_conflict=skip\(\)\)"),
    ("unique_on", ["user_id"], r"UNTIL_FINISHED\), with the arguments that count as fields"),
    ("heimdall", {"unique": True}, r"scope=Scope.UNTIL_FINISHED\)"),
    ("lock_expiry", 5, r"scope=Scope.UNTIL_FINISHED, queue_ttl=...\)"),
    ("lock_timeout", 5, r"ttl=...\)"),
    ("raise_on_duplicate", True, r"on_conflict=fail\(\)\)"),
    ("graceful", True, r"on_conflict=skip\(\)\)"),
    ("singleton", True, r"lock=Lock\(\)"),
    ("skip", True, r"on_conflict=skip\(\)\)"),
    ("requeue", True, r"on_conflict=requeue\(\)\)"),
    ("max_wait", 5, r"on_conflict=wait\(seconds\)\)"),
    ("max_attempts", 5, r"max_attempts=3\)"),
]


@pytest.mark.parametrize(("option", "value", "said"), OPTIONS)
def test_an_option_of_a_task_that_nobody_reads_is_refused(
    option: str, value: Any, said: str
) -> None:
    with pytest.raises(MISTAKE, match=rf"task t has the option '{option}', which .*{said}"):
        a_task(**{option: value})


@pytest.mark.parametrize(("option", "value", "said"), [one for one in OPTIONS if one[0] != "key"])
def test_an_attribute_of_a_task_class_that_nobody_reads_is_refused(
    option: str, value: Any, said: str
) -> None:
    cls = type("T", (LockedTask,), {"name": "t", "run": lambda self: None, option: value})

    with pytest.raises(MISTAKE, match=rf"has the option '{option}', which .*{said}"):
        an_app().register_task(cls())


@pytest.mark.parametrize(("option", "value", "said"), OPTIONS)
def test_an_annotation_that_nobody_reads_is_refused(option: str, value: Any, said: str) -> None:
    app = an_app()
    app.conf.task_annotations = {"t": {option: value}}

    with pytest.raises(MISTAKE, match=said):
        a_task(app)


def test_an_annotation_that_names_one_of_celerys_own_tasks_stops_no_app() -> None:
    app = an_app()
    app.conf.task_annotations = {"celery.t": {"on_conflict": skip()}}

    app.register_task(type("T", (LockedTask,), {"name": "celery.t", "run": lambda self: 1})())


@pytest.mark.parametrize(("option", "value"), [("on_conflict", skip()), ("locks", Lock("k"))])
def test_a_task_of_the_default_class_that_declares_no_lock_is_refused_too(
    option: str, value: Any
) -> None:
    app = an_app(task_cls=LockedTask)

    with pytest.raises(MISTAKE, match=f"has the option '{option}'"):
        app.task(name="t", lazy=False, shared=False, **{option: value})(body)


def test_a_strong_word_in_a_base_of_locked_task_is_refused_with_the_base() -> None:
    class ByUser(LockedTask):
        on_conflict = skip()

    with pytest.raises(MISTAKE, match=r"option 'on_conflict' \(of ByUser\), which nobody reads"):
        a_task(base=ByUser)


def test_a_common_word_in_a_base_of_locked_task_is_warned_of() -> None:
    class ByUser(LockedTask):
        key = "user:{user_id}"

    with pytest.warns(UserWarning, match=r"option 'key' \(of ByUser\), which nobody reads"):
        a_task(base=ByUser)


def test_a_method_with_a_name_that_only_a_lock_has_is_refused() -> None:
    class T(LockedTask):
        name = "t"

        def run(self) -> None: ...

        def on_conflict(self, conflict: Any) -> Any:
            return skip()

    with pytest.raises(MISTAKE, match="has the option 'on_conflict'"):
        an_app().register_task(T())


# -- what is a user's own --------------------------------------------------------------------


class Keyed(Task):  # type: ignore[type-arg]
    abstract = True
    key: str | None = None
    ttl: int


class Reading(LockedTask):
    abstract = True

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        print(self.key, getattr(self, "unique_on", None))  # type: ignore[attr-defined]


class Owning(LockedTask):
    abstract = True
    once = None

    @property
    def key(self) -> str:
        return "mine"

    def skip(self) -> None: ...


class Both(LockedTask, Keyed):
    abstract = True


def reads_its_own(self: Any) -> Any:
    return self.ttl


def reads_a_row(self: Any, row: Any) -> Any:
    return row.ttl, row["ttl"]


@pytest.mark.parametrize(
    "options",
    [
        {"base": Both, "key": "x", "ttl": 5},
        {"base": Reading, "key": "x", "unique_on": ["a"]},
        {"base": Owning, "key": "x", "once": {"keys": []}, "skip": True},
        {"bind": True, "run": reads_its_own, "ttl": 5},
        {"lock": None, "on_conflict": skip()},
        {"key": None, "ttl": None, "once": None},
        {"colour": "red", "timeout": 5, "limits": 3, "lock_file": "x", "on_loss": 1, "url": "k"},
        {"expires": 5, "time_limit": 60, "rate_limit": "1/s", "acks_late": True},
        {"max_retries": 3, "default_retry_delay": 1, "retry_backoff": True, "autoretry_for": ()},
    ],
)
def test_an_option_that_is_read_or_declared_by_somebody_is_his(options: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task = a_task(**options)

    for name in set(options) - {"base", "bind", "run", "lock", "autoretry_for", "retry_backoff"}:
        assert hasattr(task, name)


def test_what_a_body_reads_of_another_thing_is_not_the_option_of_its_task() -> None:
    with pytest.raises(MISTAKE, match="has the option 'ttl'"):
        a_task(bind=True, run=reads_a_row, ttl=5)


def test_methods_and_attributes_that_a_class_uses_are_its_own() -> None:
    class T(LockedTask):
        name = "t"
        ttl = 5
        wait = 3

        def key(self) -> str:
            return f"{self.ttl}"

        def lock_ttl(self) -> int:
            return 1

        def run(self) -> int:
            return self.wait

    an_app().register_task(T())


def test_common_words_of_a_task_without_a_lock_are_left_alone() -> None:
    app = an_app(task_cls=LockedTask)

    app.task(name="t", lazy=False, shared=False, key="x", ttl=5, once=True)(body)
    a_task(app, base=Task, key="x", on_conflict="mine")


# -- one call --------------------------------------------------------------------------------

CALL: list[dict[str, Any]] = [
    {"lock": Lock("k")},
    {"lock": "k"},
    {"on_conflict": skip()},
    {"on_conflict": "skip"},
    {"on_store_error": "run"},
    {"at_least": 5},
    {"lock_ttl": 5},
    {"unique_on": ["a"]},
    {"lock_expiry": 5},
    {"raise_on_duplicate": True},
    {"mutex": Lock("k")},
    {"policy": requeue()},
    {"locks": [Lock("k")]},
]
WAYS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "apply_async": lambda task, options: task.apply_async((1,), **options),
    "apply": lambda task, options: task.apply((1,), **options),
    "retry": lambda task, options: task.retry(**options),
    "s().set": lambda task, options: task.s(1).set(**options).apply_async(),
    "si().set, delay": lambda task, options: task.si(1).set(**options).delay(),
    "signature": lambda task, options: task.signature((1,), options=options).apply_async(),
    "signature by name": lambda task, options: signature(
        task.name, args=(1,), app=task.app, **options
    ).apply_async(),
    "s().apply": lambda task, options: task.s(1).set(**options).apply(),
    "s().apply_async": lambda task, options: task.s(1).apply_async(**options),
    "chain": lambda task, options: chain(task.s(1).set(**options), app=task.app).apply_async(),
    "group": lambda task, options: group(task.s(1), app=task.app).apply_async(**options),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("options", CALL, ids=str)
def test_a_lock_of_a_single_call_is_refused(way: str, options: dict[str, Any]) -> None:
    task = a_task(an_app(backend="cache+memory://"))

    with pytest.raises(MISTAKE, match=r"nobody reads the lock of a single call; declare it on"):
        WAYS[way](task, options)


def test_a_common_word_in_a_call_is_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"apply_async\(ttl=...\) of task t says nothing to its"):
        a_task().apply_async((1,), ttl=5)


def test_what_a_users_class_takes_from_a_call_is_its_own() -> None:
    taken: list[Any] = []

    class Before(LockedTask):
        def apply_async(self, *args: Any, lock: Any = None, **options: Any) -> Any:
            taken.append(lock)
            return super().apply_async(*args, **options)

    class Behind(Task):  # type: ignore[type-arg]
        def apply_async(self, *args: Any, key: Any = None, **options: Any) -> Any:
            taken.append(key)
            return super().apply_async(*args, **options)

    class Mine(LockedTask, Behind):
        pass

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        a_task(base=Before).apply_async((1,), lock="mine")
        a_task(base=Mine).apply_async((1,), key="mine")

    assert taken == ["mine", "mine"]


def test_a_retry_with_a_lock_fails_in_the_body_and_drops_no_message() -> None:
    def run(self: Any) -> None:
        self.retry(countdown=0, on_conflict=fail())

    result = a_task(bind=True, run=run).apply()

    assert isinstance(result.result, MISTAKE)


# -- what is no lock -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lock", "said"),
    [
        ([], "or lock=None for a task without a lock"),
        (["user:{user_id}"], r"lock=\[Lock\(...\), Lock\(...\)\]"),
        ({Lock("a"), Lock("b")}, "its order is that of self.leases"),
        ([Lock("a"), "b:{user_id}"], r'Lock\("b:\{user_id\}"\)'),
        (skip(), r"lock=Lock\(..., on_conflict=skip\(\)\)"),
        ({"key": "k"}, "with the options of a Lock as names"),
        (lambda user_id: "k", r"lock=Lock\(the function\): it makes the key"),
        (30, r"lock=Lock\(..., ttl=...\)"),
        (True, r"lock=Lock\(\)"),
        (Lock, r"lock=Lock\(\)"),
        ("user:{user_id}", r'lock=Lock\("user:\{user_id\}"\)'),
    ],
)
def test_what_is_no_lock_is_refused_with_the_lock_that_was_meant(lock: Any, said: str) -> None:
    with pytest.raises(MISTAKE, match=rf"is no Lock; write {said}|is no Lock; write .*{said}"):
        a_task(lock=lock)
