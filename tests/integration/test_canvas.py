"""Chains, groups, chords, callbacks and replacements end as if there were no lock.

Each canvas runs twice on the same worker: of plain tasks, and of the same tasks with a lock whose
key is taken when they start. What comes out must be the same.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import celery
import pytest
from celery import chain, chord, group
from celery.result import GroupResult
from redis import Redis

from celery_lock import is_skipped
from tests.integration.apps import canvas_app
from tests.integration.apps.canvas_app import KEY, NOTES
from tests.integration.keys import Keys, keys_at
from tests.integration.taps import Copy, Tap, tap_redis
from tests.services import RedisServer, Worker, sending, wait_for
from tests.services.fixtures import WorkerFactory

APP = "tests.integration.apps.canvas_app"


class TasksOfAKind:
    """The tasks of one kind, to build a canvas of."""

    def __init__(self, app: celery.Celery, kind: str, run: str) -> None:
        self.app, self.kind, self.run = app, kind, run

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args: self.app.signature(f"canvas.{self.kind}.{name}", args=args)

    def plain(self, name: str, *args: Any) -> Any:
        """A task that has no lock in either run."""
        return self.app.signature(f"canvas.{name}", args=args)

    def note(self) -> Any:
        return self.app.signature("canvas.note", args=(self.run,))

    def note_error(self) -> Any:
        return self.app.signature("canvas.note_error", args=(self.run,))


CANVASES: dict[str, Callable[[TasksOfAKind], Any]] = {
    "one": lambda k: k.add(1, 2),
    "chain": lambda k: chain(k.add(1), k.add(2), k.add(3)),
    "chain of plain and locked": lambda k: chain(k.plain("total", [1]), k.add(2), k.add(3)),
    "group": lambda k: group(k.add(1), k.add(2), k.add(3)),
    "chord, header locked": lambda k: chord([k.add(1), k.add(2)], k.plain("total")),
    "chord, body locked": lambda k: chord([k.plain("total", [n]) for n in (1, 2)], k.total()),
    "chord, all locked": lambda k: chord([k.add(1), k.add(2), k.add(3)], k.total()),
    "chord in a chain": lambda k: chain(k.add(1), group(k.add(2), k.add(3)), k.total(), k.add(4)),
    "group of chains": lambda k: group(chain(k.add(1), k.add(2)), chain(k.add(3), k.add(4))),
    "chord of chains": lambda k: chord(
        [chain(k.add(1), k.add(2)), chain(k.add(3), k.add(4))], k.total()
    ),
    "chord in a chord": lambda k: chord(
        [k.add(1), chord([k.add(2), k.add(3)], k.total())], k.total()
    ),
    "link": lambda k: k.add(1, 2).on_error(k.note_error()).set(link=[k.note()]),
    "links of a chain": lambda k: chain(k.add(1).set(link=[k.note()]), k.add(2)),
    "locked callback": lambda k: k.plain("double", 1).set(link=[k.add(5).set(link=[k.note()])]),
    "locked errback": lambda k: k.plain("broken").on_error(k.errback()),
    "chord whose body has a link": lambda k: chord(
        [k.add(1), k.add(2)], k.total().set(link=[k.note()])
    ),
    "errback of a chord": lambda k: chord([k.add(1), k.plain("broken")], k.total()).on_error(
        k.note_error()
    ),
    "broken chain": lambda k: chain(k.add(1), k.plain("broken"), k.add(2)).on_error(k.note_error()),
    "retries": lambda k: k.retry(1),
    "retries in a chain": lambda k: chain(k.retry(1), k.add(2)),
    "retries in a chord": lambda k: chord([k.retry(1), k.retry(2)], k.total()),
    "replace": lambda k: k.replace(1),
    "replace in a chain": lambda k: chain(k.replace(1), k.add(2)),
    "replace in a chord": lambda k: chord([k.replace(1), k.add(2)], k.total()),
    "replace by a group": lambda k: chain(k.replace_by_group(1), k.total()),
    "add_to_chord": lambda k: chord([k.add_to_chord(1)], k.total()),
    "immutable": lambda k: chain(k.add(1), k.add(2).set(immutable=True)),
    "stamped": lambda k: _stamped(chain(k.add(1), k.add(2))),
    "with options": lambda k: chain(k.add(1).set(priority=3, shadow="x"), k.add(2).set(expires=60)),
    "children": lambda k: k.children(1),
}


def _stamped(canvas: Any) -> Any:
    canvas.stamp(tenant="blue")
    return canvas


@dataclass
class CanvasSetup:
    """A Redis that is broker, backend and store, and a worker on it."""

    app: celery.Celery
    tap: Tap
    keys: Keys
    worker: Worker
    redis: Redis

    def run(self, build: Callable[[TasksOfAKind], Any], kind: str) -> dict[str, Any]:
        """Run a canvas to its end, and return all that can be seen of it."""
        tasks = TasksOfAKind(self.app, kind, str(uuid.uuid4()))
        began = len(self.tap.everything())

        def messages() -> list[Copy]:
            return self.tap.everything()[began:]

        if kind == "plain":
            result = build(tasks).apply_async()
        else:
            with self.keys.held(KEY):
                result = build(tasks).apply_async()
                wait_for(lambda: _conflicts(self.worker, messages()), "a conflict")
                if kind != "requeue":  # these end while the key is taken
                    self._wait_for_end(result, messages)
        self._wait_for_end(result, messages)
        return {
            "result": _seen(result),
            "notes": sorted(one.decode() for one in self.redis.lrange(NOTES + tasks.run, 0, -1)),
            "tasks": sorted({copy.task_id: copy.task for copy in messages()}.values()),
        }

    def _wait_for_end(self, result: Any, messages: Callable[[], list[Copy]]) -> None:
        """Wait for the result, and for the last word about every task of which a message was
        seen: the worker says it when callbacks and errbacks have been called too."""

        def running() -> list[str]:
            log = self.worker.logs()
            ids = {copy.task_id for copy in messages()}
            return [one for one in ids if not re.search(rf"\[{one}\] (succeeded|raised)", log)]

        wait_for(
            lambda: result.ready() and not running(),
            "the end of the canvas",
            explain=lambda: f"{_seen(result)}, still running: {running()}",
        )


def _conflicts(worker: Worker, messages: list[Copy]) -> bool:
    ids = {copy.task_id for copy in messages}
    logged = [line for line in worker.logs().splitlines() if f"lock {KEY!r} is held by" in line]
    return any(one in line for one in ids for line in logged)


def _seen(result: Any) -> Any:
    """A result with all that hangs on it, without what is another each time."""
    if isinstance(result, GroupResult):
        return {"group": [_seen(one) for one in result.results]}
    value = result.result
    return {
        "state": result.state,
        "value": "an error" if isinstance(value, Exception) else value,
        "parent": _seen(result.parent) if result.parent else None,
        "children": [_seen_below(one) for one in result.children or []],
    }


def _seen_below(result: Any) -> Any:
    if isinstance(result, GroupResult):
        return {"group": [_seen_below(one) for one in result.results]}
    return {"state": result.state, "children": [_seen_below(one) for one in result.children or []]}


@pytest.fixture(scope="module")
def setup(module_redis: RedisServer, module_worker_factory: WorkerFactory) -> Iterator[CanvasSetup]:
    url = module_redis.url
    worker = module_worker_factory(APP, broker=url, backend=url, concurrency=4)
    with (
        sending(canvas_app.make_app(broker_url=url, result_backend=url)) as app,
        keys_at(url) as keys,
        tap_redis(module_redis) as tap,
        module_redis.client() as redis,
    ):
        yield CanvasSetup(app, tap, keys, worker, redis)


def _without_kind(seen: dict[str, Any], kind: str) -> dict[str, Any]:
    tasks = sorted(task.replace(f"canvas.{kind}.", "canvas.") for task in seen["tasks"])
    return seen | {"tasks": tasks}


@pytest.mark.parametrize("canvas", CANVASES)
def test_a_canvas_that_meets_a_taken_key_ends_as_one_without_locks(
    setup: CanvasSetup, canvas: str
) -> None:
    plain = setup.run(CANVASES[canvas], "plain")
    locked = setup.run(CANVASES[canvas], "requeue")

    assert _without_kind(locked, "requeue") == _without_kind(plain, "plain")


FAILING: dict[str, Callable[[TasksOfAKind], Any]] = {
    "one": lambda k: k.add(1).on_error(k.note_error()),
    "chain": lambda k: chain(k.add(1), k.plain("total")).on_error(k.note_error()),
    "group": lambda k: group(k.add(1), k.plain("total", [1])),
    "chord": lambda k: chord([k.add(1), k.plain("total", [1])], k.plain("total")).on_error(
        k.note_error()
    ),
    "body of a chord": lambda k: chord([k.plain("total", [1])], k.add()).on_error(k.note_error()),
    "link": lambda k: k.add(1).set(link=[k.note()]),
}


class Failing(TasksOfAKind):
    """Where the locked run has a task that meets a taken key, the plain one has a broken task."""

    def add(self, *args: int) -> Any:
        name = "canvas.broken" if self.kind == "plain" else "canvas.fail.add"
        return self.app.signature(name, args=args)


@pytest.mark.parametrize("canvas", FAILING)
def test_a_canvas_with_fail_ends_as_one_with_a_broken_task(setup: CanvasSetup, canvas: str) -> None:
    def build(tasks: TasksOfAKind) -> Any:
        return FAILING[canvas](Failing(tasks.app, tasks.kind, tasks.run))

    plain = setup.run(build, "plain")
    locked = setup.run(build, "fail")

    broken = [task.replace("canvas.broken", "canvas.fail.add") for task in plain["tasks"]]
    assert locked == plain | {"tasks": sorted(broken)}


SKIPPED: dict[str, tuple[Callable[[TasksOfAKind], Any], Any, list[str]]] = {
    "chain": (lambda k: chain(k.add(1), k.plain("double")), 0, []),
    "group": (lambda k: group(k.add(1), k.add(2)), [0, 0], []),
    "chord": (lambda k: chord([k.add(1), k.plain("total", [5])], k.plain("total")), 5, []),
    "body of a chord": (lambda k: chord([k.plain("total", [5])], k.total()), 0, []),
    "link": (lambda k: k.add(1).set(link=[k.note()]), 0, ["('link', 0)"]),
}


@pytest.mark.parametrize("canvas", SKIPPED)
def test_a_canvas_goes_on_after_a_skipped_task(setup: CanvasSetup, canvas: str) -> None:
    build, value, notes = SKIPPED[canvas]

    seen = setup.run(build, "skip")

    assert _values(seen["result"]) == value
    assert seen["notes"] == notes


def _values(seen: Any) -> Any:
    return [_values(one) for one in seen["group"]] if "group" in seen else seen["value"]


def test_who_takes_the_place_of_a_task_does_not_meet_its_key(setup: CanvasSetup) -> None:
    result = setup.app.tasks["canvas.requeue.replace_slowly"].delay(1)

    assert result.get(timeout=20) == 2
    assert not [
        copy for copy in setup.tap.copies(result.id) if "attempt" in copy.headers["celery_lock"]
    ]


# -- a duplicate of a task whose publisher takes the key ---------------------------------------

SCOPES = ("until_started", "until_finished")


@pytest.mark.parametrize("scope", SCOPES)
def test_the_first_of_two_equal_members_runs_and_the_other_one_is_skipped(
    setup: CanvasSetup, scope: str
) -> None:
    k = TasksOfAKind(setup.app, scope, "")
    members = [k.add(1).set(countdown=0.5), k.add(2).set(countdown=0.5), k.plain("total", [3])]

    ran, skipped, plain = chord(members, k.plain("seen")).apply_async().get(timeout=20)

    assert (ran, plain) == (1, 3)
    assert is_skipped(skipped)
    assert skipped["held_by"]


@pytest.mark.parametrize("scope", SCOPES)
def test_a_duplicate_anywhere_in_a_canvas_completes_and_all_goes_on(
    setup: CanvasSetup, scope: str
) -> None:
    run = str(uuid.uuid4())
    k = TasksOfAKind(setup.app, scope, run)
    first = k.add(9).apply_async(countdown=3)

    step = chain(k.plain("seen", 1), k.add(1), k.plain("seen")).apply_async()
    body = chord([k.plain("total", [1])], k.add()).apply_async()
    called = k.plain("double", 1).set(link=[k.add(5).set(link=[k.note()])]).apply_async()
    group_of_two = group(k.add(1), k.plain("total", [2])).apply_async()

    for result in (step, body, group_of_two.results[0]):
        assert is_skipped(value := result.get(timeout=20))
        assert value["held_by"] == first.id
    assert (called.get(timeout=20), group_of_two.results[1].get(timeout=20)) == (2, 2)
    (noted,) = wait_for(lambda: setup.redis.lrange(NOTES + run, 0, -1), "the call-back's own")
    assert f"'held_by': '{first.id}'" in noted.decode()
    assert not first.ready()
    assert first.get(timeout=20) == 9


def test_a_duplicate_of_another_task_waits_in_its_canvas_for_the_key(setup: CanvasSetup) -> None:
    """The task that has the key is no run of this one: nobody is skipped for its sake."""
    k = TasksOfAKind(setup.app, "until_finished", "")
    first = k.retry(1).apply_async(countdown=1)

    result = chord([k.plain("total", [1]), k.add(2)], k.plain("seen")).apply_async()

    assert result.get(timeout=20) == [1, 2]
    assert first.ready()
