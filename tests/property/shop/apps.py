"""The apps of a play: one for each process, all with the tasks of the shop."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

from celery import Celery

from celery_lock import Lock, LockedTask

__all__ = ["TTL", "app_of", "give_back"]

TTL = 30.0

_free: dict[Any, list[Any]] = {}
"""Apps that no play uses now: to make one takes longer than a play."""


def app_of(world: Any, acks_late: bool, policy: Any) -> Any:
    """Return an app for one process of a play, whose messages go to its broker."""
    free = _free.setdefault((acks_late, str(policy)), [])
    app = free.pop() if free else _made(acks_late, policy)
    app.world, app.free = world, free
    return app


def give_back(app: Any) -> None:
    """Let another play use it."""
    app.free.append(app)


def _made(acks_late: bool, policy: Any) -> Any:
    app: Any = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.update(task_ignore_result=True, result_backend="disabled://")

    @app.task(  # type: ignore[untyped-decorator]
        name="work", bind=True, base=LockedTask, shared=False, lazy=False, acks_late=acks_late,
        max_retries=3, lock=Lock("shop", ttl=TTL, on_conflict=policy),
    )  # fmt: skip
    def work(task: Any, number: int) -> Any:
        return app.world.body(task, number)

    @app.task(name="after", shared=False, lazy=False, acks_late=True)  # type: ignore[untyped-decorator]
    def after(number: int) -> None:
        app.world.jobs[number].next_steps += 1

    producer = SimpleNamespace(
        publish=lambda *args, **options: app.world.publish_raw(*args, **options),
        connection=SimpleNamespace(
            _reraise_as_library_errors=nullcontext,
            recoverable_connection_errors=(),
            recoverable_channel_errors=(),
            connection_errors=(),
            channel_errors=(),
        ),
    )
    app.producer_or_acquire = lambda given=None: nullcontext(given or producer)
    return app
