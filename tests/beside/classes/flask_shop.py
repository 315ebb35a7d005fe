"""Flask: each way to give a locked task an app context, in a real pool."""

from __future__ import annotations

from typing import Any

from celery import Celery, Task
from flask import Flask, current_app

from celery_lock import Lock, LockedTask, constant, requeue
from tests.beside.classes.notes import URL, noted, overlaps, running, until

flask_app = Flask("shop")


class Documented(Task):
    """As Flask's documentation has it."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with flask_app.app_context():
            return self.run(*args, **kwargs)


class InContext(LockedTask):
    """As our page has it."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with flask_app.app_context():
            return super().__call__(*args, **kwargs)


class RunsItself(LockedTask):
    """As Flask's documentation has it, but for the base."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with flask_app.app_context():
            return self.run(*args, **kwargs)


class Both(LockedTask, Documented):
    """Ours first."""

    abstract = True


class TheOtherWay(Documented, LockedTask):
    """Ours last."""

    abstract = True


app = Celery("shop", broker=URL, backend=URL, task_cls=InContext)
app.conf.broker_connection_retry_on_startup = True
SOON = requeue(constant(0.1))
BASES: dict[str, Any] = {
    "default": None,
    "itself": RunsItself,
    "both": Both,
    "other way": TheOtherWay,
}


def in_context() -> str:
    """A key that only the context knows."""
    return f"{current_app.name}:key"


def work(name: str, lock: Lock, base: Any) -> Any:
    """A task of one of these classes."""

    @app.task(name=name, shared=False, lock=lock, **({"base": base} if base else {}))
    def task() -> None:
        with running(name, seen=current_app.name):
            pass

    return task


TASKS = {name: work(name, Lock(name, on_conflict=SOON), base) for name, base in BASES.items()}
TASKS["key"] = work("key", Lock(in_context, on_conflict=SOON), None)


@app.task(name="plain", shared=False)
def plain() -> str:
    """Has the context too."""
    return str(current_app.name)


def facts() -> dict[str, Any]:
    """Send, and say what came of it."""
    for task in TASKS.values():
        for _ in range(3):
            task.delay()
    until(lambda: all(len(noted(name)) == 3 for name in TASKS))
    found: dict[str, Any] = {
        name: [overlaps(name), *(run["seen"] for run in noted(name))] for name in TASKS
    }
    return {**found, "plain": plain.delay().get(timeout=10)}


EXPECTED: dict[str, Any] = {
    **{name: [0, "shop", "shop", "shop"] for name in TASKS},
    "plain": "shop",
}
