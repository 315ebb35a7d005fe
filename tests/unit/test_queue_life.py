"""A retry that comes later than its key is kept for it is warned of, with both numbers."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from celery import Celery

from celery_lock import Lock, Scope

from .engine import Engine, deliver, locked


def body() -> None: ...


LASTING = [each for each in Scope if each.lasts]


def bind(scope: Scope, queue_ttl: float | None = 60, **options: Any) -> list[str]:
    app = Celery("shop", broker="memory://", set_as_current=False)
    lock = Lock("k", scope=scope, queue_ttl=queue_ttl)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        locked(app, lock, name="report", **options)(body)
    return [str(one.message) for one in caught if "queue_ttl" in str(one.message)]


@pytest.mark.parametrize("scope", LASTING)
@pytest.mark.parametrize(
    ("options", "pause"),
    [
        ({"default_retry_delay": 300}, "300"),
        ({"autoretry_for": (OSError,)}, "180"),
        ({"autoretry_for": (OSError,), "retry_kwargs": {"countdown": 90}}, "90"),
        ({"autoretry_for": (OSError,), "retry_backoff": True}, "600"),
        ({"autoretry_for": (OSError,), "retry_backoff": 2, "retry_backoff_max": 70}, "70"),
    ],
)
def test_a_pause_that_a_task_declares_is_compared_as_it_is_bound(
    scope: Scope, options: dict[str, Any], pause: str
) -> None:
    (said,) = bind(scope, **options)

    assert f"countdown of {pause} s" in said
    assert "queue_ttl=60 s" in said


@pytest.mark.parametrize(
    ("scope", "queue_ttl", "options"),
    [
        (Scope.UNTIL_FINISHED, 60, {}),
        (Scope.UNTIL_FINISHED, 60, {"default_retry_delay": 59}),
        (Scope.UNTIL_FINISHED, None, {"default_retry_delay": 300}),
        (Scope.UNTIL_STARTED, 60, {"default_retry_delay": 300}),
    ],
)
def test_who_keeps_the_key_for_long_enough_hears_nothing(
    scope: Scope, queue_ttl: float | None, options: dict[str, Any]
) -> None:
    assert bind(scope, queue_ttl, **options) == []


@pytest.mark.parametrize("scope", LASTING)
def test_the_pause_of_a_single_retry_is_compared_as_it_is_sent(
    scope: Scope, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine()

    def body(self: Any, countdown: int) -> None:
        raise self.retry(countdown=countdown)

    task = locked(engine.app(), Lock("k", scope=scope, queue_ttl=60), name="t", bind=True)(body)

    deliver(task, 59, id="id-1")
    assert "queue_ttl" not in caplog.text
    engine.locker.store.free("k", "id-1/queued/1")
    deliver(task, 90, id="id-2")

    assert "a countdown of 90 s comes later than queue_ttl=60 s" in caplog.text
