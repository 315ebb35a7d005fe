"""The main process frees what is kept for a message that ends without a run in its pool."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, ClassVar
from weakref import WeakSet

import pytest
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery import signals
from celery.app.task import Context
from celery.concurrency import prefork, solo
from celery.exceptions import Ignore, InvalidTaskError, Reject, Retry
from celery.worker import control, state

from celery_lock import Lock
from celery_lock.app import notes
from celery_lock.app.revoking import hear_revoked
from celery_lock.app.unreadable import hear_unreadable
from celery_lock.app.worker import WorkerStep
from celery_lock.engine import locker
from celery_lock.events import Released
from celery_lock.message import HEADER, Given
from celery_lock.model import Claim, Held, Holder
from celery_lock.task import request as module
from celery_lock.task.request import LockedRequestMixin

from .engine import Engine, arrived, locked
from .published import drop_what_goes_back, holder_of, published, queued

CHILD, KEY, PLACE = 4711, "k", "k%queued"
DECODE = InvalidTaskError("the body cannot be read")
DEATHS = [WorkerLostError("gone"), Terminated(9), TimeLimitExceeded(2), SystemExit(1)]
LOCKS = {
    "started": Lock("k", scope="until_started"),
    "finished": Lock("k", scope="until_finished"),
    "running": Lock("k"),
    "none": None,
}


class Base:
    """Celery's request, as far as ours asks it."""

    is_revoked = False
    acknowledged = False
    _already_cancelled = False
    _already_revoked = False

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, **_: Any) -> None:
        if isinstance(exc_info.exception, Ignore):
            self.acknowledge()

    def acknowledge(self) -> None:
        self.acknowledged = True

    def revoked(self) -> bool:
        return self.is_revoked


class Request(LockedRequestMixin, Base):
    """A request in the main process."""

    def __init__(self, task: Any, **said: Any) -> None:
        self.task, self.app = task, task.app
        self.id, self.hostname, self.worker_pid = "id-1", "w1@host", CHILD
        self.args, self.kwargs = [], {}
        self.request_dict = {"id": "id-1", "properties": Given({}, arrived()), **said}
        self._context = Context(id="id-1", **said)
        self.stamps: dict[str, Any] = {}
        self.stamped_headers: list[str] = []


@pytest.fixture(autouse=True)
def gone(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Whether the child is gone, which has noted nothing."""
    is_gone = {"gone": True}
    monkeypatch.setattr(module, "_is_gone", lambda pid: pid == CHILD and is_gone["gone"])
    monkeypatch.setattr(notes, "claims_of", lambda pid: [])
    monkeypatch.setattr(locker, "PATIENCE", 0)
    return is_gone


def body() -> None:
    """Do nothing."""


def a_request(
    engine: Engine,
    *names: str,
    lock: str = "finished",
    pool: type = prefork.TaskPool,
    retries: int = 0,
    options: Any = None,
    **said: Any,
) -> Request:
    """A request whose message names what its publisher has taken under these names."""
    app = engine.app()
    WorkerStep(SimpleNamespace(app=app, pool_cls=pool))
    task = locked(app, LOCKS[lock], name="t", **(options or {}))(body)
    said = {"delivery_info": {}, **published(engine, *names, retry_no=retries), **said}
    return Request(task, retries=retries, **said)


class Consumer:
    """Celery's, as far as ours asks it."""

    def __init__(self, app: Any) -> None:
        self.app = app


def failed(error: BaseException) -> Any:
    return SimpleNamespace(exception=error)


def after(engine: Engine, *names: str) -> list[str | None]:
    engine.pending.make_due()
    return [holder_of(engine, name) for name in names]


# -- it died before it adopted ---------------------------------------------------------------


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("error", DEATHS, ids=repr)
def test_a_child_that_died_before_it_adopted_leaves_nothing_taken(
    engine: Engine, error: BaseException, lock: str
) -> None:
    request = a_request(engine, KEY, PLACE, lock=lock)

    request.on_failure(failed(error))

    assert after(engine, KEY, PLACE) == [None, None]
    told = engine.told(Released)
    assert [(fact.key, fact.holder, fact.task) for fact in told] == [
        (KEY, queued(), "t"),
        (PLACE, queued(), "t"),
    ]


def test_it_is_freed_for_the_retry_that_it_was_kept_for(engine: Engine) -> None:
    request = a_request(engine, KEY, retries=3)

    request.on_failure(failed(WorkerLostError()))

    assert after(engine, KEY) == [None]


@pytest.mark.parametrize("lost", [Terminated(9), WorkerLostError()], ids=repr)
def test_not_before_the_child_is_gone(
    engine: Engine, lost: BaseException, gone: dict[str, bool]
) -> None:
    """It could adopt it still, and run."""
    request = a_request(engine, KEY)
    gone["gone"] = False

    request.on_failure(failed(lost))

    assert after(engine, KEY) == [queued()]
    gone["gone"] = True
    engine.move(1)
    assert after(engine, KEY) == [None]


@pytest.mark.parametrize("error", DEATHS, ids=repr)
def test_what_has_adopted_it_meanwhile_keeps_it(engine: Engine, error: BaseException) -> None:
    request = a_request(engine, KEY)
    run = str(Holder("id-1", "w2", 12, "copy.1"))
    assert not isinstance(engine.store.acquire(Claim(KEY, run, 30, heir_of=queued())), Held)

    request.on_failure(failed(error))

    assert after(engine, KEY) == [run]


LATE = {"acks_late": True}
GIVEN_OUT_AGAIN: list[tuple[BaseException, dict[str, Any]]] = [
    (WorkerLostError(), {"reject_on_worker_lost": True}),
    (SystemExit(1), {"reject_on_worker_lost": True}),
    (TimeLimitExceeded(2), {"acks_on_failure_or_timeout": False, "acks_on_timeout": False}),
    (MemoryError(), {}),
    (Reject("later", requeue=True), {}),
]
ENDED: list[tuple[BaseException, dict[str, Any]]] = [
    (WorkerLostError(), {}),
    (SystemExit(1), {}),
    (TimeLimitExceeded(2), {}),
    (Terminated(15), {"reject_on_worker_lost": True}),
    (WorkerLostError(), {"reject_on_worker_lost": True, "retry_on_worker_lost": True}),
    (WorkerLostError(), {"acks_on_failure_or_timeout": False, "acks_on_failure": False}),
    (Reject("no more"), {}),
    (DECODE, {}),
    (Retry("later"), {}),
]


@pytest.mark.parametrize(("error", "options"), GIVEN_OUT_AGAIN, ids=repr)
def test_a_message_that_goes_back_to_its_queue_keeps_it(
    engine: Engine, error: BaseException, options: dict[str, Any]
) -> None:
    request = a_request(engine, KEY, PLACE, options={**LATE, **options})

    request.on_failure(failed(error))

    assert after(engine, KEY, PLACE) == [queued(), queued()]


@pytest.mark.parametrize(("error", "options"), GIVEN_OUT_AGAIN, ids=repr)
def test_a_message_that_its_queue_gives_out_no_more_keeps_nothing(
    engine: Engine, error: BaseException, options: dict[str, Any]
) -> None:
    request = a_request(engine, KEY, PLACE, options={**LATE, **options})
    drop_what_goes_back(request.app)

    request.on_failure(failed(error))

    assert after(engine, KEY, PLACE) == [None, None]


@pytest.mark.parametrize(("error", "options"), ENDED, ids=repr)
def test_a_message_that_is_acknowledged_late_and_has_ended_keeps_nothing(
    engine: Engine, error: BaseException, options: dict[str, Any]
) -> None:
    request = a_request(engine, KEY, PLACE, options={**LATE, **options})

    request.on_failure(failed(error))

    assert after(engine, KEY, PLACE) == [None, None]


@pytest.mark.parametrize(("error", "options"), GIVEN_OUT_AGAIN, ids=repr)
def test_a_message_that_was_acknowledged_early_never_goes_back(
    engine: Engine, error: BaseException, options: dict[str, Any]
) -> None:
    request = a_request(engine, KEY, options=options)

    request.on_failure(failed(error))

    assert after(engine, KEY) == [None]


@pytest.mark.parametrize("said", ["cancelled", "stopped"])
def test_a_worker_that_stops_leaves_the_lease_to_the_next_delivery(
    engine: Engine, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = a_request(engine, KEY, options=LATE)
    request._already_cancelled = said == "cancelled"
    monkeypatch.setattr(state, "should_terminate", 0 if said == "stopped" else None)

    request.on_failure(failed(Terminated(15)))

    assert after(engine, KEY) == [queued()]


def test_what_was_acknowledged_early_does_not_come_back_after_a_stop(engine: Engine) -> None:
    request = a_request(engine, KEY)
    request._already_cancelled = True

    request.on_failure(failed(Terminated(15)))

    assert after(engine, KEY) == [None]


@pytest.mark.parametrize("traced", [True, False])
def test_what_may_have_been_sent_again_keeps_it(engine: Engine, traced: bool) -> None:
    request = a_request(engine, KEY, lock="running")

    request.on_failure(failed(Ignore()), return_ok=traced)

    assert after(engine, KEY) == [queued()]


@pytest.mark.parametrize(
    ("lock", "kept"), [("finished", queued()), ("none", queued()), ("running", None)]
)
def test_a_run_that_was_traced_to_its_end_has_settled_by_itself(
    engine: Engine, lock: str, kept: str | None
) -> None:
    """Where its process watches for that: another message of the same id may be on its way."""
    request = a_request(engine, KEY, lock=lock)

    request.on_failure(failed(ValueError()), return_ok=True)

    assert after(engine, KEY) == [kept]


def test_in_a_pool_of_this_process_nobody_is_waited_for(
    engine: Engine, gone: dict[str, bool]
) -> None:
    gone["gone"] = False
    request = a_request(engine, KEY, pool=solo.TaskPool)

    request.on_failure(failed(DECODE))

    assert after(engine, KEY) == [None]


def test_a_retry_that_died_before_it_took_its_key_over_leaves_nothing_taken(
    engine: Engine,
) -> None:
    """Its lock holds across retries, and the try before it has left the key to it."""
    headers = published(engine, KEY, "another", retry_no=1)
    written = {"v": 1, "id": "id-1", "retries": 1, "nesting": 0, "all_kept": [KEY, "another"]}
    request = a_request(engine, lock="running", retries=1, **{**headers, HEADER: written})

    request.on_failure(failed(WorkerLostError()))

    assert after(engine, KEY, "another") == [None, None]


# -- revoked, expired ------------------------------------------------------------------------


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("terminated", [True, False])
def test_a_message_that_is_revoked_or_has_expired_keeps_nothing(
    engine: Engine, lock: str, terminated: bool
) -> None:
    request = a_request(engine, KEY, PLACE, lock=lock)

    signals.task_revoked.send(
        request.task, request=request._context, terminated=terminated, signum=None, expired=False
    )

    assert after(engine, KEY, PLACE) == [None, None]


@pytest.mark.parametrize(("redelivered", "left"), [(True, None), (False, queued())])
def test_a_message_that_came_back_and_is_revoked_keeps_nothing(
    engine: Engine, redelivered: bool, left: str | None
) -> None:
    """Its worker took the key, and gave the message back: the message itself says nothing."""
    published(engine, KEY)
    request = a_request(engine, delivery_info={"redelivered": redelivered}, **{HEADER: {"v": 1}})
    request.is_revoked = True

    request.revoked()

    assert after(engine, KEY) == [left]


# -- revoked as it waits ---------------------------------------------------------------------


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The commands of a worker, which has no requests and has revoked nothing."""
    for name, value in {
        "requests": {},
        "scheduled_requests": WeakSet(),
        "reserved_requests": WeakSet(),
        "active_requests": WeakSet(),
        "revoked": set(),
        "revoked_stamps": {},
    }.items():
        monkeypatch.setattr(state, name, value, raising=False)  # scheduled ones since 5.7

    def revoke(_: Any, task_id: str) -> str:
        state.revoked.add(task_id)
        return "ok"

    def by_stamps(_: Any, headers: dict[str, Any]) -> str:
        state.revoked_stamps.update(headers)
        return "ok"

    def terminate(_: Any, signal: str, task_id: str) -> str:
        return revoke(_, task_id)  # Celery calls its own function, and not the command

    data = {"revoke": revoke, "revoke_by_stamped_headers": by_stamps, "ping": print}
    data["terminate"] = terminate
    monkeypatch.setattr(control.Panel, "data", data)
    for _ in range(2):  # it connects anew
        hear_revoked()
    assert data["ping"] is print
    return data


def waiting(engine: Engine, name: str, **stamps: Any) -> Request:
    """A request that waits for its eta."""
    request = a_request(engine, name)
    request.stamps, request.stamped_headers = stamps, list(stamps)
    state.requests[request.id] = request
    vars(state)["scheduled_requests"].add(request)
    return request


def test_a_message_that_is_revoked_as_it_waits_keeps_nothing(
    engine: Engine, commands: dict[str, Any]
) -> None:
    """Who asks for its result hears at once that it is revoked: a duplicate would never run."""
    waiting(engine, KEY)

    assert commands["revoke"](None, task_id="other") == "ok"
    assert after(engine, KEY) == [queued("id-1")]

    assert commands["revoke"](None, task_id="id-1") == "ok"
    assert after(engine, KEY) == [None]


def test_so_does_one_that_is_terminated_as_it_waits(
    engine: Engine, commands: dict[str, Any]
) -> None:
    waiting(engine, KEY)

    assert commands["terminate"](None, "TERM", task_id="id-1") == "ok"

    assert after(engine, KEY) == [None]


@pytest.mark.parametrize("stamp", ["acme", ["acme", "eu"]], ids=repr)
@pytest.mark.parametrize("revoked", ["acme", ["other", "acme"]], ids=repr)
def test_so_does_one_that_is_revoked_by_its_stamps(
    engine: Engine, commands: dict[str, Any], stamp: Any, revoked: Any
) -> None:
    waiting(engine, KEY, tenant=stamp)

    commands["revoke_by_stamped_headers"](None, headers={"tenant": "nobody"})
    commands["revoke_by_stamped_headers"](None, headers={"shop": revoked})
    assert after(engine, KEY) == [queued("id-1")]

    commands["revoke_by_stamped_headers"](None, headers={"tenant": revoked})
    assert after(engine, KEY) == [None]


def test_each_is_freed_once_however_many_commands_come_after(
    engine: Engine, commands: dict[str, Any]
) -> None:
    waiting(engine, KEY)
    commands["revoke"](None, task_id="id-1")
    assert after(engine, KEY) == [None]
    published(engine, KEY)

    commands["revoke"](None, task_id="other")

    assert after(engine, KEY) == [queued("id-1")]


def test_one_that_runs_keeps_its_key_as_it_is_revoked(
    engine: Engine, commands: dict[str, Any]
) -> None:
    state.active_requests.add(waiting(engine, KEY))

    commands["revoke"](None, task_id="id-1")

    assert after(engine, KEY) == [queued("id-1")]


def test_a_retry_that_came_before_its_first_run_ended_keeps_nothing(
    engine: Engine, commands: dict[str, Any]
) -> None:
    """Celery's list by id forgets it then, for the two have one id."""
    retry = waiting(engine, KEY)
    state.requests.pop(retry.id)

    commands["revoke"](None, task_id="id-1")

    assert after(engine, KEY) == [None]


def test_a_message_that_waits_for_a_process_of_the_pool_keeps_nothing(
    engine: Engine, commands: dict[str, Any]
) -> None:
    request = waiting(engine, KEY)
    vars(state)["scheduled_requests"].discard(request)
    state.reserved_requests.add(request)

    commands["revoke"](None, task_id="id-1")

    assert after(engine, KEY) == [None]


class Changing(WeakSet[Any]):
    """A set to which pool threads add while somebody goes through it."""

    def __iter__(self) -> Any:
        raise RuntimeError("Set changed size during iteration")


@pytest.mark.parametrize("name", ["scheduled_requests", "reserved_requests", "active_requests"])
def test_a_command_answers_while_pool_threads_begin_tasks(
    engine: Engine, commands: dict[str, Any], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(state, name, Changing(), raising=False)
    waiting(engine, KEY)

    assert commands["revoke"](None, task_id="id-1") == "ok"

    assert after(engine, KEY) == [None]


# -- unknown, unreadable ---------------------------------------------------------------------


def a_message(engine: Engine, *names: str, **said: Any) -> Any:
    headers = {"id": "id-1", "task": "gone", **published(engine, *names), **said}
    return SimpleNamespace(headers=headers)


@pytest.mark.parametrize(
    "signal", [signals.task_unknown, signals.task_rejected], ids=["unknown", "rejected"]
)
def test_a_message_of_an_unknown_task_or_form_keeps_nothing(engine: Engine, signal: Any) -> None:
    consumer = Consumer(engine.app())

    signal.send(consumer, message=a_message(engine, KEY, PLACE), exc=None, name="gone", id="id-1")

    assert after(engine, KEY, PLACE) == [None, None]
    assert {fact.task for fact in engine.told(Released)} == {"gone"}


def test_a_message_that_cannot_be_read_keeps_nothing(engine: Engine) -> None:
    """Celery acknowledges it, and sends no signal."""

    class Reads(Consumer):
        ended: ClassVar[list[Any]] = []

        def on_decode_error(self, message: Any, exc: Any) -> None:
            self.ended.append(message)

    consumer, message = Reads(engine.app()), a_message(engine, KEY, PLACE)
    for _ in range(2):  # it connects anew
        hear_unreadable(consumer)

    consumer.on_decode_error(message, ValueError())

    assert after(engine, KEY, PLACE) == [None, None]
    assert Reads.ended == [message]
    assert len(engine.told(Released)) == 2


@pytest.mark.parametrize(
    "headers",
    [None, [], {}, {HEADER: 5}, {HEADER: {"lease": {"names": ["k"]}}}, {"id": 5, HEADER: {"v": 9}}],
    ids=repr,
)
def test_a_message_of_any_form_breaks_no_worker(engine: Engine, headers: Any) -> None:
    consumer = Consumer(engine.app())

    signals.task_rejected.send(consumer, message=SimpleNamespace(headers=headers), exc=None)

    assert after(engine, KEY) == [None]


def test_a_worker_without_a_store_says_what_stays_taken(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    app = engine.app()
    message = a_message(engine, KEY)
    engine.uninstall(app)

    with caplog.at_level(logging.ERROR):
        signals.task_unknown.send(Consumer(app), message=message, exc=None, name="gone", id="id-1")

    assert "gone[id-1] could not be freed" in caplog.text


# -- deduplicated ----------------------------------------------------------------------------


def deduplicates(engine: Engine, *, redelivered: bool = True, on: bool = True) -> Request:
    request = a_request(engine, KEY, options=LATE, delivery_info={"redelivered": redelivered})
    request.app.conf.worker_deduplicate_successful_tasks = on
    return request


def test_a_message_that_celery_ends_as_done_before_keeps_nothing(engine: Engine) -> None:
    request = deduplicates(engine)

    request.acknowledge()

    assert request.acknowledged
    assert after(engine, KEY) == [None]


@pytest.mark.parametrize(("redelivered", "on"), [(False, True), (True, False)])
def test_a_run_that_was_successful_has_settled_by_itself(
    engine: Engine, redelivered: bool, on: bool
) -> None:
    request = deduplicates(engine, redelivered=redelivered, on=on)

    request.acknowledge()

    assert after(engine, KEY) == [queued()]


def test_what_was_sent_again_is_acknowledged_and_keeps_it(engine: Engine) -> None:
    request = deduplicates(engine)

    request.on_failure(failed(Ignore()), return_ok=True)

    assert request.acknowledged
    assert after(engine, KEY) == [queued()]
