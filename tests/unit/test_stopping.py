"""Knowing that the worker has been asked to stop."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.concurrency.prefork import TaskPool
from celery.signals import worker_shutting_down
from celery.worker import state

from celery_lock.app import flags, worker


@pytest.fixture(autouse=True)
def _nobody_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flags, "_flags", bytearray(3))
    monkeypatch.setattr(state, "should_stop", None)
    monkeypatch.setattr(state, "should_terminate", None)


def test_a_worker_that_works_is_not_stopping() -> None:
    assert not flags.stopping()


@pytest.mark.parametrize("name", ["should_stop", "should_terminate"])
@pytest.mark.parametrize(
    ("status", "stops"), [(0, True), (1, True), (True, True), (False, False), (None, False)]
)
def test_an_exit_status_is_a_stop_and_zero_is_one(
    monkeypatch: pytest.MonkeyPatch, name: str, status: Any, stops: bool
) -> None:
    monkeypatch.setattr(state, name, status)

    assert flags.stopping() is stops


def test_a_child_learns_of_a_stop_from_its_parent() -> None:
    app = Celery("shop", broker="memory://", set_as_current=False)
    worker.WorkerStep(SimpleNamespace(app=app, pool_cls=TaskPool))
    assert not flags.stopping()

    worker_shutting_down.send(sender="w1@host", sig="SIGTERM", how="Warm", exitcode=0)

    assert flags.stopping()


def test_what_came_by_a_connection_that_is_lost_is_older_than_what_comes_now() -> None:
    """Its copies run elsewhere before the worker has connected anew: a broker may be down."""
    app = Celery("shop", broker="memory://", set_as_current=False)
    parent: Any = SimpleNamespace(app=app, task_consumer=None)
    step = worker.ConsumerStep(parent)
    step.start(parent)
    came = flags.connection_epoch()

    step.stop(parent)
    lost = flags.connection_epoch()
    step.start(parent)

    assert len({came, lost, flags.connection_epoch()}) == 3


def test_a_stop_loses_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """What still runs is acknowledged by the one that there is."""
    app = Celery("shop", broker="memory://", set_as_current=False)
    parent: Any = SimpleNamespace(app=app, task_consumer=None)
    step = worker.ConsumerStep(parent)
    step.start(parent)
    came = flags.connection_epoch()
    monkeypatch.setattr(state, "should_stop", 0)

    step.stop(parent)

    assert flags.connection_epoch() == came
