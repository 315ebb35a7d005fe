"""The locks that a task declares in a list, as it meets its app."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery

from celery_lock import Lock, LockedTask, Scope, fail, requeue, skip, wait
from celery_lock.app.locks import locks_of
from celery_lock.errors import LockConfigurationError, UnsupportedFeature
from celery_lock.task.lists import MOST_LOCKS

from .engine import locked

RUNS = Scope.WHILE_RUNNING
WAITS = Scope.UNTIL_STARTED


@pytest.fixture
def app() -> Celery:
    return Celery("shop", broker="memory://", set_as_current=False)


def body(a: int, b: int = 0) -> None:
    """Do nothing."""


def bound(app: Celery, *locks: Any, name: str = "t") -> list[Lock]:
    task = locked(app, list(locks), name=name)(body)
    return [each.lock for each in task._bound_locks]


def test_a_task_declares_its_locks_in_a_list(app: Celery) -> None:
    one, other = Lock("from:{a}"), Lock("to:{b}")

    assert bound(app, one, other) == [one, other]
    assert len(locks_of(app).bound["t"]) == 2


def test_a_list_may_come_by_an_annotation(app: Celery) -> None:
    app.conf.task_annotations = {"t": {"lock": [Lock("from:{a}"), Lock("to:{b}")]}}

    task = app.task(base=LockedTask, name="t", shared=False, lazy=False)(body)

    assert len(task._bound_locks) == 2  # type: ignore[attr-defined]


def test_a_class_may_declare_a_list(app: Celery) -> None:
    class Transfer(LockedTask[Any, Any]):
        name = "transfer"
        lock = (Lock("from:{a}"), Lock("to:{b}"))

        def run(self, a: int, b: int) -> None:
            """Do nothing."""

    task = app.register_task(Transfer())

    assert len(task._bound_locks) == 2  # type: ignore[attr-defined]


def test_as_many_locks_as_the_store_judges_in_one_step(app: Celery) -> None:
    assert len(bound(app, *(Lock(f"k{n}") for n in range(MOST_LOCKS)))) == 16

    with pytest.raises(LockConfigurationError, match="has 17 locks, and a task may have 16"):
        bound(app, *(Lock(f"k{n}") for n in range(MOST_LOCKS + 1)), name="more")


# -- scopes -----------------------------------------------------------------------------------

SCOPES = [Scope.WHILE_RUNNING, Scope.ACROSS_RETRIES, Scope.UNTIL_FINISHED]


@pytest.mark.parametrize("scope", list(Scope))
def test_locks_of_one_scope_stand_together(app: Celery, scope: Scope) -> None:
    assert len(bound(app, Lock("from:{a}", scope=scope), Lock("to:{b}", scope=scope))) == 2


@pytest.mark.parametrize("scope", SCOPES)
def test_a_queue_place_stands_beside_any_scope(app: Celery, scope: Scope) -> None:
    assert len(bound(app, Lock("x:{a}", scope=WAITS), Lock("x:{a}", scope=scope))) == 2


@pytest.mark.parametrize(
    ("one", "other"), [(one, other) for one in SCOPES for other in SCOPES if one is not other]
)
def test_scopes_that_would_hold_each_other_up_are_refused(
    app: Celery, one: Scope, other: Scope
) -> None:
    with pytest.raises(LockConfigurationError) as error:
        bound(app, Lock("p", scope=WAITS), Lock("x:{a}", scope=one), Lock("y:{b}", scope=other))

    said = str(error.value)
    assert f"'x:{{a}}' with Scope.{one.name}" in said
    assert f"'y:{{b}}' with Scope.{other.name}" in said
    assert "give all locks of a list one scope" in said


# -- one template twice -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "one", "other"),
    [
        ("ttl", 5, 6),
        ("at_least", None, 6),
        ("at_most", 50, 60),
        ("on_conflict", skip(), fail()),
        ("on_conflict", None, requeue()),
        ("on_store_error", "run", "fail"),
        ("on_lost", "flag", "interrupt"),
        ("limit", 1, 2),
    ],
)
@pytest.mark.parametrize("key", ["x:{a}", None, lambda a, b: "k"], ids=["template", "all", "func"])
def test_one_template_with_two_settings_is_refused(
    app: Celery, key: Any, option: str, one: Any, other: Any
) -> None:
    with pytest.raises(LockConfigurationError, match=rf"twice, with {option}=.* and"):
        bound(app, Lock(key, **{option: one}), Lock(key, **{option: other}))


def test_two_queue_places_of_one_template_with_two_settings_are_refused(app: Celery) -> None:
    with pytest.raises(LockConfigurationError, match=r"twice, with queue_ttl=60.* and with"):
        bound(app, Lock("x", scope=WAITS, queue_ttl=60), Lock("x", scope=WAITS, queue_ttl=50))


def test_one_template_twice_with_the_same_settings_is_one_key(app: Celery) -> None:
    assert len(bound(app, Lock("x:{a}", ttl=5), Lock("x:{a}", ttl=5))) == 2


def test_the_queue_place_of_a_template_may_have_settings_of_its_own(app: Celery) -> None:
    assert len(bound(app, Lock("x", scope=WAITS, on_conflict=skip()), Lock("x", ttl=7))) == 2


# -- beside other tasks -----------------------------------------------------------------------


def test_a_list_shares_a_template_with_another_task_on_the_same_terms(app: Celery) -> None:
    bound(app, Lock("x", ttl=5), Lock("y"))

    assert len(bound(app, Lock("x", ttl=5), name="other")) == 1
    with pytest.raises(LockConfigurationError, match="share the lock 'x' but not its ttl"):
        bound(app, Lock("z"), Lock("x", ttl=6), name="third")


def test_one_waiting_and_one_running_beside_a_task_that_runs(app: Celery) -> None:
    """The queue place is no key of the other task's."""
    bound(app, Lock("x", ttl=5))

    assert len(bound(app, Lock("x", scope=WAITS), Lock("x", ttl=5), name="both")) == 2
    with pytest.raises(LockConfigurationError, match="not its ttl"):
        bound(app, Lock("x", scope=WAITS), Lock("x", ttl=6), name="third")


def test_a_task_that_runs_beside_one_waiting_and_one_running(app: Celery) -> None:
    bound(app, Lock("x", scope=WAITS, ttl=9), Lock("x", ttl=5))

    assert len(bound(app, Lock("x", ttl=5), name="other")) == 1
    with pytest.raises(LockConfigurationError, match="not its ttl"):
        bound(app, Lock("x", scope=WAITS, ttl=5), name="third")


def test_a_task_that_only_waits_and_one_that_only_runs_exclude_nobody(app: Celery) -> None:
    bound(app, Lock("x", scope=WAITS))

    with pytest.raises(LockConfigurationError, match="not its scope"):
        bound(app, Lock("x"), name="other")


# -- stores that take them one after another --------------------------------------------------


@pytest.mark.parametrize("policy", [requeue(), wait(5, then=requeue())])
def test_a_list_that_ends_no_task_is_for_any_store(
    app: Celery, monkeypatch: pytest.MonkeyPatch, policy: Any
) -> None:
    bound(app, Lock("x", on_conflict=policy), Lock("y", on_conflict=policy))

    start(app, monkeypatch)


@pytest.mark.parametrize(
    "policy", [skip(), fail(), wait(5), requeue(max_attempts=3), lambda conflict: requeue()]
)
def test_a_list_that_may_end_a_task_asks_for_one_step(
    app: Celery, monkeypatch: pytest.MonkeyPatch, policy: Any
) -> None:
    """A task could be skipped for the sake of a claim that is undone a millisecond later."""
    bound(app, Lock("x"), Lock("y", on_conflict=policy))

    with pytest.raises(UnsupportedFeature, match="several"):
        start(app, monkeypatch)


def start(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    from celery_lock.app.bound import refuse_what_lacks
    from celery_lock.model import Feature
    from celery_lock.stores.memory import MemoryStore

    store = MemoryStore()
    monkeypatch.setattr(
        type(store), "features", property(lambda _: frozenset(Feature) - {Feature.SEVERAL})
    )
    refuse_what_lacks(store, locks_of(app).bound)
