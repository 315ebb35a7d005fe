"""A class that adds an argument as a message is sent, and takes it out as it runs."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from celery_lock import Lock, LockedTask, Scope
from celery_lock.message import HEADER

from .engine import Engine, deliver, locked


class WithUser(LockedTask):  # type: ignore[type-arg]
    """A task that runs as the user who has sent it."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        kwargs.pop("user", None)
        return super().__call__(*args, **kwargs)


def body(product: int, **more: Any) -> int:
    return product


def by_product(product: int, **more: Any) -> str:
    return f"{product}:{sorted(more)}"


def warned(engine: Engine, caplog: Any, *locks: Lock, base: Any = WithUser, **about: Any) -> Any:
    task = locked(engine.app(), list(locks), base=base, name="t")(body)
    with caplog.at_level(logging.WARNING, "celery_lock"):
        for _ in range(2):
            assert deliver(task, 7, **about).state == "SUCCESS"
    return [each.getMessage() for each in caplog.records if "hands on" in each.getMessage()]


@pytest.mark.parametrize("key", [None, by_product], ids=["all", "function"])
@pytest.mark.parametrize("scope", [Scope.UNTIL_FINISHED, Scope.UNTIL_STARTED])
def test_a_publishers_key_that_shows_what_the_body_does_not_get_is_warned_of_once(
    engine: Engine, caplog: pytest.LogCaptureFixture, key: Any, scope: Scope
) -> None:
    (said,) = warned(engine, caplog, Lock(key, scope=scope), kwargs={"user": "ada"})

    assert said.startswith("task t: WithUser.__call__ hands on other arguments than were sent")
    assert said.endswith("write a template that names others")


def test_each_lock_of_a_list_is_looked_at_where_the_publisher_makes_its_key(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    locks = Lock("k:{product}", scope=Scope.UNTIL_STARTED), Lock(by_product)

    (said,) = warned(engine, caplog, *locks, kwargs={"user": "ada"})

    assert '''makes "7:['user']"''' in said


@pytest.mark.parametrize(
    "lock",
    [Lock("k:{product}", scope=Scope.UNTIL_FINISHED), Lock(), Lock(scope=Scope.ACROSS_RETRIES)],
    ids=["a template", "while running", "across retries"],
)
def test_a_key_that_is_the_same_for_both_is_not_warned_of(
    engine: Engine, caplog: pytest.LogCaptureFixture, lock: Lock
) -> None:
    assert warned(engine, caplog, lock, kwargs={"user": "ada"}) == []


def test_a_call_without_that_argument_is_not_warned_of(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    assert warned(engine, caplog, Lock(scope=Scope.UNTIL_FINISHED)) == []


class NotCompared(int):
    """As an array of numbers is: there is no one answer."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value is ambiguous")

    __hash__ = None  # type: ignore[assignment]


class Rebuilds(WithUser):
    """Makes new arguments of those that were sent."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*map(NotCompared, args), **kwargs)


def test_arguments_that_cannot_be_compared_fail_no_task(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    lock = Lock("k:{product}", scope=Scope.UNTIL_FINISHED)

    assert warned(engine, caplog, lock, base=Rebuilds) == []


def test_a_key_that_its_sender_names_is_not_warned_of(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    lock, headers = Lock(scope=Scope.UNTIL_FINISHED), {HEADER: {"v": 1, "key": "k"}}

    assert warned(engine, caplog, lock, kwargs={"user": "ada"}, headers=headers) == []


def test_arguments_without_a_key_are_not_warned_of(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    lock = Lock(scope=Scope.UNTIL_FINISHED)

    assert warned(engine, caplog, lock, kwargs={"user": {1, 2}}) == []


def test_a_class_without_a_call_of_its_own_is_not_asked(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    lock = Lock(scope=Scope.UNTIL_FINISHED)

    assert warned(engine, caplog, lock, base=LockedTask, kwargs={"user": "ada"}) == []
