"""What a worker and a beat with wrong settings show: one line if typed, else the error itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import click
import pytest
from celery import Celery

from celery_lock import Lock, LockedTask
from celery_lock.app.refusing import refusing
from celery_lock.app.worker import WorkerStep
from celery_lock.beat import LockedScheduler
from celery_lock.errors import LockConfigurationError

from .engine import locked


def charge() -> None: ...


@pytest.fixture
def app() -> Celery:
    app = Celery("shop", broker="amqp://127.0.0.1:1//", set_as_current=False)
    locked(app, name="shop.charge")(charge)
    app.finalize()
    return app


@pytest.fixture
def command() -> Iterator[None]:
    """What click sets up while a command runs."""
    with click.Context(click.Command("celery")):
        yield


class Worker:
    """As much of a worker as the step looks at before it opens the store."""

    pool_cls = Celery
    task_events = time_limit = hostname = None
    concurrency = 1
    statedb: str | None = None

    def __init__(self, app: Celery) -> None:
        self.app = app


def test_a_worker_that_was_typed_ends_with_one_line(
    app: Celery, command: None, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SystemExit) as ended:
        WorkerStep(Worker(app))

    (line,) = caplog.records
    assert ended.value.code == 1
    assert line.levelno == logging.CRITICAL
    assert line.exc_info is None
    assert "there is no store for locks" in line.getMessage()


WRONG = Lock("order:{order_id}")  # a field that the task does not have


@pytest.mark.parametrize("name", ["worker", "beat"])
def test_a_worker_or_a_beat_that_was_typed_refuses_a_wrong_lock_with_one_line(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.task(base=LockedTask, lock=WRONG, name="shop.charge", shared=False)(charge)

    with click.Context(click.Command(name), info_name=name), pytest.raises(SystemExit) as ended:
        app.finalize()

    (line,) = caplog.records
    assert ended.value.code == 1
    assert line.exc_info is None
    assert "has no 'order_id'" in line.getMessage()


@pytest.mark.parametrize("name", ["celery", "shell", "worker"])
def test_a_wrong_lock_is_an_error_of_whoever_declares_it(name: str, app: Celery) -> None:
    """The worker's tasks are bound by then: a body declares one more."""
    with (
        click.Context(click.Command(name), info_name=name),
        pytest.raises(LockConfigurationError, match="has no 'order_id'"),
    ):
        locked(app, WRONG, name="shop.refund")(charge)


def test_a_beat_that_was_typed_ends_with_one_line_before_its_loop(
    app: Celery, command: None, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SystemExit) as ended:
        LockedScheduler(app, lazy=True)

    assert ended.value.code == 1
    assert ["there is no store" in line.getMessage() for line in caplog.records] == [True]


def test_a_program_gets_the_error(app: Celery, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(LockConfigurationError, match="there is no store for locks"):
        WorkerStep(Worker(app))

    LockedScheduler(app, lazy=True)  # its banner, or its first tick, raises
    assert caplog.records == []


@pytest.mark.parametrize(
    "scheduler",
    [
        "celery_lock.beat:LockedScheduler",
        "celery_lock.beat.LockedScheduler",
        "celery_lock.beat.database:LockedDatabaseScheduler",
    ],
)
def test_a_scheduler_as_the_state_file_of_a_worker_is_refused(
    app: Celery, command: None, caplog: pytest.LogCaptureFixture, scheduler: str
) -> None:
    worker = Worker(app)
    worker.statedb = f"/srv/shop/{scheduler}"

    with pytest.raises(SystemExit):
        WorkerStep(worker)

    (line,) = caplog.records
    assert "write --scheduler" in line.getMessage()


def test_another_error_is_left_alone(command: None) -> None:
    with pytest.raises(OSError, match="full"), refusing():
        raise OSError("the disk is full")
