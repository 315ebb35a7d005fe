"""Tasks that come to their lock in every way there is, and tasks that have none."""

from __future__ import annotations

from typing import Any

import pydantic
from celery import Celery, Task, chord, group
from celery.worker.request import Request

from celery_lock import Lock, LockedTask, LockError, constant, current_lease, requeue
from tests.integration.apps.history import tell


def key_here() -> str | None:
    """The key that is held while this runs; `None`: this run has no lock."""
    try:
        return current_lease().key
    except LockError:
        return None


class Item(pydantic.BaseModel):
    """An argument with a default and a conversion."""

    number: int
    colour: str = "red"


class Counting(Task):
    """Somebody's base class, which has never heard of a lock."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return ["counted", super().__call__(*args, **kwargs)]


class Hiding(Task):
    """One that runs the body itself, past all others."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(*args, **kwargs)


class OrderTask(LockedTask):
    """A base class that brings its lock."""

    abstract = True
    lock = Lock("order:{order}")


class ClassBased(LockedTask):
    """A task that is a class."""

    name = "which.class_based"
    lock = Lock("class:{order}")

    def run(self, order: int) -> str | None:
        return key_here()


class OwnRequest(Request):
    """Somebody's own request class."""

    def on_success(self, failed__retval__runtime: Any, **kwargs: Any) -> Any:
        return super().on_success(failed__retval__runtime, **kwargs)

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        tell("accepted by OwnRequest", self.name)
        super().on_accepted(pid, time_accepted)


def make_app(*, task_cls: Any = None, **conf: Any) -> Celery:
    """One app for the worker (by environment) and one for the test that sends."""
    app = Celery("which", task_cls=task_cls, set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        task_annotations={"which.annotated": {"lock": Lock("annotated:{order}")}},
        **conf,
    )

    @app.task(shared=False, name="which.by_base", base=LockedTask)
    def by_base(order: int) -> str | None:
        return key_here()

    @app.task(
        shared=False, name="which.bound", bind=True, base=LockedTask, lock=Lock("bound:{order}")
    )
    def bound(self: Any, order: int) -> str | None:
        assert self.lease.key == key_here()
        return key_here()

    @app.task(shared=False, name="which.inherited", base=OrderTask)
    def inherited(order: int) -> str | None:
        return key_here()

    @app.task(shared=False, name="which.off", base=OrderTask, lock=None)
    def off(order: int) -> str | None:
        return key_here()

    @app.task(
        shared=False,
        name="which.mixed",
        base=type("Mixed", (LockedTask, Counting), {"abstract": True}),
    )
    def mixed(order: int) -> str | None:
        return key_here()

    @app.task(
        shared=False,
        name="which.mixed_before",
        base=type("M2", (Counting, LockedTask), {"abstract": True}),
    )
    def mixed_before(order: int) -> str | None:
        return key_here()

    @app.task(
        shared=False,
        name="which.hidden",
        base=type("Bad", (Hiding, LockedTask), {"abstract": True}),
        lock=Lock("hidden:{order}"),
    )
    def hidden(order: int) -> str | None:
        return key_here()

    @app.task(shared=False, name="which.annotated", **({} if task_cls else {"base": LockedTask}))
    def annotated(order: int) -> str | None:
        return key_here()

    @app.task(
        shared=False,
        name="which.pydantic",
        pydantic=True,
        base=LockedTask,
        lock=Lock("item:{item[number]}:{item[colour]}"),
    )
    def with_model(item: Item) -> str | None:
        assert isinstance(item, Item)
        return key_here()

    @app.task(
        shared=False,
        name="which.requested",
        base=LockedTask,
        lock=Lock("r:{order}", on_conflict=requeue(constant(0.1))),
        Request=OwnRequest,
    )
    def requested(order: int) -> str | None:
        return key_here()

    @app.task(shared=False, name="which.plain")
    def plain(order: int) -> str | None:
        return key_here()

    @app.task(
        shared=False,
        name="which.declared",
        lock=Lock("declared:{order}"),
        **({} if task_cls else {"base": LockedTask}),
    )
    def declared(order: int) -> str | None:
        return key_here()

    @app.task(shared=False, name="which.collect")
    def collect(keys: list[Any]) -> list[Any]:
        return [*keys, key_here()]

    app.register_task(ClassBased())
    return app


def chord_of(app: Celery) -> Any:
    """Two locked members with one key, and a plain body."""
    header = group(app.tasks["which.declared"].s(1), app.tasks["which.declared"].s(1))
    return chord(header, app.tasks["which.collect"].s())
