"""Which tasks a real worker runs under a lock, however they were declared, and which not."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import celery
import pytest

from celery_lock import LockedTask
from tests.integration.apps import which_app
from tests.integration.apps.history import History
from tests.integration.keys import keys_at
from tests.services import RedisServer, Worker
from tests.services.fixtures import WorkerFactory

APP = "tests.integration.apps.which_worker"


@dataclass
class OneWorker:
    """A worker and the app that sends to it."""

    app: celery.Celery
    worker: Worker
    history: History
    store: str

    def run(self, name: str, *args: Any) -> Any:
        return self.app.send_task(f"which.{name}", args).get(timeout=20, interval=0.02)


@pytest.fixture(scope="module", params=["base=", "task_cls="])
def setup(
    request: pytest.FixtureRequest,
    module_redis: RedisServer,
    module_worker_factory: WorkerFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[OneWorker]:
    """Once with `LockedTask` named by the tasks, once as the app's class for all tasks.

    The results are in files: a backend on which chords are joined by a task of Celery's own.
    """
    by_task_cls = request.param == "task_cls="
    folder: Path = tmp_path_factory.mktemp("which")
    results, history = folder / "results", History(folder / "history")
    results.mkdir()
    broker, backend = module_redis.url_for(int(by_task_cls)), f"file://{results}"
    store = module_redis.url_for(5)
    env = {"TEST_STORE": store, **history.env, **({"TEST_TASK_CLS": "1"} if by_task_cls else {})}
    worker = module_worker_factory(APP, broker=broker, backend=backend, env=env)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        app = which_app.make_app(
            task_cls=LockedTask if by_task_cls else None,
            broker_url=broker,
            result_backend=backend,
            lock_store=store,
        )
        app.finalize()
    with app:
        yield OneWorker(app, worker, history, store)


@pytest.mark.parametrize(
    ("task", "key"),
    [
        ("bound", "bound:7"),
        ("inherited", "order:7"),
        ("class_based", "class:7"),
        ("annotated", "annotated:7"),
        ("requested", "r:7"),
        ("declared", "declared:7"),
        ("off", None),
        ("hidden", "hidden:7"),
        ("plain", None),
        ("shared_plain", None),
    ],
)
def test_a_task_is_locked_if_it_says_so(setup: OneWorker, task: str, key: str | None) -> None:
    assert setup.run(task, 7) == key


@pytest.mark.parametrize("task", ["by_base", "shared"])
def test_a_task_that_only_names_its_base_is_locked_by_its_arguments(
    setup: OneWorker, task: str
) -> None:
    key, same, other = setup.run(task, 7), setup.run(task, 7), setup.run(task, 8)

    assert key.startswith(f"which.{task}:")
    assert key == same != other


@pytest.mark.parametrize("task", ["mixed", "mixed_before"])
def test_another_base_class_is_called_as_well(setup: OneWorker, task: str) -> None:
    counted, key = setup.run(task, 7)

    assert counted == "counted"
    assert key.startswith(f"which.{task}:")


def test_a_model_has_one_key_however_it_was_written(setup: OneWorker) -> None:
    sent = [{"number": 3}, {"number": "3"}, {"number": 3, "colour": "red"}]

    assert {setup.run("pydantic", item) for item in sent} == {"item:3:red"}
    task = setup.app.tasks["which.pydantic"]
    assert task.delay(which_app.Item(number=3)).get(timeout=20, interval=0.02) == "item:3:red"


def test_somebodys_own_request_class_is_kept(setup: OneWorker) -> None:
    with keys_at(setup.store) as keys, keys.held("r:9"):
        result = setup.app.send_task("which.requested", [9])
        setup.worker.wait_for_log(rf"which.requested\[{result.id}\]: sent again to run later")

    assert result.get(timeout=20, interval=0.02) == "r:9"
    assert setup.history.wait("accepted by OwnRequest", "which.requested")


def test_celerys_own_tasks_have_no_lock(setup: OneWorker) -> None:
    ours = [name for name, task in setup.app.tasks.items() if getattr(task, "_bound_locks", ())]

    assert [name for name in ours if name.startswith("celery.")] == []
    assert setup.app.send_task("celery.backend_cleanup").get(timeout=20, interval=0.02) is None


def test_a_chord_that_celery_joins_with_a_task_of_its_own_is_joined(setup: OneWorker) -> None:
    result = which_app.chord_of(setup.app).apply_async()

    assert result.get(timeout=30, interval=0.02) == ["declared:1", "declared:1", None]
    assert "celery.chord_unlock" in setup.worker.logs()
