"""Our header in a message that is published: its name and time, what is kept, what is taken out."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import uuid
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from celery import Celery, chain, group, signals
from celery._state import _task_stack  # type: ignore[attr-defined]  # not in the stubs
from celery.local import PromiseProxy

from celery_lock import Lock, LockedTask
from celery_lock.app import stamping
from celery_lock.app.locks import locks_of
from celery_lock.message import HEADER, named, tick_header
from celery_lock.testing import memory_locks

NOW = 1_795_444_625.5
TIMED = Lock("report:{bucket:1h}")
PLAIN = Lock("report")
# no other test has it: where a message does not tell its app, each app that lives may be the one
NAME = "stamping.report"
NONCE = re.compile(r"[A-Za-z0-9_-]{12}")


def report() -> None: ...


MakeApp = Callable[..., Celery]


@pytest.fixture(autouse=True)
def _a_process_that_has_bound_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamping, "_locked", set())


@pytest.fixture
def make_app() -> Iterator[MakeApp]:
    made: list[Celery] = []

    def make(*, now: float = NOW, lock: Lock | None = TIMED, lazy: bool = False) -> Celery:
        app = Celery(uuid.uuid4().hex, broker="memory://", set_as_current=False)
        app.conf.task_default_queue = app.main
        app.task(report, name=NAME, base=LockedTask, lock=lock, shared=False, lazy=lazy)
        locks_of(app).now = lambda: now
        made.append(app)
        return app

    yield make
    for app in made:
        app.close()


def messages_of(app: Celery) -> list[Any]:
    """The messages that were published, oldest first."""
    with app.connection_for_read() as connection:
        queue = connection.SimpleQueue(app.main)
        messages = [queue.get_nowait() for _ in range(queue.qsize())]
        for message in messages:
            message.ack()
        queue.close()
    return messages


def published(app: Celery) -> Any:
    """Our header of the message that was published last; `None`: it has none."""
    return messages_of(app)[-1].headers.get(HEADER)


WAYS: dict[str, Callable[[Celery], Any]] = {
    "delay": lambda app: app.tasks[NAME].delay(),
    "apply_async": lambda app: app.tasks[NAME].apply_async(countdown=1),
    "send_task": lambda app: app.send_task(NAME),
    "a reply elsewhere": lambda app: app.send_task(NAME, reply_to="elsewhere"),
    "a signature by name": lambda app: app.signature(NAME).apply_async(),
    "a chain": lambda app: chain(app.tasks[NAME].si(), app.tasks[NAME].si())(),
    "a group": lambda app: group([app.tasks[NAME].si()], app=app)(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("lazy", [False, True])
def test_a_message_says_when_it_was_published(make_app: MakeApp, way: str, lazy: bool) -> None:
    app = make_app(lazy=lazy)

    WAYS[way](app)

    assert published(app)["first_published"] == NOW


def test_other_apps_with_a_wrong_lock_keep_no_name_from_a_message(make_app: MakeApp) -> None:
    others = [Celery(uuid.uuid4().hex, set_as_current=False) for _ in range(8)]  # in any order
    for other in others:
        other.task(report, name=NAME, base=LockedTask, lock=Lock("{nobody}"), shared=False)
    app = make_app()

    WAYS["a reply elsewhere"](app)

    assert published(app)["first_published"] == NOW
    for other in others:
        other.close()


def test_other_apps_that_cannot_be_finalized_keep_no_name_from_a_message(
    make_app: MakeApp,
) -> None:
    others = [Celery(uuid.uuid4().hex, set_as_current=False) for _ in range(8)]  # in any order
    for other in others:
        other._pending.append(PromiseProxy(lambda: 1 / 0))
    app = make_app()

    WAYS["a reply elsewhere"](app)

    assert published(app)["first_published"] == NOW
    for other in others:
        other._pending.clear()
        other.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("lazy", [False, True])
def test_a_message_of_a_locked_task_has_a_name_of_its_own(
    make_app: MakeApp, way: str, lazy: bool
) -> None:
    app = make_app(lock=PLAIN, lazy=lazy)

    for _ in range(2):
        WAYS[way](app)

    messages = messages_of(app)
    headers = [each.headers[HEADER] for each in messages]
    assert [header["id"] for header in headers] == [each.headers["id"] for each in messages]
    assert len({header["publication"] for header in headers}) == 2
    assert all(NONCE.fullmatch(header["publication"]) for header in headers)
    assert all(set(header) == {"v", "id", "publication"} for header in headers)


def test_two_messages_with_one_preset_id_have_two_names(make_app: MakeApp) -> None:
    app = make_app(lock=PLAIN)

    for _ in range(2):
        app.send_task(NAME, task_id="nightly")

    assert len({each.headers[HEADER]["publication"] for each in messages_of(app)}) == 2


def test_a_chain_names_each_of_its_messages(make_app: MakeApp) -> None:
    app = make_app(lock=PLAIN)
    step = chain(app.tasks[NAME].si(), app.tasks[NAME].si())

    step()

    (message,) = messages_of(app)
    (following,) = message.payload[2]["chain"]
    assert message.headers[HEADER]["id"] == message.headers["id"] != following["options"]["task_id"]
    assert HEADER not in following["options"].get("headers", {})


FORKING = """
import ctypes, os, random
from celery_lock.message import new_publication
random.seed(1)
pid = ctypes.PyDLL(None).fork()
os.write(1, new_publication().encode() + b" ")  # in one piece: the other one writes as well
if pid == 0:
    os._exit(0)
os.waitpid(pid, 0)
"""
"""Forks without Python, which nobody is told of. A process of its own, without threads: a child
that was forked beside one that waits for the interpreter may wait for that thread for ever."""


def test_a_forked_child_names_messages_otherwise() -> None:
    forking = subprocess.run(
        [sys.executable, "-c", FORKING], capture_output=True, text=True, check=True
    )

    assert len(set(forking.stdout.split())) == 2


def test_a_name_that_was_handed_over_is_for_one_message_alone(make_app: MakeApp) -> None:
    app = make_app(lock=PLAIN)

    with named("mine"):
        app.send_task(NAME)
        app.send_task(NAME)

    names = [each.headers[HEADER]["publication"] for each in messages_of(app)]
    assert names[0] == "mine"
    assert NONCE.fullmatch(names[1])


def test_a_name_that_was_handed_over_for_a_task_passes_others_by(make_app: MakeApp) -> None:
    """A receiver of the signal may publish a message of its own in between."""
    app = make_app(lock=PLAIN)

    with named("mine", "id-1"):
        with named("inner"):
            app.send_task(NAME, task_id="id-0")
        app.send_task(NAME, task_id="id-2")
        app.send_task(NAME, task_id="id-1")
    app.send_task(NAME, task_id="id-1")

    names = [each.headers[HEADER]["publication"] for each in messages_of(app)]
    assert (names[0], names[2]) == ("inner", "mine")
    assert NONCE.fullmatch(names[1])
    assert NONCE.fullmatch(names[3])


@pytest.mark.parametrize("way", [named, lambda *_: nullcontext()], ids=["handed over", "alone"])
def test_a_tick_keeps_the_name_that_every_beat_gives_it(make_app: MakeApp, way: Any) -> None:
    app = make_app(lock=PLAIN)
    header = tick_header("shop", "nightly", 1_795_442_400.0)

    with way(header["publication"], "id-1"):
        app.send_task(NAME, task_id="id-1", headers={HEADER: header})

    found = published(app)
    assert found == {
        "v": 1,
        "id": "id-1",
        **{name: header[name] for name in ("publication", "beat", "first_published")},
    }


def test_a_task_without_a_lock_gets_no_header(make_app: MakeApp) -> None:
    make_app()
    app = make_app(lock=None)

    app.send_task(NAME)
    app.send_task("nobody knows it")

    assert [HEADER in each.headers for each in messages_of(app)] == [False, False]


def test_a_task_of_another_app_with_the_same_name_gets_no_header(make_app: MakeApp) -> None:
    make_app()
    other = make_app(lock=None)

    other.send_task(NAME)

    assert published(other) is None


def test_each_app_has_its_own_clock(make_app: MakeApp) -> None:
    one, two = make_app(now=1.0), make_app(now=2.0)

    two.send_task(NAME)
    one.send_task(NAME)

    assert [published(app)["first_published"] for app in (one, two)] == [1.0, 2.0]


SENT = {"v": 1, "id": "id-1", "publication": "p", "first_published": 5.0}
GIVEN = {**SENT, "key": "order:7", "given": True}
COUNTED = {"attempt": 3, "first_conflict": 4.0, "turns": 1, "outages": 2, "deliveries": 5}


@contextmanager
def running(app: Celery) -> Iterator[None]:
    """The task runs, and its message had the header that was given."""
    task = app.tasks[NAME]
    task.push_request(id="id-1", **{HEADER: GIVEN})
    _task_stack.push(task)
    try:
        yield
    finally:
        _task_stack.pop()
        task.pop_request()


@pytest.mark.parametrize(
    "again", [{}, {"retries": 2}, {"replaced_task_nesting": 1}], ids=["new", "retry", "replaced"]
)
@pytest.mark.parametrize("inner", [False, True], ids=["", "inner headers"])
def test_a_task_that_is_published_anew_keeps_what_is_its_own(
    make_app: MakeApp, again: dict[str, Any], inner: bool
) -> None:
    """Celery copies headers into a retry, and a receiver of the user's into anything."""
    app = make_app()
    written = {**GIVEN, **COUNTED, "theirs": [1]}
    headers = {"headers": {"x": 1, HEADER: written}} if inner else {HEADER: written}

    app.send_task(NAME, task_id="id-1", headers=headers, **again)

    (message,) = messages_of(app)
    found = dict(message.headers[HEADER])
    assert NONCE.fullmatch(found.pop("publication"))
    counts = {
        "retries": again.get("retries", 0),
        "nesting": again.get("replaced_task_nesting", 0),
    }
    kept = {name: GIVEN[name] for name in ("v", "id", "key", "given", "first_published")}
    assert found == {**kept, "theirs": [1], **{n: count for n, count in counts.items() if count}}
    if inner:
        assert message.headers["headers"] == {"x": 1, HEADER: message.headers[HEADER]}
    assert written["publication"] == "p"


@pytest.mark.parametrize("again", [{}, {"retries": 2}, {"replaced_task_nesting": 1}])
def test_what_is_published_anew_keeps_the_time_of_its_first_message(
    make_app: MakeApp, again: dict[str, Any]
) -> None:
    app = make_app()

    app.send_task(NAME, task_id="id-1", headers={HEADER: SENT}, **again)

    assert published(app)["first_published"] == SENT["first_published"]


@pytest.mark.parametrize("again", [{"retries": 1}, {"replaced_task_nesting": 1}])
@pytest.mark.parametrize("id", ["id-1", "id-2"])
def test_a_run_that_publishes_itself_anew_says_what_it_was_told(
    make_app: MakeApp, again: dict[str, Any], id: str
) -> None:
    """Celery copies no header into a replacement, and none where a body gives headers itself."""
    app = make_app()
    with running(app):
        app.send_task(NAME, task_id=id, headers={"trace": "new"}, **again)

    header = published(app)
    assert (header.get("key"), header["first_published"]) == (
        ("order:7", 5.0) if id == "id-1" else (None, NOW)
    )
    assert header["publication"] != "p"


@pytest.mark.parametrize("said", [{"key": "order:8"}, {"keys": ["order:8", "order:9"]}])
def test_a_run_that_publishes_itself_anew_may_say_another_key(
    make_app: MakeApp, said: dict[str, Any]
) -> None:
    app = make_app()
    headers = {HEADER: {"v": 1, **said}}
    with running(app):
        app.send_task(NAME, task_id="id-1", headers=headers, replaced_task_nesting=1)

    header = published(app)
    assert {name: header[name] for name in ("key", "keys") if name in header} == said


@pytest.mark.parametrize("lock", [TIMED, PLAIN, None], ids=["timed", "locked", "not locked"])
@pytest.mark.parametrize("protocol", [1, 2])
def test_the_header_of_another_task_is_taken_out(
    make_app: MakeApp, lock: Lock | None, protocol: int
) -> None:
    app = make_app(lock=lock)
    app.conf.task_protocol = protocol
    headers = {HEADER: {**GIVEN, **COUNTED}, "headers": {"x": 1, HEADER: GIVEN}, "trace": "t"}

    app.send_task(NAME, task_id="id-2", headers=headers)

    (message,) = messages_of(app)
    assert message.headers["trace"] == "t"
    if lock is None:
        assert HEADER not in message.headers
        assert message.headers["headers"] == {"x": 1}
    else:
        found = dict(message.headers[HEADER])
        assert NONCE.fullmatch(found.pop("publication"))
        assert found == {
            "v": 1,
            "id": "id-2",
            **({"first_published": NOW} if lock is TIMED else {}),
        }
        assert message.headers["headers"] == {"x": 1, HEADER: message.headers[HEADER]}


@pytest.mark.parametrize("write", ["update", "setdefault"])
@pytest.mark.parametrize("first", [False, True], ids=["at last", "before the task is bound"])
def test_receivers_that_carry_headers_over_do_no_harm(
    make_app: MakeApp, write: str, first: bool
) -> None:
    def carry(headers: Any = None, **_: Any) -> None:
        for name, value in {HEADER: {**GIVEN, **COUNTED}, "trace": "t"}.items():
            headers.update({name: value}) if write == "update" else headers.setdefault(name, value)

    if first:
        signals.before_task_publish.connect(carry)
        assert signals.before_task_publish.receivers[-1][1] is not stamping._stamp
    app = make_app(lazy=False)
    signals.before_task_publish.connect(carry)
    try:
        if not first:
            app.send_task("unknown")  # whoever comes after us, is seen by then
        app.send_task(NAME, task_id="id-2")

        message = messages_of(app)[-1]
        assert message.headers["trace"] == "t"
        assert (message.headers[HEADER]["id"], "key" in message.headers[HEADER]) == ("id-2", False)
        assert message.headers[HEADER]["first_published"] == NOW
    finally:
        signals.before_task_publish.disconnect(carry)


def test_who_comes_late_writes_over_nothing_that_a_body_sends(make_app: MakeApp) -> None:
    """A pool process may connect receivers as it begins, when all tasks are bound."""
    app = make_app(lock=PLAIN)

    def carry(headers: Any = None, **_: Any) -> None:
        headers[HEADER] = GIVEN

    def sends() -> None:
        app.send_task(NAME, task_id="id-2")

    parent = app.task(sends, name="parent", base=LockedTask, lock=Lock("k"), shared=False)
    with memory_locks(app):
        parent.apply().get()
        signals.before_task_publish.connect(carry)
        try:
            parent.apply().get()
        finally:
            signals.before_task_publish.disconnect(carry)

    assert [each.headers[HEADER]["id"] for each in messages_of(app)] == ["id-2"] * 2


def test_a_receiver_of_the_user_sees_no_message_twice(make_app: MakeApp) -> None:
    seen: list[str] = []

    def look(sender: Any = None, **_: Any) -> None:
        seen.append(str(sender))

    signals.before_task_publish.connect(look)
    try:
        app = make_app()
        for _ in range(3):
            app.send_task(NAME)
    finally:
        signals.before_task_publish.disconnect(look)

    assert seen == [NAME] * 3


def test_other_fields_of_a_header_are_kept(make_app: MakeApp) -> None:
    app = make_app()

    app.send_task(NAME, headers={HEADER: {"v": 1, "theirs": [1]}})

    header = published(app)
    assert (header["theirs"], header["first_published"]) == ([1], NOW)


def test_a_key_that_the_sender_names_is_said_to_be_given(make_app: MakeApp) -> None:
    app = make_app()

    app.send_task(NAME, task_id="id-1", headers={HEADER: {"v": 1, "key": "report"}})

    header = published(app)
    assert (header["key"], header["given"], header["id"]) == ("report", True, "id-1")
    assert "first_published" not in header  # a given key shows no time


def test_a_header_that_is_none_is_left_to_the_worker(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()

    for header in ("report", {"v": 2}, {"v": 1, "kye": "k"}, 5):
        app.send_task(NAME, headers={HEADER: header})
        assert published(app) == header
    app.send_task(NAME, headers={"headers": 5})
    assert published(app)["v"] == 1

    assert caplog.records == []


def test_the_headers_that_a_caller_gave_are_not_changed(make_app: MakeApp) -> None:
    app, given = make_app(), {HEADER: {"v": 1}}

    app.send_task(NAME, headers=given)

    assert given == {HEADER: {"v": 1}}


def test_an_app_that_must_not_finalize_by_itself_is_left_alone(make_app: MakeApp) -> None:
    make_app()
    app = Celery(uuid.uuid4().hex, broker="memory://", set_as_current=False, autofinalize=False)
    app.conf.task_default_queue = app.main

    with app:
        app.send_task(NAME)
        assert published(app) is None


def test_the_receiver_is_there_once_however_many_tasks_and_apps(make_app: MakeApp) -> None:
    make_app()
    count = len(signals.before_task_publish.receivers)

    make_app()

    assert len(signals.before_task_publish.receivers) == count


def test_an_app_is_not_kept_alive(make_app: MakeApp) -> None:
    app: Any = Celery(uuid.uuid4().hex, broker="memory://", set_as_current=False)
    app.task(report, name=NAME, base=LockedTask, lock=TIMED, shared=False, lazy=False)
    gone = weakref.ref(app)

    app.close()
    del app
    gc.collect()

    assert gone() is None


PROGRAM = """
from celery import Celery, signals
from celery_lock import Lock, LockedTask
app = Celery("plain", broker="memory://")
@app.task(base=LockedTask, lock=Lock("report:{kind}"))
def report(kind): ...
app.finalize()
print(len(signals.before_task_publish.receivers))
"""


def test_one_receiver_is_there_in_a_process_that_has_just_begun() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env={**os.environ}
    )

    assert (done.stdout.split(), done.stderr) == (["1"], "")
