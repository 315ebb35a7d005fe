"""The same bodies twice: as plain tasks, and with a lock whose key they all share."""

from __future__ import annotations

import time
from typing import Any

from celery import Celery
from redis import Redis

from celery_lock import Lock, LockConflict, LockedTask, Scope, constant, fail, requeue, skip

KEY = "canvas"
POLICIES: dict[str, Any] = {
    "requeue": requeue(constant(0.1)),
    "skip": skip(result=0),
    "fail": fail(),
}
NOTES = "notes:"
"""List of what callbacks were told, by the name of the run."""


def make_app(**conf: Any) -> Celery:
    """One app for the worker (by environment) and one for the test that sends."""
    app = Celery("canvas", set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True, task_allow_error_cb_on_chord_header=True, **conf
    )
    _twins(app, "plain", {"lock": None})
    for name, policy in POLICIES.items():
        _twins(app, name, {"lock": Lock(KEY, on_conflict=policy)})
    for scope in (Scope.UNTIL_STARTED, Scope.UNTIL_FINISHED):
        _twins(app, scope.value, {"lock": Lock(scope.value, scope=scope)})

    def note(run: str, *what: Any) -> None:
        with Redis.from_url(app.conf.result_backend) as redis:
            redis.rpush(NOTES + run, repr(what))

    @app.task(name="canvas.note", shared=False)
    def noted(result: Any, run: str) -> None:
        note(run, "link", result)

    @app.task(name="canvas.note_error", shared=False)
    def note_error(request: Any, error: Any, trace: Any, run: str) -> None:
        note(run, "link_error", isinstance(error, (ValueError, LockConflict)))

    @app.task(name="canvas.total", shared=False)
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    @app.task(name="canvas.seen", shared=False)
    def seen(given: Any) -> Any:
        return given

    @app.task(name="canvas.double", shared=False)
    def double(number: int) -> int:
        return 2 * number

    @app.task(name="canvas.broken", shared=False)
    def broken(*numbers: int) -> int:
        raise ValueError(numbers)

    return app


def _twins(app: Celery, kind: str, options: dict[str, Any]) -> None:
    options = {"base": LockedTask, "bind": True, "shared": False, **options}

    @app.task(name=f"canvas.{kind}.add", **options)
    def add(self: Any, *numbers: int) -> int:
        return sum(numbers)

    @app.task(name=f"canvas.{kind}.total", **options)
    def total(self: Any, numbers: list[int]) -> int:
        return sum(numbers)

    @app.task(name=f"canvas.{kind}.retry", max_retries=2, **options)
    def retry(self: Any, number: int) -> int:
        if self.request.retries < 2:
            # not at once: Celery would now and then write RETRY over the later SUCCESS
            raise self.retry(countdown=0.1)
        return number + self.request.retries

    @app.task(name=f"canvas.{kind}.replace", **options)
    def replace(self: Any, number: int) -> Any:
        """Its place is taken by a task with the same key."""
        raise self.replace(app.signature(f"canvas.{kind}.add", args=(number, 1)))

    @app.task(name=f"canvas.{kind}.replace_slowly", **options)
    def replace_slowly(self: Any, number: int) -> Any:
        """The one that takes its place is there before it has ended."""
        try:
            raise self.replace(app.signature(f"canvas.{kind}.add", args=(number, 1)))
        finally:
            time.sleep(0.3)

    @app.task(name=f"canvas.{kind}.replace_by_group", **options)
    def replace_by_group(self: Any, number: int) -> Any:
        add = app.signature(f"canvas.{kind}.add")
        raise self.replace(celery_group(app, [add.clone((number, n)) for n in (1, 2)]))

    @app.task(name=f"canvas.{kind}.add_to_chord", **options)
    def add_to_chord(self: Any, number: int) -> int:
        self.add_to_chord(app.signature(f"canvas.{kind}.add", args=(number, 10)))
        return number

    @app.task(name=f"canvas.{kind}.errback", **options)
    def errback(self: Any, task_id: str) -> None:
        """With one parameter it gets a message; with more Celery calls it where the error was."""

    @app.task(name=f"canvas.{kind}.children", **options)
    def children(self: Any, number: int) -> int:
        """It sends a task of its own, which is its child."""
        app.signature(f"canvas.{kind}.add", args=(number, 1)).delay()
        return number


def celery_group(app: Celery, tasks: list[Any]) -> Any:
    """A group of an app that is not the current one."""
    from celery import group

    return group(tasks, app=app)


app = make_app()
