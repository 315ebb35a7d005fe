"""What a lock needs of its store is held against what the store has, before a body runs."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from celery import Celery

from celery_lock import Lock, Scope, hold, skip
from celery_lock.app.locks import AppLocks, locks_of
from celery_lock.app.start_checks import warn_of_features
from celery_lock.errors import LockConfigurationError, UnsupportedFeature
from celery_lock.model import Feature
from celery_lock.stores.memory import MemoryStore
from celery_lock.testing import FaultyStore

from .engine import locked

pytestmark = pytest.mark.unit


def body() -> None: ...


def locks_with(monkeypatch: pytest.MonkeyPatch, lacks: set[Feature], **lock: Any) -> AppLocks:
    app = Celery("shop", broker="memory://", set_as_current=False)
    locked(app, Lock("k", **lock), name="report")(body)
    locks = locks_of(app)
    store = FaultyStore(MemoryStore())
    store.lacks = lacks
    monkeypatch.setattr(locks, "open_store", lambda: store)
    return locks


@pytest.mark.parametrize(
    ("lock", "feature"),
    [
        ({"at_least": 5}, Feature.FLOORS),
        ({"at_least": 5, "at_least_on_failure": False}, Feature.FLOORS),
        ({"scope": Scope.ACROSS_RETRIES}, Feature.HEIRS),
        ({"limit": 3}, Feature.PERMITS),
    ],
)
def test_a_store_that_lacks_what_a_lock_needs_is_refused_with_the_stores_that_have_it(
    monkeypatch: pytest.MonkeyPatch, lock: dict[str, Any], feature: Feature
) -> None:
    locks = locks_with(monkeypatch, {feature}, **lock)

    with pytest.raises(UnsupportedFeature) as refused:
        _ = locks.locker

    said = str(refused.value)
    assert f"the lock of task report needs a store with the feature {feature.value!r}" in said
    assert "memory:// has not" in said
    assert "redis://" in said


def test_a_task_that_comes_after_the_first_publish_is_refused_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = Celery("shop", broker="memory://", set_as_current=False)
    monkeypatch.setattr(
        locks_of(app), "open_store", lambda: FaultyStore(MemoryStore(), lacks={Feature.PERMITS})
    )
    locked(app, Lock("k"), name="report")(body)
    _ = locks_of(app).locker

    with pytest.raises(UnsupportedFeature, match="the lock of task late needs"):
        locked(app, Lock("other", limit=3), name="late")(body)

    assert set(locks_of(app).bound) == {"report"}


def test_a_publisher_hears_of_it_at_its_first_publish(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Celery("shop", broker="memory://", set_as_current=False)
    monkeypatch.setattr(
        locks_of(app), "open_store", lambda: FaultyStore(MemoryStore(), lacks={Feature.HEIRS})
    )
    task = locked(app, Lock("k", scope=Scope.UNTIL_FINISHED), name="report")(body)

    with pytest.raises(UnsupportedFeature, match=r"'heirs', .* these have it: memory://, redis://"):
        task.delay()


def test_a_hold_hears_of_it_as_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Celery("shop", broker="memory://", set_as_current=False)
    monkeypatch.setattr(
        locks_of(app), "open_store", lambda: FaultyStore(MemoryStore(), lacks={Feature.PERMITS})
    )

    with (
        pytest.raises(UnsupportedFeature, match=r"hold\(.*'permits', .* these have it: memory://"),
        hold("k", max_wait=0, limit=3, app=app),
    ):
        pass


@pytest.mark.parametrize(
    "lock", [{}, {"on_conflict": skip()}, {"ttl": 5, "at_most": 60, "limit": 1}]
)
def test_a_plain_lock_needs_nothing_of_its_store(
    monkeypatch: pytest.MonkeyPatch, lock: dict[str, Any]
) -> None:
    locks = locks_with(monkeypatch, set(Feature), **lock)

    assert [each.needs for each in locks.bound["report"]] == [frozenset()]
    assert locks.locker.store.features == frozenset()


def test_a_store_without_tombstones_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    locks = locks_with(monkeypatch, {Feature.COPIES})

    with caplog.at_level(logging.WARNING, "celery_lock"):
        warn_of_features(locks.open_store(), locks.bound)

    assert "remembers no completed messages" in caplog.text


def test_a_ttl_below_what_the_store_measures_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    locks = locks_with(monkeypatch, set(), ttl=1.5)
    monkeypatch.setattr(MemoryStore, "coarse", 2.0)

    with caplog.at_level(logging.WARNING, "celery_lock"):
        warn_of_features(locks.open_store(), locks.bound)

    assert "the ttl of task report is 1.5 s" in caplog.text
    assert "no finer than 2 s" in caplog.text


def test_a_token_of_a_store_without_fencing_is_refused_aloud() -> None:
    from celery_lock.model import Lease

    lease = Lease("k", "id-1#n#1#0a", None)

    with pytest.raises(UnsupportedFeature, match="needs a store with the feature 'fencing'"):
        _ = lease.token
    assert lease.known_token is None


def with_longest(monkeypatch: pytest.MonkeyPatch, locks: AppLocks, longest: float) -> None:
    store = MemoryStore()
    store.longest_ttl = longest  # type: ignore[attr-defined]  # one with a guard has it
    monkeypatch.setattr(locks, "open_store", lambda: FaultyStore(store))


def test_a_ttl_that_a_guarded_store_does_not_wait_for_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    locks = locks_with(monkeypatch, set(), ttl=90)
    with_longest(monkeypatch, locks, 60.0)

    with pytest.raises(LockConfigurationError, match="task report has a ttl of 90 s") as refused:
        _ = locks.locker

    assert "60 s (longest_ttl)" in str(refused.value)


@pytest.mark.parametrize("lock", [{"ttl": 60}, {"ttl": 90, "scope": Scope.UNTIL_STARTED}])
def test_a_lease_that_ends_in_time_or_that_nobody_believes_in_is_allowed(
    monkeypatch: pytest.MonkeyPatch, lock: dict[str, Any]
) -> None:
    locks = locks_with(monkeypatch, set(), **lock)
    with_longest(monkeypatch, locks, 60.0)

    assert locks.locker.store.url == "memory://"


def test_a_hold_for_longer_than_a_guarded_store_waits_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = Celery("shop", broker="memory://", set_as_current=False)
    with_longest(monkeypatch, locks_of(app), 60.0)

    with (
        pytest.raises(LockConfigurationError, match="longest_ttl"),
        hold("k", max_wait=0, ttl=90, app=app),
    ):
        pytest.fail("it was given")
    with hold("k", max_wait=0, ttl=60, app=app) as lease:
        assert lease.key == "k"
