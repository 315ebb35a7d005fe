"""What Celery calls many times within one message of its own takes no lock, and is warned of."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, chain, chunks, group, xmap, xstarmap

from celery_lock import Lock, LockedTask
from celery_lock.app import in_one_message

NAME = "in_one_message.add"


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    monkeypatch.setattr(in_one_message, "_warned", set())
    app = Celery("in-one-message", broker="memory://", set_as_current=False)
    app.conf.update(lock_store="memory://", task_default_queue=app.main)

    def add(x: int, y: int = 0) -> int:
        return x + y

    app.task(add, name=NAME, base=LockedTask, lock=Lock("add:{x}"), shared=False)
    app.task(add, name=f"{NAME}.plain", base=LockedTask, lock=None, shared=False)
    yield app
    app.close()


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    ours = [one for one in caplog.records if one.name == "celery_lock"]
    return [one.getMessage() for one in ours if one.levelno == logging.WARNING]


WAYS: dict[str, Callable[[Celery, Any], Any]] = {
    "map": lambda app, task: task.map([1, 2]).delay(),
    "starmap": lambda app, task: task.starmap([(1, 2)]).delay(),
    "chunks": lambda app, task: task.chunks([(1, 2), (3, 4)], 1).delay(),
    "chunks as a group": lambda app, task: task.chunks([(1, 2), (3, 4)], 1).group().delay(),
    "chunks at once": lambda app, task: chunks.apply_chunks(task.s(), [(1, 2)], 1, app=app),
    "a map of a signature": lambda app, task: xmap(task.s(), [1, 2], app=app).delay(),
    "a starmap by name": lambda app, task: xstarmap(
        app.signature(task.name), [(1, 2)], app=app
    ).delay(),
    "a map within a group": lambda app, task: group(
        [task.map([1, 2]), task.map([3])], app=app
    ).delay(),
    "a map that begins a chain": lambda app, task: chain(
        task.map([1, 2]), task.si(1), app=app
    ).delay(),
    "a message without a signature's class": lambda app, task: app.send_task(
        "celery.map", kwargs={"task": {"task": task.name, "args": ()}, "it": [1]}
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_calls_within_one_message_are_warned_of_once(
    app: Celery, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    task = app.tasks[NAME]

    for _ in range(2):
        WAYS[way](app, task)

    (said,) = warnings_in(caplog)
    assert f"task {NAME}: " in said
    assert "takes no lock" in said
    assert "group(" in said


@pytest.mark.parametrize("way", WAYS)
def test_a_task_without_a_lock_is_not_warned_of(
    app: Celery, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    WAYS[way](app, app.tasks[f"{NAME}.plain"])

    assert not warnings_in(caplog)


def test_a_map_of_a_task_that_only_others_know_is_sent(
    app: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    app.send_task("celery.map", kwargs={"task": {"task": "elsewhere"}, "it": [1]})
    app.send_task("celery.map", args=[1, 2])
    app.send_task("celery.map", kwargs={"task": 7, "it": None})

    assert not [one for one in caplog.records if one.name == "celery_lock"]
