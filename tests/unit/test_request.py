"""The main process frees the key of a child that died, and of a retry that will not run."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery import signals
from celery.app.task import Context
from celery.concurrency import prefork, solo
from celery.exceptions import Reject

from celery_lock import Lock, LockError, Scope
from celery_lock.app import notes
from celery_lock.app.notes import Noted
from celery_lock.app.worker import WorkerStep, acknowledges_last
from celery_lock.engine import locker
from celery_lock.events import Released
from celery_lock.message import HEADER, Given, Unsent
from celery_lock.message.rejections import rejections_of
from celery_lock.model import Claim, Held, Holder, Met
from celery_lock.task import request as module
from celery_lock.task.request import LockedRequestMixin

from .engine import Engine, arrived, deliver, locked

CHILD = 4711
NONCE = "Ab3_-91f"
THE_CHILDS = str(Holder("id-1", "w1@host", CHILD, f"{NONCE}.1"))
DEATHS = [WorkerLostError("gone"), Terminated(9), TimeLimitExceeded(2), SystemExit(1)]


class Base:
    """Celery's request, as far as ours asks it."""

    is_revoked = False
    _already_cancelled = False

    def __init__(self) -> None:
        self.done: list[str] = []

    def on_failure(self, exc_info: Any, send_failed_event: bool = True) -> str:
        self.done.append("Celery")
        return "as Celery says"

    def revoked(self) -> bool:
        return self.is_revoked


class Request(LockedRequestMixin, Base):
    """A request in the main process, whose child holds the key."""

    def __init__(self, task: Any, **said: Any) -> None:
        Base.__init__(self)
        self.task, self.app = task, task.app
        self.id, self.hostname, self.worker_pid = "id-1", "w1@host", CHILD
        self.args, self.kwargs = [7], {}
        self.request_dict = {"properties": Given({}, arrived()._replace(nonce=NONCE))}
        self._context = Context(**said)


def failed(error: BaseException) -> Any:
    return SimpleNamespace(exception=error)


@pytest.fixture(autouse=True)
def the_child_is_gone(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Whether it is, and nobody waits for the pending calls, which have no thread here."""
    gone = {"gone": True}
    monkeypatch.setattr(module, "_is_gone", lambda pid: pid == CHILD and gone["gone"])
    monkeypatch.setattr(locker, "PATIENCE", 0)
    return gone


@pytest.fixture(autouse=True)
def noted(monkeypatch: pytest.MonkeyPatch) -> list[Noted]:
    """What the child has noted before its death."""
    claims = [Noted("t", THE_CHILDS[:-1], ["k:7"], "tag-1")]
    monkeypatch.setattr(notes, "claims_of", lambda pid: claims if pid == CHILD else [])
    return claims


def a_request(
    engine: Engine, lock: Lock | None = None, pool: type = prefork.TaskPool, **said: Any
) -> Request:
    app = engine.app()
    WorkerStep(SimpleNamespace(app=app, pool_cls=pool))
    return Request(locked(app, lock or Lock("k:{user_id}"), name="t")(body), **said)


def body(user_id: int) -> None:
    """Do nothing."""


def hold(engine: Engine, holder: str, key: str = "k:7") -> None:
    assert not isinstance(engine.store.acquire(Claim(key, holder, 30.0)), Held)


def holder_of(engine: Engine, key: str = "k:7") -> str | None:
    held = engine.store.peek(key)
    return None if held is None else held.holder


@pytest.mark.parametrize("error", DEATHS, ids=repr)
def test_the_key_of_a_dead_child_is_freed_and_told(engine: Engine, error: BaseException) -> None:
    hold(engine, THE_CHILDS)
    request = a_request(engine)

    assert request.on_failure(failed(error)) == "as Celery says"
    engine.pending.make_due()

    assert holder_of(engine) is None
    (told,) = engine.told(Released)
    assert (told.key, told.holder, told.in_time) == ("k:7", THE_CHILDS, True)


@pytest.mark.parametrize(
    "other",
    [
        Holder("id-1", "w1@host", CHILD + 1, f"{NONCE}.1"),
        Holder("id-1", "w1@host", CHILD, "Zz_90bcd.1"),
    ],
    ids=["another process", "another container"],
)
def test_a_dead_child_frees_nothing_of_somebody_else(engine: Engine, other: Holder) -> None:
    """Two containers may have one node name, and equal pids."""
    hold(engine, str(other))

    a_request(engine).on_failure(failed(WorkerLostError()))
    engine.pending.make_due()

    assert holder_of(engine) == str(other)
    assert engine.told(Released) == []


def test_any_claim_of_the_dead_delivery_is_freed(engine: Engine) -> None:
    """The first was undone, say, and the second granted."""
    hold(engine, THE_CHILDS[:-1] + "2")

    a_request(engine).on_failure(failed(WorkerLostError()))
    engine.pending.make_due()

    assert holder_of(engine) is None


def test_the_key_is_the_one_that_the_child_took_and_no_other(
    engine: Engine, noted: list[Noted]
) -> None:
    """A key function may show what only the child knows."""
    noted[0] = noted[0]._replace(keys=["acme:7"])
    hold(engine, THE_CHILDS, "acme:7")
    hold(engine, THE_CHILDS, "k:7")

    a_request(engine, Lock(lambda user_id: 1 / 0)).on_failure(failed(WorkerLostError()))
    engine.pending.make_due()

    assert holder_of(engine, "acme:7") is None
    assert holder_of(engine, "k:7") == THE_CHILDS


def test_the_keys_that_the_body_had_by_apply_are_freed_too(
    engine: Engine, noted: list[Noted]
) -> None:
    inner = str(Holder("id-2", "here", CHILD, "x7.1"))
    noted.append(Noted("inner", inner[:-1], ["other"], ""))
    hold(engine, THE_CHILDS)
    hold(engine, inner, "other")

    a_request(engine).on_failure(failed(WorkerLostError()))
    engine.pending.make_due()

    assert (holder_of(engine), holder_of(engine, "other")) == (None, None)
    assert [fact.subject.task_id for fact in engine.told(Released)] == ["id-1", "id-2"]


def test_a_child_that_died_before_its_claim_has_noted_the_one_before(
    engine: Engine, noted: list[Noted], caplog: pytest.LogCaptureFixture
) -> None:
    noted[0] = noted[0]._replace(holder=str(Holder("id-0", "w1@host", CHILD, "Ab3_-91e.")))

    a_request(engine).on_failure(failed(WorkerLostError()))
    engine.pending.make_due()

    assert engine.store.calls == []
    assert caplog.text == ""


def cut_off(pid: int) -> list[Noted]:
    raise LockError("the process died as it noted its claim")


NOTHING_TO_READ: dict[str, Callable[[int], list[Noted]]] = {
    "a note that was cut off, or none": cut_off,
    "a key too long for its place": lambda pid: [Noted("t", THE_CHILDS[:-1], None, "")],
}


@pytest.mark.parametrize("case", NOTHING_TO_READ)
def test_what_no_note_tells_is_left_to_its_ttl_with_a_line_in_the_log(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    case: str,
) -> None:
    hold(engine, THE_CHILDS)
    monkeypatch.setattr(notes, "claims_of", NOTHING_TO_READ[case])

    assert a_request(engine).on_failure(failed(WorkerLostError())) == "as Celery says"
    engine.pending.make_due()

    assert holder_of(engine) == THE_CHILDS
    assert "it is free when its lease has run out" in caplog.text


def test_a_task_that_failed_by_itself_has_freed_its_key_itself(engine: Engine) -> None:
    a_request(engine).on_failure(failed(ValueError()))
    engine.pending.make_due()

    assert engine.store.calls == []


def test_a_child_that_is_still_alive_keeps_its_key_until_it_is_gone(
    engine: Engine, the_child_is_gone: dict[str, bool]
) -> None:
    the_child_is_gone["gone"] = False
    hold(engine, THE_CHILDS)
    a_request(engine).on_failure(failed(TimeLimitExceeded(2)))
    engine.move(1.2)
    assert holder_of(engine) == THE_CHILDS

    the_child_is_gone["gone"] = True
    engine.move(0.1)

    assert holder_of(engine) is None


class OwnSolo(solo.TaskPool):
    """A pool that somebody has made of Celery's."""


@pytest.mark.parametrize(
    ("pool", "last"), [(solo.TaskPool, True), (OwnSolo, True), (prefork.TaskPool, False)]
)
def test_a_worker_that_runs_bodies_itself_acknowledges_after_them(
    engine: Engine, pool: type, last: bool
) -> None:
    request = a_request(engine, pool=pool)

    assert acknowledges_last(request.app) is last


def test_in_a_pool_without_children_nobody_died(engine: Engine) -> None:
    """With gevent the number that Celery calls a pid is a greenlet's."""
    request = a_request(engine, pool=solo.TaskPool)
    hold(engine, THE_CHILDS)

    request.on_failure(failed(TimeLimitExceeded(2)))
    engine.pending.make_due()

    assert engine.store.calls == ["acquire"]


def test_a_child_that_died_before_it_was_told_of_has_no_key(engine: Engine) -> None:
    request = a_request(engine)
    request.worker_pid = None  # type: ignore[assignment]  # Celery's own name for "not yet"

    request.on_failure(failed(WorkerLostError()))
    engine.pending.make_due()

    assert engine.store.calls == []


def test_a_store_without_an_answer_is_asked_again(engine: Engine) -> None:
    hold(engine, THE_CHILDS)
    engine.store.refuse("free")
    a_request(engine).on_failure(failed(WorkerLostError()))
    engine.move(2)
    assert holder_of(engine) == THE_CHILDS
    assert engine.pending.unanswered

    engine.settle()

    assert holder_of(engine) is None
    assert not engine.pending.unanswered


def test_a_retry_whose_key_cannot_be_known_changes_nothing_for_celery(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    request = a_request(engine, Lock("k:{user_id}", scope=Scope.ACROSS_RETRIES), retries=2)
    request.args, request.is_revoked = [], True

    assert request.revoked() is True

    assert "it is free when its lease has run out" in caplog.text


# -- what a copy of the message meets --------------------------------------------------------


def met_by_a_copy(engine: Engine, key: str = "k:7") -> Any:
    got = engine.store.acquire(
        Claim(key, "copy#w2#1#n.1", 30.0, publication="tag-1", copy_since="")
    )
    return got.met if isinstance(got, Held) else None


LATE: dict[str, Any] = {"acks_late": True}
GIVEN_OUT_AGAIN = {**LATE, "reject_on_worker_lost": True}
RETRIED = {**LATE, "retry_on_worker_lost": True}
ENDINGS: list[tuple[BaseException, dict[str, Any], Met | None]] = [
    (WorkerLostError(), {}, Met.DONE),
    (WorkerLostError(), LATE, Met.DONE),
    (WorkerLostError(), GIVEN_OUT_AGAIN, None),
    (WorkerLostError(), RETRIED, None),
    (WorkerLostError(), {**LATE, "acks_on_failure_or_timeout": False}, None),
    (Terminated(9), {}, Met.DONE),
    (Terminated(9), LATE, Met.DONE),
    (Terminated(9), GIVEN_OUT_AGAIN, None),
    (TimeLimitExceeded(2), {}, Met.DONE),
    (TimeLimitExceeded(2), LATE, Met.DONE),
    (TimeLimitExceeded(2), {**LATE, "acks_on_failure_or_timeout": False}, None),
    (SystemExit(1), LATE, None),
    (KeyboardInterrupt(), LATE, None),
]


@pytest.mark.parametrize(("error", "options", "met"), ENDINGS, ids=repr)
def test_a_copy_is_dropped_where_celery_acknowledges_a_message_whose_child_died(
    engine: Engine, error: BaseException, options: dict[str, Any], met: Met | None
) -> None:
    hold(engine, THE_CHILDS)
    request = a_request(engine)
    for name in ("acks_on_failure", "acks_on_timeout"):  # filled by Celery 5.7 as it binds
        if "acks_on_failure_or_timeout" in options:
            setattr(request.task, name, options["acks_on_failure_or_timeout"])
    for name, value in options.items():
        setattr(request.task, name, value)

    request.on_failure(failed(error))
    engine.pending.make_due()

    assert met_by_a_copy(engine) is met


@pytest.mark.parametrize("options", [{}, LATE], ids=["early", "late"])
def test_what_a_child_was_sending_again_as_it_died_is_not_done(
    engine: Engine, noted: list[Noted], options: dict[str, Any]
) -> None:
    """The broker may have it, with an answer or without one."""
    noted[0] = noted[0]._replace(publication="")
    request = a_request(engine)
    for name, value in options.items():
        setattr(request.task, name, value)

    request.on_failure(failed(WorkerLostError()))
    engine.pending.make_due()

    assert met_by_a_copy(engine) is None
    assert engine.store.asked("complete") == []


def test_a_copy_runs_where_a_cancelled_message_goes_back_to_the_broker(engine: Engine) -> None:
    """The connection was lost, or the worker is on its way out."""
    hold(engine, THE_CHILDS)
    request = a_request(engine)
    request._already_cancelled = True

    request.on_failure(failed(Terminated(15)))
    engine.pending.make_due()

    assert met_by_a_copy(engine) is None


def test_the_completion_is_told_before_the_key_is_free(engine: Engine) -> None:
    """A copy that comes between the two waits for a key that is still held."""
    hold(engine, THE_CHILDS)
    engine.store.refuse("free")
    request = a_request(engine)

    request.on_failure(failed(WorkerLostError()))
    engine.pending.make_due()
    assert holder_of(engine) == THE_CHILDS
    engine.settle()

    assert met_by_a_copy(engine) is Met.DONE
    assert [call for call in engine.store.calls if call in ("complete", "free")][:2] == [
        "complete",
        "free",
    ]


# -- retries ---------------------------------------------------------------------------------


def test_a_retry_that_is_revoked_frees_the_key_that_was_kept_for_it(engine: Engine) -> None:
    hold(engine, str(Holder.for_retry("id-1", 2)))
    request = a_request(engine, Lock("k:{user_id}", scope=Scope.ACROSS_RETRIES), retries=2)
    assert request.revoked() is False
    engine.pending.make_due()
    assert holder_of(engine) == str(Holder.for_retry("id-1", 2))

    request.is_revoked = True
    assert request.revoked() is True
    engine.pending.make_due()

    assert holder_of(engine) is None


def test_a_retry_that_is_revoked_frees_the_key_that_it_carries(engine: Engine) -> None:
    """A key function may read what the main process does not know: a tenant, a context variable."""
    tenant, retries = ["acme"], []  # type: tuple[list[str], list[Any]]
    lock = Lock(lambda user_id: f"{tenant[0]}:{user_id}", scope=Scope.ACROSS_RETRIES)
    app = engine.app()
    WorkerStep(SimpleNamespace(app=app, pool_cls=prefork.TaskPool))

    def once_more(task: Any, user_id: int) -> None:
        task.retry(countdown=60)

    task = locked(app, lock, name="t", bind=True)(once_more)

    def see(headers: Any = None, **_: Any) -> None:
        retries.append(headers)

    signals.before_task_publish.connect(see)  # weakly: it goes with the test
    deliver(task, 7)
    assert holder_of(engine, "acme:7") == str(Holder.for_retry("id-1", 1))

    tenant[0] = "nobody's"
    request = Request(task, id="id-1", retries=1, **{HEADER: retries[0][HEADER]})
    request.is_revoked = True
    request.revoked()
    engine.pending.make_due()

    assert holder_of(engine, "acme:7") is None


def test_a_first_run_that_is_revoked_frees_nothing(engine: Engine) -> None:
    hold(engine, THE_CHILDS)
    request = a_request(engine, Lock("k:{user_id}", scope=Scope.ACROSS_RETRIES))
    request.is_revoked = True

    request.revoked()
    engine.pending.make_due()

    assert holder_of(engine) == THE_CHILDS


# -- several locks ---------------------------------------------------------------------------

SEVERAL: Any = [
    Lock("a:{user_id}", scope=Scope.ACROSS_RETRIES),
    Lock("b:{user_id}", scope=Scope.ACROSS_RETRIES),
]


def test_all_keys_of_a_dead_child_are_freed(engine: Engine, noted: list[Noted]) -> None:
    noted[0] = noted[0]._replace(keys=["b:7", "a:7"])
    hold(engine, THE_CHILDS, "a:7")
    hold(engine, THE_CHILDS, "b:7")

    a_request(engine, SEVERAL).on_failure(failed(WorkerLostError()))
    engine.pending.make_due()

    assert [holder_of(engine, key) for key in ("a:7", "b:7")] == [None, None]


def test_the_completion_of_a_dead_child_is_told_beside_its_first_key(
    engine: Engine, noted: list[Noted]
) -> None:
    noted[0] = noted[0]._replace(keys=["b:7", "a:7"])

    a_request(engine, SEVERAL).on_failure(failed(WorkerLostError()))
    engine.pending.make_due()

    def copy(key: str) -> Any:
        claim = Claim(key, "copy", 30.0, publication="tag-1", copy_since="")
        return engine.store.inner.acquire(claim)

    assert copy("b:7").done
    assert not isinstance(copy("a:7"), Held)


def test_a_retry_that_is_revoked_frees_all_keys_that_it_carries(engine: Engine) -> None:
    retries: list[Any] = []

    def once_more(task: Any, user_id: int) -> None:
        task.retry(countdown=60)

    def see(headers: Any = None, **_: Any) -> None:
        retries.append(headers)

    app = engine.app()
    WorkerStep(SimpleNamespace(app=app, pool_cls=prefork.TaskPool))
    task = locked(app, SEVERAL, name="t", bind=True)(once_more)
    signals.before_task_publish.connect(see)  # weakly: it goes with the test
    deliver(task, 7)
    kept = str(Holder.for_retry("id-1", 1))
    assert [holder_of(engine, key) for key in ("a:7", "b:7")] == [kept, kept]

    request = Request(task, id="id-1", retries=1, **{HEADER: retries[0][HEADER]})
    request.is_revoked = True
    request.revoked()
    engine.pending.make_due()

    assert [holder_of(engine, key) for key in ("a:7", "b:7")] == [None, None]


def test_a_message_that_came_back_and_is_revoked_frees_all_keys(engine: Engine) -> None:
    """Its run has left them to it; the message that the broker has does not say so."""
    kept = str(Holder.for_retry("id-1", 0))
    locks: Any = [Lock(f"{name}:{{user_id}}", scope=Scope.UNTIL_FINISHED) for name in "ab"]
    hold(engine, kept, "a:7")
    hold(engine, kept, "b:7")
    request = a_request(engine, locks, delivery_info={"redelivered": True})
    request.is_revoked = True

    request.revoked()
    engine.pending.make_due()

    assert [holder_of(engine, key) for key in ("a:7", "b:7")] == [None, None]


def test_the_release_before_is_left_in_peace_by_the_keys_of_a_list(engine: Engine) -> None:
    """It reads `kept` as a text, and would fail the task for a list."""
    seen: list[Any] = []

    def once_more(task: Any, user_id: int) -> None:
        task.retry(countdown=60)

    def see(headers: Any = None, **_: Any) -> None:
        seen.append(headers)  # ours is written later

    task = locked(engine.app(), SEVERAL, name="t", bind=True)(once_more)
    signals.before_task_publish.connect(see)  # weakly: it goes with the test
    deliver(task, 7)

    header = seen[0][HEADER]
    assert "kept" not in header
    assert sorted(header["all_kept"]) == ["a:7", "b:7"]


# -- a message that nobody took --------------------------------------------------------------


@pytest.mark.parametrize(("reason", "count"), [(Unsent("no"), 1), ("its body said so", 0)])
def test_what_is_rejected_since_nobody_took_it_is_remembered(
    engine: Engine, reason: Any, count: int
) -> None:
    request = a_request(engine)
    parts = arrived()._replace(headers={"id": f"id-{reason}"}, queue="fast")
    request.request_dict = {"properties": Given({}, parts)}

    request.on_failure(failed(Reject(reason, requeue=True)))

    assert rejections_of(parts.headers, "fast") == count
