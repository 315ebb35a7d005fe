"""What a lock needs of its store is held against what the store has, before a body runs."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from celery import Celery

from celery_lock import Lock, Scope, skip
from celery_lock.app.locks import AppLocks, locks_of
from celery_lock.app.start_checks import warn_of_features
from celery_lock.errors import UnsupportedFeature
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
