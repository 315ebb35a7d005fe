"""What a user's tests do with these libraries; run in their environment by `__main__`."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from celery import Celery
from celery.contrib.testing.worker import start_worker
from freezegun import freeze_time

from celery_lock import Lock, LockConfigurationError, LockConflict, LockedTask, wait
from celery_lock.testing import memory_locks

LATER = datetime.datetime(2030, 1, 1)
FROZEN: dict[str, Callable[[], Any]] = {
    "freezegun": lambda: freeze_time(LATER),
    "freezegun, ticking": lambda: freeze_time(LATER, tick=True),
    "time-machine": lambda: time_machine.travel(LATER, tick=False),
    "time-machine, ticking": lambda: time_machine.travel(LATER),
}


@pytest.fixture(scope="session")
def celery_config() -> dict[str, str]:
    """As the page says it."""
    return {
        "lock_store": "memory://",
        "broker_url": "memory://",
        "result_backend": "cache+memory://",
    }


def test_a_locked_task_runs_in_the_worker_of_celerys_fixtures(
    celery_app: Celery, celery_worker: Any
) -> None:
    @celery_app.task(base=LockedTask, bind=True, lock=Lock("order:{order_id}"))
    def ship(self: Any, order_id: int) -> str:
        return self.lease.key

    celery_worker.reload()

    assert ship.delay(7).get(timeout=10) == "order:7"


def test_without_the_setting_the_error_names_the_fixture() -> None:
    def ship() -> None: ...

    app = Celery("shop", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.task(base=LockedTask, name="shop.ship", shared=False)(ship)
    app.finalize()

    with (
        pytest.raises(LockConfigurationError, match=r"celery_config has to return .*memory://"),
        start_worker(app, perform_ping_check=False),
    ):
        pass


@pytest.mark.parametrize("freeze", FROZEN.values(), ids=FROZEN)
def test_a_body_that_freezes_the_time_keeps_its_lease(freeze: Callable[[], Any]) -> None:
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.lock_store = "memory://"

    @app.task(base=LockedTask, bind=True, lock=Lock("order", ttl=10), shared=False)
    def ship(self: Any) -> str:
        with freeze():
            time.sleep(0.2)
            self.lease.check()
        self.lease.check()
        return "shipped"

    assert ship.apply().get() == "shipped"


@pytest.mark.parametrize("freeze", FROZEN.values(), ids=FROZEN)
def test_a_wait_ends_though_the_time_is_frozen(freeze: Callable[[], Any]) -> None:
    app = Celery("shop", broker="memory://", set_as_current=False)

    @app.task(base=LockedTask, lock=Lock("order", on_conflict=wait(1)), shared=False)
    def ship() -> str:
        return "shipped"

    with memory_locks(app) as locks:
        locks.hold("order", task_id="somebody")
        with freeze(), pytest.raises(LockConflict):
            ship.apply().get()
