"""A locked task looks to its body, and to whoever stands around that, like a plain one."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, Task, current_task, signals
from celery._state import _task_stack  # type: ignore[attr-defined]  # not in the stubs
from celery.app.trace import (
    _install_stack_protection,
    build_tracer,
    reset_worker_optimizations,
)
from celery.worker.request import Request
from kombu.utils.imports import symbol_by_name

from celery_lock import Lock, LockedTask

from .engine import Engine


def in_tuples(value: Any) -> Any:
    """A value as it can be compared, whatever objects it is made of."""
    if isinstance(value, dict):
        return {name: in_tuples(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [in_tuples(each) for each in value]
    return value


def apply_of_itself(self: Any) -> Any:
    """Its request, but for the id."""
    seen = dict(self.apply(("inner",), task_id="id-2").result)
    return [seen.get(name) for name in ("args", "called_directly", "_protected", "id", "headers")]


def own_call(self: Any) -> Any:
    return self("inner")


def own_call_twice(self: Any) -> Any:
    return self("twice")


def pushed(self: Any) -> Any:
    self.push_request(args=(1,))
    try:
        return in_tuples(vars(self.request))
    finally:
        self.pop_request()


def changed(self: Any) -> Any:
    """What a body writes into its request is there for those after it."""
    self.request.properties["more"] = 1
    self.request.update(extra=1)
    return in_tuples(vars(self.request))


OWN = {"lock", "lease", "leases", "key_of", "keys_of"}
"""What a locked task has and a plain one has not."""

LOOKS: dict[str, Callable[[Any], Any]] = {
    # the request
    "repr": lambda self: repr(self.request),
    "attributes": lambda self: in_tuples(vars(self.request)),
    "all names": lambda self: dir(self.request),
    "type": lambda self: type(self.request),
    "properties": lambda self: self.request.properties,
    "type of properties": lambda self: type(self.request.properties),
    "properties as JSON": lambda self: json.dumps(self.request.properties),
    "headers": lambda self: self.request.headers,
    "delivery_info": lambda self: self.request.delivery_info,
    "copy": lambda self: in_tuples(vars(copy.copy(self.request))),
    "deepcopy": lambda self: in_tuples(vars(copy.deepcopy(self.request))),
    "pickle": lambda self: in_tuples(vars(pickle.loads(pickle.dumps(self.request)))),
    "pickled bytes": lambda self: len(pickle.dumps(self.request)),
    "execution options": lambda self: in_tuples(self.request.as_execution_options()),
    "children": lambda self: self.request.children,
    "called_directly": lambda self: self.request.called_directly,
    "a pushed request": pushed,
    "a changed request": changed,
    # stacks
    "depth of requests": lambda self: len(self.request_stack),
    "depth of tasks": lambda self: len(_task_stack.stack),
    "current task": lambda self: current_task._get_current_object() is self,
    "a call of itself": own_call,
    "a call of itself in that": own_call_twice,
    "an eager one in it": apply_of_itself,
    # the task
    "in the registry": lambda self: self.app.tasks[self.name] is self,
    "run": lambda self: str(inspect.signature(self.run)),
    "doc": lambda self: self.__doc__,
    "names": lambda self: (self.name, self.__name__, self.__module__, self.__qualname__),
    "typing": lambda self: self.typing,
    "header": lambda self: str(inspect.signature(type(self).__header__)),
    "wrapped": lambda self: self.__wrapped__.__name__,
    "repr of the task": lambda self: repr(self).partition(" at ")[0],
    "pickled task": lambda self: self.__reduce__()[1][0],
    "execution options of the task": lambda self: self._get_exec_options(),
    "options": lambda self: [
        getattr(self, name) for _, name in enumerate(sorted(dict(self.from_config)))
    ],
    "signature": lambda self: dict(self.s(1)),
    "signature of the request": lambda self: in_tuples(dict(self.signature_from_request())),
    "retry": lambda self: in_tuples(self.signature_from_request(countdown=1).options),
    "strategy": lambda self: self.Strategy,
    "own names": lambda self: sorted(
        name for name in set(dir(self)) - OWN if not name.startswith("_")
    ),
    "methods": lambda self: [
        list(inspect.signature(getattr(self, name)).parameters)
        for name in ("before_start", "on_success", "on_failure", "on_retry", "after_return",
                     "retry", "replace", "on_replace", "apply", "apply_async", "delay")
    ],
}  # fmt: skip
"""What a body may look at."""


@pytest.fixture(params=["as in a worker", "as anywhere"], autouse=True)
def app(request: pytest.FixtureRequest, engine: Engine) -> Iterator[Celery]:
    """A worker puts another `Task.__call__` in the place of Celery's own."""
    app = engine.app()
    if request.param == "as in a worker":
        _install_stack_protection()
    yield app
    reset_worker_optimizations(app)


PROPERTIES = {
    "correlation_id": "id-1",
    "reply_to": "somebody",
    "delivery_tag": "tag-1",
    "delivery_mode": 2,
    "priority": 3,
    "delivery_info": {"exchange": "", "routing_key": "celery"},
}
HEADERS = {
    "lang": "py",
    "task": "t",
    "id": "id-1",
    "root_id": "id-1",
    "parent_id": None,
    "group": None,
    "retries": 1,
    "timelimit": [30, 20],
    "argsrepr": "()",
    "kwargsrepr": "{}",
    "origin": "gen1@host",
    "ignore_result": False,
    "x-tenant": "acme",
}


def a_message() -> Any:
    body = b"[[], {}, {}]"
    return SimpleNamespace(
        body=body,
        payload=json.loads(body),
        content_type="application/json",
        content_encoding="utf-8",
        headers=copy.deepcopy(HEADERS),
        properties=copy.deepcopy(PROPERTIES),
        delivery_info={"exchange": "", "routing_key": "celery", "redelivered": False},
    )


def as_in_prefork(about: dict[str, Any]) -> dict[str, Any]:
    through_the_pipe: dict[str, Any] = pickle.loads(pickle.dumps(about))
    return through_the_pipe


def as_in_threads(about: dict[str, Any]) -> dict[str, Any]:
    return about


EACH_POOL = pytest.mark.parametrize("reach", [as_in_prefork, as_in_threads])


class Noting:
    """A user's methods of a task, each of which looks at its request too."""

    seen: list[Any]

    def before_start(self, *args: Any) -> None:
        self.seen.append(("before_start", self.look()))

    def on_success(self, *args: Any) -> None:
        self.seen.append(("on_success", self.look()))

    def on_failure(self, *args: Any) -> None:
        self.seen.append(("on_failure", self.look()))

    def after_return(self, *args: Any) -> None:
        self.seen.append(("after_return", self.look()))

    def look(self) -> Any:
        task: Any = self
        return repr(task.request), in_tuples(vars(task.request))


def seen_by(
    app: Celery,
    base: type,
    look: Callable[[Any], Any],
    reach: Callable[[dict[str, Any]], dict[str, Any]],
    lock: Lock | None = None,
) -> list[Any]:
    """Run one message as a worker does, and return what was seen on its way, in order."""

    def t(self: Any, how: str = "") -> Any:
        """A body that looks around."""
        if how == "twice":
            return self("inner")
        return look(self) if not how else in_tuples(vars(self.request))

    app._tasks.pop("t", None)
    noting = type("Noting", (Noting, base), {"abstract": True, "seen": []})
    options: dict[str, Any] = {"lock": lock} if base is LockedTask else {}
    bind: Any = app.task(
        bind=True, name="t", base=noting, shared=False, lazy=False, max_retries=7, **options
    )
    task: Any = bind(t)
    request = symbol_by_name(task.Request)(a_message(), app=app, task=task, hostname="w1@host")

    def receive(task: Any, **_: Any) -> None:
        task.seen.append(("signal", task.look()))

    with_prerun = signals.task_prerun.connect(receive, weak=False, sender=task)
    with_postrun = signals.task_postrun.connect(receive, weak=False, sender=task)
    try:
        about = reach(request.request_dict)
        about.update({"args": [], "kwargs": {}, "hostname": "w1@host", "is_eager": False})
        outcome = build_tracer("t", task, app=app)("id-1", [], {}, about)
    finally:
        signals.task_prerun.disconnect(with_prerun, sender=task)
        signals.task_postrun.disconnect(with_postrun, sender=task)
    assert outcome.info is None, outcome.info
    seen: list[Any] = [*task.seen, ("body", outcome.retval)]
    return seen


@EACH_POOL
@pytest.mark.parametrize("lock", [Lock(), None], ids=["with a lock", "without one"])
@pytest.mark.parametrize("name", LOOKS)
def test_whoever_looks_sees_what_a_plain_task_has(
    app: Celery, name: str, lock: Lock | None, reach: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    plain = seen_by(app, Task, LOOKS[name], reach)
    locked = seen_by(app, LockedTask, LOOKS[name], reach, lock)

    assert locked == plain


def test_who_looks_in_the_main_process_sees_what_a_plain_task_has(app: Celery) -> None:
    """A receiver of `task_received`, or a user's own Request class."""

    def body() -> None:
        """Do nothing."""

    found = []
    for base in (Task, LockedTask):
        app._tasks.pop("t", None)
        bind: Any = app.task(name="t", base=base, shared=False, lazy=False)
        task: Any = bind(body)
        request: Request = symbol_by_name(task.Request)(
            a_message(), app=app, task=task, hostname="w1@host"
        )
        context: Any = request._context  # type: ignore[attr-defined]  # celery has no types
        found.append(
            (
                request.request_dict,
                repr(request.request_dict),
                repr(request).replace("LockedRequest", "Request"),
                request.info(),
                in_tuples(vars(context)),
            )
        )

    assert found[1] == found[0]
