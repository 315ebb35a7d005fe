"""How the body of a locked task is called: with the trace's request, by who stands between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import pytest
from celery import Celery, Task
from celery.app.trace import _install_stack_protection, reset_worker_optimizations

from celery_lock import Lock, LockedTask

from .engine import Engine, deliver, locked


@pytest.fixture(params=[True, False], ids=["as in a worker", "as anywhere"])
def _place(request: pytest.FixtureRequest, app: Celery) -> Iterator[None]:
    """A worker puts another `Task.__call__` in the place of Celery's own."""
    if request.param:
        _install_stack_protection()
    yield
    if request.param:
        reset_worker_optimizations(app)


pytestmark = pytest.mark.usefixtures("_place")


def task_of(app: Celery, body: Callable[..., Any], **options: Any) -> Any:
    return locked(app, Lock("k"), **{"name": "t", "bind": True, **options})(body)


def test_the_body_has_the_request_that_the_trace_has_made(app: Celery) -> None:
    seen: list[Any] = []

    class Noting(LockedTask):  # type: ignore[type-arg]
        abstract = True

        def before_start(self, *args: Any) -> None:
            seen.append(self.request)

    def body(self: Any, user_id: int) -> None:
        seen.append(self.request)

    deliver(task_of(app, body, base=Noting), 7)

    assert seen[0] is seen[1]
    assert (seen[1].id, list(seen[1].args), seen[1].called_directly) == ("id-1", [7], False)


def test_a_body_that_takes_its_callbacks_away_has_none(app: Celery) -> None:
    """As that of a plain task, which is handed no copy of its request either."""
    called: list[Any] = []

    def link(result: Any) -> None:
        called.append(result)

    def body(self: Any) -> str:
        self.request.callbacks = None
        return "done"

    after = app.task(name="after", shared=False, lazy=False)(link)
    app.conf.task_always_eager = True

    assert deliver(task_of(app, body), callbacks=[after.s()]).result == "done"
    assert called == []


def test_a_call_of_its_own_task_in_the_body_has_a_request_of_its_own(app: Celery) -> None:
    def countdown(self: Any, n: int) -> list[Any]:
        inner = [] if n == 0 else self(n - 1)
        return [list(self.request.args), *inner]

    assert deliver(task_of(app, countdown), 2).result == [[2], [1], [0]]


def test_a_class_between_ours_and_celerys_is_called_with_the_key_held(
    app: Celery, engine: Engine
) -> None:
    calls: list[Any] = []

    class Between(Task):  # type: ignore[type-arg]
        abstract = True

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            calls.append(("between", engine.holder_of()))
            return super().__call__(*args, **kwargs)

    class Both(LockedTask, Between):  # type: ignore[type-arg]
        abstract = True

    def body(self: Any) -> None:
        calls.append(("body", self.request.id))

    deliver(task_of(app, body, base=Both))

    assert calls == [("between", "id-1"), ("body", "id-1")]


def test_a_call_that_was_put_in_celerys_place_is_called(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a tracer of requests, say, which looks like what it wraps."""
    calls: list[str] = []
    celerys: Any = Task.__call__

    @wraps(celerys)
    def watched(*args: Any, **kwargs: Any) -> Any:
        calls.append("watched")
        return celerys(*args, **kwargs)

    monkeypatch.setattr(Task, "__call__", watched)

    def body(self: Any) -> None:
        calls.append("body")

    deliver(task_of(app, body))

    assert calls == ["watched", "body"]


class Proxy:
    """Like wrapt's, which tracers put around methods: it shows all that is of what is in it."""

    def __init__(self, inner: Any, calls: list[str]) -> None:
        self.inner, self.calls = inner, calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __get__(self, task: Any, kind: Any = None) -> Proxy:
        return Proxy(self.inner.__get__(task, kind), self.calls)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append("proxy")
        return self.inner(*args, **kwargs)


def test_a_proxy_of_celerys_call_is_called(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    celerys: Any = Task.__call__
    monkeypatch.setattr(Task, "__call__", Proxy(celerys, calls))

    def body(self: Any) -> None:
        calls.append("body")

    deliver(task_of(app, body))

    assert calls == ["proxy", "body"]


def test_what_is_retried_by_itself_is_retried(app: Celery) -> None:
    def body(self: Any) -> None:
        raise ValueError(self.request.retries)

    task = task_of(app, body, autoretry_for=(ValueError,), max_retries=1, retry_backoff=False)

    assert deliver(task).state == "RETRY"
    assert deliver(task, retries=1).state == "FAILURE"
