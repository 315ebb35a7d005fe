"""The time of publication in a message: whose messages get it, and what is left as it is."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import uuid
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, chain, group, signals

from celery_lock import Lock, LockedTask
from celery_lock.app import stamping
from celery_lock.app.locks import locks_of
from celery_lock.message import HEADER

NOW = 1_795_444_625.5
TIMED = Lock("report:{bucket:1h}")


def report() -> None: ...


MakeApp = Callable[..., Celery]


@pytest.fixture(autouse=True)
def _a_process_that_has_bound_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamping, "_timed", set())


@pytest.fixture
def make_app() -> Iterator[MakeApp]:
    made: list[Celery] = []

    def make(*, now: float = NOW, lock: Lock | None = TIMED, lazy: bool = False) -> Celery:
        app = Celery(uuid.uuid4().hex, broker="memory://", set_as_current=False)
        app.conf.task_default_queue = app.main
        app.task(report, name="report", base=LockedTask, lock=lock, shared=False, lazy=lazy)
        locks_of(app).now = lambda: now
        made.append(app)
        return app

    yield make
    for app in made:
        app.close()


def published(app: Celery) -> Any:
    """Our header of the message that was published last; `None`: it has none."""
    with app.connection_for_read() as connection:
        queue = connection.SimpleQueue(app.main)
        messages = [queue.get_nowait() for _ in range(queue.qsize())]
        for message in messages:
            message.ack()
        queue.close()
    return messages[-1].headers.get(HEADER)


WAYS: dict[str, Callable[[Celery], Any]] = {
    "delay": lambda app: app.tasks["report"].delay(),
    "apply_async": lambda app: app.tasks["report"].apply_async(countdown=1),
    "send_task": lambda app: app.send_task("report"),
    "a reply elsewhere": lambda app: app.send_task("report", reply_to="elsewhere"),
    "a signature by name": lambda app: app.signature("report").apply_async(),
    "a chain": lambda app: chain(app.tasks["report"].si(), app.tasks["report"].si())(),
    "a group": lambda app: group([app.tasks["report"].si()], app=app)(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("lazy", [False, True])
def test_a_message_says_when_it_was_published(make_app: MakeApp, way: str, lazy: bool) -> None:
    app = make_app(lazy=lazy)

    WAYS[way](app)

    assert published(app)["first_published"] == NOW


def test_a_task_without_a_bucket_gets_no_header(make_app: MakeApp) -> None:
    make_app()
    app = make_app(lock=Lock("report:{beat[due]}"))

    app.send_task("report")

    assert published(app) is None


def test_a_task_of_another_app_with_the_same_name_gets_no_header(make_app: MakeApp) -> None:
    make_app()
    other = make_app(lock=None)

    other.send_task("report")

    assert published(other) is None


def test_each_app_has_its_own_clock(make_app: MakeApp) -> None:
    one, two = make_app(now=1.0), make_app(now=2.0)

    two.send_task("report")
    one.send_task("report")

    assert [published(app)["first_published"] for app in (one, two)] == [1.0, 2.0]


def test_a_time_that_is_there_already_is_kept(make_app: MakeApp) -> None:
    app = make_app()
    sent = {"v": 1, "first_published": 5.0, "publication": "p", "retries": 0, "nesting": 0}

    app.send_task("report", headers={HEADER: sent})

    assert published(app) == sent


def test_a_retry_keeps_the_time_of_the_first_run(make_app: MakeApp) -> None:
    app = make_app()
    sent = {"v": 1, "first_published": 5.0, "retries": 0, "nesting": 0}

    app.send_task("report", headers={HEADER: sent}, retries=2)

    assert published(app) == sent


def test_a_replacement_is_published_when_it_is(make_app: MakeApp) -> None:
    app = make_app()
    sent = {"v": 1, "first_published": 5.0, "retries": 0, "nesting": 0}

    app.send_task("report", headers={HEADER: sent}, replaced_task_nesting=1)

    assert (published(app)["first_published"], sent["first_published"]) == (NOW, 5.0)


def test_other_fields_of_a_header_are_kept(make_app: MakeApp) -> None:
    app = make_app()

    app.send_task("report", headers={HEADER: {"v": 1, "theirs": [1]}})

    header = published(app)
    assert (header["theirs"], header["first_published"]) == ([1], NOW)


def test_a_message_with_a_key_is_left_alone(make_app: MakeApp) -> None:
    app = make_app()

    app.send_task("report", headers={HEADER: {"v": 1, "key": "report"}})

    assert published(app) == {"v": 1, "key": "report"}


def test_a_header_that_is_none_is_left_to_the_worker(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()

    app.send_task("report", headers={HEADER: "report"})

    assert published(app) == "report"
    assert caplog.records == []


def test_the_headers_that_a_caller_gave_are_not_changed(make_app: MakeApp) -> None:
    app, given = make_app(), {HEADER: {"v": 1}}

    app.send_task("report", headers=given)

    assert given == {HEADER: {"v": 1}}


def test_an_app_that_must_not_finalize_by_itself_is_left_alone(make_app: MakeApp) -> None:
    make_app()
    app = Celery(uuid.uuid4().hex, broker="memory://", set_as_current=False, autofinalize=False)
    app.conf.task_default_queue = app.main

    with app:
        app.send_task("report")
        assert published(app) is None


def test_the_receiver_is_there_once_however_many_tasks_and_apps(make_app: MakeApp) -> None:
    make_app()
    count = len(signals.before_task_publish.receivers)

    make_app()

    assert len(signals.before_task_publish.receivers) == count


def test_an_app_is_not_kept_alive(make_app: MakeApp) -> None:
    app: Any = Celery(uuid.uuid4().hex, broker="memory://", set_as_current=False)
    app.task(report, name="report", base=LockedTask, lock=TIMED, shared=False, lazy=False)
    gone = weakref.ref(app)

    app.close()
    del app
    gc.collect()

    assert gone() is None


PLAIN = """
from celery import Celery, signals
from celery_lock import Lock, LockedTask
app = Celery("plain", broker="memory://")
@app.task(base=LockedTask, lock=Lock("report:{kind}"))
def report(kind): ...
app.finalize()
print(len(signals.before_task_publish.receivers))
Lock("report:{bucket:1h}")
print(len(signals.before_task_publish.receivers))
"""


def test_nothing_is_done_at_publication_where_no_bucket_is_declared() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PLAIN], capture_output=True, text=True, env={**os.environ}
    )

    assert (done.stdout.split(), done.stderr) == (["0", "1"], "")
