"""What becomes of the lease that a message names, where no lock of the task here adopts it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded

from celery_lock import Lock, LockedTask
from celery_lock.events import Released, StoreFailed
from celery_lock.message import HEADER
from celery_lock.task import settling

from .engine import Engine, deliver, locked
from .published import drop_what_goes_back, holder_of, published, queued

KEY, PLACE = "k", "k%queued"


@pytest.fixture(autouse=True)
def nothing_is_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "_next_complaint", [0.0])


class Unlocked:
    """A task whose lock is switched off here, and what its body saw."""

    def __init__(self, engine: Engine, base: Any = LockedTask, **options: Any) -> None:
        self.during: Callable[[Any], Any] = lambda task: "done"
        self.ran = 0

        def body(task: Any) -> Any:
            self.ran += 1
            return self.during(task)

        app = engine.app()
        options = {"lock": None, "name": "t", "bind": True, "base": base, **options}
        self.task = locked(app, **options)(body)


def raises(error: BaseException) -> Callable[[Any], Any]:
    def body(task: Any) -> Any:
        raise error

    return body


# -- lock=None -------------------------------------------------------------------------------


def test_a_queue_place_is_given_back_as_a_body_without_a_lock_starts(engine: Engine) -> None:
    headers = published(engine, PLACE)
    it = Unlocked(engine)
    seen: list[Any] = []
    it.during = lambda task: seen.append(holder_of(engine, PLACE))

    assert deliver(it.task, headers=headers).state == "SUCCESS"

    assert seen == [None]


def test_a_key_is_kept_until_a_body_without_a_lock_has_ended(engine: Engine) -> None:
    headers = published(engine, KEY)
    it = Unlocked(engine)
    seen: list[Any] = []
    it.during = lambda task: seen.append(holder_of(engine, KEY))

    assert deliver(it.task, headers=headers).state == "SUCCESS"

    assert seen == [queued()]
    assert holder_of(engine, KEY) is None
    (told,) = engine.told(Released)
    assert (told.key, told.holder, told.task) == (KEY, queued(), "t")


@pytest.mark.parametrize(
    "error", [ValueError(), Ignore(), Retry(), Reject(), SystemExit(1)], ids=repr
)
def test_it_is_free_however_that_body_ends(engine: Engine, error: BaseException) -> None:
    headers = published(engine, KEY, PLACE)
    it = Unlocked(engine)
    it.during = raises(error)

    with suppress(SystemExit):
        deliver(it.task, headers=headers)

    assert (holder_of(engine, KEY), holder_of(engine, PLACE)) == (None, None)


@pytest.mark.parametrize(
    "error", [Reject(requeue=True), SystemExit(1), KeyboardInterrupt()], ids=repr
)
def test_what_goes_back_to_its_queue_takes_its_key_along(
    engine: Engine, error: BaseException
) -> None:
    headers = published(engine, KEY)
    it = Unlocked(engine, acks_late=True)
    it.during = raises(error)

    with suppress(SystemExit, KeyboardInterrupt):
        deliver(it.task, headers=headers)

    assert holder_of(engine, KEY) == queued()


def test_what_its_queue_gives_out_no_more_frees_its_key(engine: Engine) -> None:
    headers = published(engine, KEY)
    it = Unlocked(engine, acks_late=True)
    it.during = raises(Reject(requeue=True))
    drop_what_goes_back(it.task.app)

    deliver(it.task, headers=headers)

    assert holder_of(engine, KEY) is None


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_retry_frees_what_the_tries_before_it_have_left_behind(
    engine: Engine, confirmed: bool
) -> None:
    """They ran on a worker without this package, which does not leave it to the retry."""
    headers = published(engine, KEY, PLACE, confirmed=confirmed)

    deliver(Unlocked(engine).task, headers=headers, retries=2)

    assert (holder_of(engine, KEY), holder_of(engine, PLACE)) == (None, None)


@pytest.mark.parametrize("others", [{"id": "other"}, {"retry_no": 3}], ids=str)
def test_a_retry_frees_nothing_of_another_task_or_of_a_later_try(
    engine: Engine, others: dict[str, Any]
) -> None:
    published(engine, KEY, **others)
    headers = {HEADER: {"v": 1, "id": "id-1", "lease": {"names": [KEY], "store": ""}}}
    before = holder_of(engine, KEY)
    assert before is not None

    deliver(Unlocked(engine).task, headers=headers, retries=2)

    assert holder_of(engine, KEY) == before


def test_an_unconfirmed_lease_is_freed_too(engine: Engine) -> None:
    """The message was faster than the news that it was sent."""
    headers = published(engine, KEY, confirmed=False)

    deliver(Unlocked(engine).task, headers=headers)

    assert holder_of(engine, KEY) is None


def test_a_message_frees_nothing_of_another_one(engine: Engine) -> None:
    published(engine, KEY, id="other")
    headers = {HEADER: {"v": 1, "id": "id-1", "lease": {"names": [KEY], "store": ""}}}

    deliver(Unlocked(engine).task, headers=headers)

    assert holder_of(engine, KEY) == queued("other")


def test_a_header_that_was_carried_over_frees_nothing(engine: Engine) -> None:
    headers = published(engine, KEY, id="other")

    deliver(Unlocked(engine).task, id="id-1", headers=headers)

    assert holder_of(engine, KEY) == queued("other")


def test_the_header_that_a_tool_has_put_inside_counts(engine: Engine) -> None:
    headers = {"headers": published(engine, KEY)}

    deliver(Unlocked(engine).task, headers=headers)

    assert holder_of(engine, KEY) is None


def test_an_eager_call_frees_nobodys_lease(engine: Engine) -> None:
    headers = published(engine, KEY, PLACE)

    Unlocked(engine).task.apply(task_id="id-1", headers=headers)

    assert holder_of(engine, KEY) == queued()
    assert holder_of(engine, PLACE) == queued()


def test_a_body_that_calls_its_own_task_settles_nothing_within(engine: Engine) -> None:
    headers = published(engine, KEY)
    it = Unlocked(engine)
    seen: list[Any] = []

    def twice(task: Any) -> None:
        if it.ran == 1:
            task()
            seen.append(holder_of(engine, KEY))

    it.during = twice

    deliver(it.task, headers=headers)

    assert (it.ran, seen) == (2, [queued()])
    assert holder_of(engine, KEY) is None


@pytest.mark.parametrize(
    "lease", ["k", [], {}, {"names": "k"}, {"names": [5, None, ""]}, {"names": ["k"], "store": 5}]
)
def test_a_lease_of_another_form_does_a_body_without_a_lock_no_harm(
    engine: Engine, lease: Any
) -> None:
    headers = {HEADER: {"v": 1, "id": "id-1", "lease": lease}}

    assert deliver(Unlocked(engine).task, headers=headers).state == "SUCCESS"


def test_a_store_that_gives_no_answer_is_asked_again_and_the_body_runs(engine: Engine) -> None:
    headers = published(engine, KEY, PLACE)
    it = Unlocked(engine)

    with engine.store.down():
        ended = deliver(it.task, headers=headers)

    assert (ended.state, it.ran) == ("SUCCESS", 1)
    assert {(told.call, told.answer) for told in engine.told(StoreFailed)} == {("free", "retry")}
    engine.settle()
    assert (holder_of(engine, KEY), holder_of(engine, PLACE)) == (None, None)


def test_an_app_without_a_store_runs_the_body_and_says_what_stays_taken(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    headers = published(engine, KEY)
    it = Unlocked(engine)
    engine.uninstall(it.task.app)

    with caplog.at_level(logging.ERROR):
        assert deliver(it.task, headers=headers).state == "SUCCESS"

    assert "could not be freed" in caplog.text
    assert "lock_store" in caplog.text


@pytest.mark.parametrize("falls_into", [1, 2])
def test_a_time_limit_that_falls_into_the_freeing_is_raised_and_nothing_stays_taken(
    engine: Engine, falls_into: int
) -> None:
    headers = published(engine, KEY, PLACE, "another")
    it = Unlocked(engine)
    calls: list[Any] = []

    def limited(call: Any) -> Any:
        calls.append(call)
        if len(calls) == falls_into:
            raise SoftTimeLimitExceeded(1)
        return call()

    engine.store.instead("free", do=limited)

    ended = deliver(it.task, headers=headers)

    assert (ended.state, type(ended.result)) == ("FAILURE", SoftTimeLimitExceeded)
    assert it.ran == falls_into - 1
    engine.settle()
    assert [holder_of(engine, name) for name in (KEY, PLACE, "another")] == [None] * 3


# -- another store ---------------------------------------------------------------------------


def test_a_lease_of_another_store_is_told_of_once_a_minute(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    it = Unlocked(engine)
    headers = published(engine, KEY, store="another one")

    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert deliver(it.task, headers=headers).state == "SUCCESS"

    (said,) = [record for record in caplog.records if "another store" in record.getMessage()]
    assert said.levelno == logging.ERROR
    for word in ("t[id-1]", KEY, "memory://", "lock_key_prefix", "queue_ttl"):
        assert word in said.getMessage()


@pytest.mark.parametrize("store", ["", None])
def test_nothing_is_said_of_the_same_store_or_of_one_without_an_id(
    engine: Engine, store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    headers = published(engine, KEY, store=store)

    deliver(Unlocked(engine).task, headers=headers)

    assert "another store" not in caplog.text


# -- a run that never comes to our door ------------------------------------------------------


class BeforeStart(LockedTask):
    """A task with a hook of its author's that raises."""

    abstract = True
    error: BaseException = ValueError("not yet")

    def before_start(self, *_: Any) -> None:
        raise self.error


@pytest.mark.parametrize("lock", [None, Lock("k", scope="until_finished")], ids=["none", "lock"])
@pytest.mark.parametrize("error", [ValueError(), Ignore(), Retry(), Reject()], ids=repr)
def test_what_raises_before_the_body_frees_the_lease(
    engine: Engine, lock: Any, error: Exception
) -> None:
    headers = published(engine, KEY, PLACE)
    it = Unlocked(engine, BeforeStart, error=error, lock=lock)

    deliver(it.task, headers=headers)

    assert it.ran == 0
    assert (holder_of(engine, KEY), holder_of(engine, PLACE)) == (None, None)


@pytest.mark.parametrize("error", [Reject(requeue=True), SystemExit(1)], ids=repr)
def test_what_goes_back_before_the_body_keeps_it(engine: Engine, error: BaseException) -> None:
    headers = published(engine, KEY, PLACE)
    it = Unlocked(engine, BeforeStart, error=error, acks_late=True)

    with suppress(SystemExit):
        deliver(it.task, headers=headers)

    assert (holder_of(engine, KEY), holder_of(engine, PLACE)) == (queued(), queued())


def test_what_its_queue_gives_out_no_more_frees_it_before_the_body(engine: Engine) -> None:
    headers = published(engine, KEY, PLACE)
    it = Unlocked(engine, BeforeStart, error=Reject(requeue=True), acks_late=True)
    drop_what_goes_back(it.task.app)

    deliver(it.task, headers=headers)

    assert (holder_of(engine, KEY), holder_of(engine, PLACE)) == (None, None)


# -- an error before anything is claimed -----------------------------------------------------


class OnFailure(LockedTask):
    """A task whose author publishes it anew as it fails."""

    abstract = True
    seen: list[Any]
    its: Engine

    def on_failure(self, *_: Any) -> None:
        self.seen.append([holder_of(self.its, name) for name in (KEY, PLACE)])


def broken() -> str:
    raise RuntimeError("no such tenant")


@pytest.mark.parametrize("scope", ["until_started", "until_finished", "while_running"])
@pytest.mark.parametrize("fault", ["the key", "the arguments", "the header"])
def test_a_message_that_fails_before_its_claim_frees_its_lease(
    engine: Engine, scope: Any, fault: str
) -> None:
    headers = published(engine, KEY, PLACE)
    key: Any = broken if fault == "the key" else "k"
    seen: list[Any] = []
    it = Unlocked(engine, OnFailure, lock=Lock(key, scope=scope), seen=seen, its=engine)
    args: tuple[Any, ...] = (1, 2, 3) if fault == "the arguments" else ()
    if fault == "the header":
        headers[HEADER]["attempt"] = "many"

    assert deliver(it.task, *args, headers=headers).state == "FAILURE"

    assert (it.ran, seen) == (0, [[None, None]])
