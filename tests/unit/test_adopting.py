"""A worker takes over what a publisher took: the lease of a body, and the place in a queue."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from celery.exceptions import Ignore, Reject, Retry

from celery_lock import (
    Lock,
    LockConflict,
    LockError,
    Scope,
    fail,
    is_skipped,
    requeue,
    skip,
    wait,
)
from celery_lock.events import Acquired, Conflicted, Released
from celery_lock.message import HEADER
from celery_lock.model import Holder

from .engine import Ended, Engine, deliver, locked
from .published import drop_what_goes_back, holder_of, published, queued

KEY, PLACE = "k", "k%queued"
STARTED, FINISHED = Lock("k", scope="until_started"), Lock("k", scope="until_finished")
POLICIES = [skip(), fail(), requeue(), wait(5), lambda conflict: skip()]


class Task:
    """A task with these locks, and how often its body ran."""

    def __init__(self, engine: Engine, lock: Any = FINISHED, **options: Any) -> None:
        self.engine = engine
        self.during: Callable[[Any], Any] = lambda task: "done"
        self.ran = 0

        def body(task: Any) -> Any:
            self.ran += 1
            return self.during(task)

        self.task = locked(engine.app(), lock, name="t", bind=True, **options)(body)

    def deliver(self, headers: Any = None, **request: Any) -> Ended:
        return deliver(self.task, headers=headers, **request)


def raises(error: BaseException) -> Callable[[Any], Any]:
    def body(task: Any) -> Any:
        raise error

    return body


def running(engine: Engine, name: str = KEY) -> str | None:
    """The task id of the process that has it; `None`: it is free, or only kept."""
    holder = holder_of(engine, name)
    it = None if holder is None else Holder.parse(holder)
    return None if it is None or it.retry_no is not None else it.task_id


def again(engine: Engine) -> dict[str, Any]:
    """The headers of the message that was sent last."""
    return {HEADER: engine.sent[-1].header}


# -- a lease that is held while the body runs ------------------------------------------------


@pytest.mark.parametrize("confirmed", [True, False])
def test_the_run_adopts_the_lease_and_gives_it_back_at_its_end(
    engine: Engine, confirmed: bool
) -> None:
    """Also where the message was faster than the news that it was sent."""
    headers = published(engine, KEY, confirmed=confirmed)
    it = Task(engine)
    seen: list[Any] = []
    it.during = lambda task: seen.append((running(engine), task.lease.key, task.lease.lost))

    assert it.deliver(headers).state == "SUCCESS"

    assert seen == [("id-1", KEY, False)]
    assert holder_of(engine, KEY) is None
    assert [type(fact) for fact in engine.facts] == [Acquired, Released]
    assert engine.store.asked("free") == []


def test_the_floor_counts_from_the_adoption(engine: Engine) -> None:
    it = Task(engine, Lock("k", scope="until_finished", at_least=60))
    headers = published(engine, KEY)
    engine.move(300)

    it.deliver(headers)

    held = engine.store.inner.peek(KEY)
    assert held is not None
    assert (held.live, held.expires_in > 55) == (False, True)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_lease_that_has_lapsed_lets_its_message_wait_whatever_the_policy(
    engine: Engine, policy: Any
) -> None:
    headers = published(engine, KEY)
    engine.store.inner.free(KEY, queued())
    engine.hold(KEY, task_id="later")
    it = Task(engine, Lock("k", scope="until_finished", on_conflict=policy))

    assert it.deliver(headers).state == "IGNORED"

    assert (it.ran, len(engine.sent)) == (0, 1)
    assert (engine.sent[0].header["had"], engine.sent[0].header["turns"]) == (True, 1)
    assert "attempt" not in engine.sent[0].header


def test_a_lease_that_has_lapsed_is_taken_anew_where_the_key_is_free(engine: Engine) -> None:
    headers = published(engine, KEY)
    engine.store.inner.free(KEY, queued())
    it = Task(engine)

    assert it.deliver(headers).state == "SUCCESS"
    assert it.ran == 1


def test_a_message_without_a_lease_asks_its_policy(engine: Engine) -> None:
    """Of a sender that knows nothing of the lock."""
    engine.hold(KEY)
    it = Task(engine)

    ended = it.deliver()

    assert is_skipped(ended.result)
    assert it.ran == 0


def test_a_message_without_a_lease_takes_it_and_keeps_it_for_its_retry(engine: Engine) -> None:
    it = Task(engine)
    it.during = raises(Retry("later", sig=it.task.s()))

    assert it.deliver().state == "RETRY"

    assert holder_of(engine, KEY) == queued(retry_no=1)


def test_a_retry_takes_the_lease_along_and_adopts_it(engine: Engine) -> None:
    headers = published(engine, KEY)
    it = Task(engine)
    it.during = raises(Retry("later", sig=it.task.s()))
    it.deliver(headers)
    between = holder_of(engine, KEY)
    it.during = lambda task: running(engine)

    ended = it.deliver(headers, retries=1)

    assert (between, ended.result) == (queued(retry_no=1), "id-1")
    assert holder_of(engine, KEY) is None


BACK: list[BaseException] = [Reject("later", requeue=True), SystemExit(1), KeyboardInterrupt()]


@pytest.mark.parametrize("has_lease", [True, False])
@pytest.mark.parametrize("error", BACK, ids=repr)
def test_a_message_that_goes_back_keeps_its_key_until_it_comes_again(
    engine: Engine, error: BaseException, has_lease: bool
) -> None:
    headers = published(engine, KEY) if has_lease else None
    it = Task(engine, acks_late=True)
    it.during = raises(error)
    with suppress(SystemExit, KeyboardInterrupt):
        it.deliver(headers)
    between = holder_of(engine, KEY)
    it.during = lambda task: running(engine)

    ended = it.deliver(headers, redelivered=True)

    assert (between, ended.result) == (queued(), "id-1")
    assert holder_of(engine, KEY) is None


@pytest.mark.parametrize("lock", [FINISHED, [STARTED, FINISHED]], ids=["one", "two"])
@pytest.mark.parametrize("error", BACK, ids=repr)
def test_a_message_that_goes_back_above_the_limit_of_its_queue_keeps_nothing(
    engine: Engine, error: BaseException, lock: Any
) -> None:
    headers = published(engine, KEY)
    it = Task(engine, lock, acks_late=True)
    it.during = raises(error)
    drop_what_goes_back(it.task.app)

    with suppress(SystemExit, KeyboardInterrupt):
        it.deliver(headers)

    assert it.ran == 1
    assert holder_of(engine, KEY) is None


ENDS: list[BaseException] = [
    ValueError(), Ignore(), Reject("no more"), Reject("early", requeue=True), SystemExit(1),
    Retry("by hand"),
]  # fmt: skip


@pytest.mark.parametrize("error", ENDS, ids=repr)
def test_the_key_is_free_when_the_message_has_ended_for_good(
    engine: Engine, error: BaseException
) -> None:
    headers = published(engine, KEY)
    it = Task(engine)
    it.during = raises(error)

    with suppress(SystemExit):
        it.deliver(headers)

    assert holder_of(engine, KEY) is None


class GreenletExit(BaseException):
    """What ends a greenlet; Celery acknowledges its message."""


@pytest.mark.parametrize("late", [True, False])
def test_a_greenlet_that_is_killed_gives_its_key_back(engine: Engine, late: bool) -> None:
    headers = published(engine, KEY)
    it = Task(engine, acks_late=late)
    it.during = raises(GreenletExit())

    with suppress(GreenletExit):
        it.deliver(headers)

    assert holder_of(engine, KEY) is None


def test_a_key_that_goes_back_is_kept_for_its_queue_ttl_until_it_expires(engine: Engine) -> None:
    it = Task(engine, Lock("k", scope="until_finished", queue_ttl=500), acks_late=True)
    it.during = raises(Reject("later", requeue=True))

    it.deliver(published(engine, KEY))

    held = engine.store.inner.peek(KEY)
    assert held is not None
    assert 490 < held.expires_in <= 500


@pytest.mark.parametrize("fault", ["key", "arguments"])
def test_a_retry_that_fails_before_its_claim_frees_what_was_left_to_it(
    engine: Engine, fault: str
) -> None:
    """Its lock holds across retries; no publisher has taken anything."""

    def key() -> str:
        if broken:
            raise RuntimeError("no such tenant")
        return KEY

    broken: list[int] = []
    it = Task(engine, Lock(key, scope="across_retries"))
    it.during = raises(Retry("later", sig=it.task.s()))
    it.deliver()
    between = holder_of(engine, KEY)
    broken.append(1)
    written = {"v": 1, "id": "id-1", "publication": "p", "retries": 1, "nesting": 0, "kept": KEY}
    args = (1, 2) if fault == "arguments" else ()

    ended = deliver(it.task, *args, headers={HEADER: written}, retries=1)

    assert (between, ended.state) == (queued(retry_no=1), "FAILURE")
    assert holder_of(engine, KEY) is None


# -- what takes the place of the task --------------------------------------------------------


def replaces(by: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def body(task: Any) -> Any:
        sig = by(task)
        sig.delay = lambda: None  # nothing is sent in this test
        return task.on_replace(sig)

    return body


def test_the_same_task_in_its_place_takes_the_lease_along(engine: Engine) -> None:
    headers = published(engine, KEY)
    it = Task(engine)
    it.during = replaces(lambda task: task.s())
    assert it.deliver(headers).state == "IGNORED"
    between = holder_of(engine, KEY)
    it.during = lambda task: running(engine)

    ended = it.deliver(headers, replaced_task_nesting=1)

    assert (between, ended.result) == (queued(), "id-1")
    assert holder_of(engine, KEY) is None


@pytest.mark.parametrize(("expires", "life"), [(None, 600), (60, 60)])
def test_what_is_in_its_place_has_the_key_until_it_expires_itself(
    engine: Engine, expires: int | None, life: int
) -> None:
    it = Task(engine, Lock("k", scope="until_finished", queue_ttl=600))
    own = {} if expires is None else {"expires": expires}
    it.during = replaces(lambda task: task.s().set(**own))
    soon = (datetime.now(timezone.utc) + timedelta(seconds=5)).isoformat()

    it.deliver(published(engine, KEY), expires=soon)

    held = engine.store.inner.peek(KEY)
    assert held is not None
    assert held.expires_in == pytest.approx(life, abs=5)


def test_another_task_in_its_place_gets_nothing(engine: Engine) -> None:
    headers = published(engine, KEY)
    it = Task(engine)

    def elsewhere() -> None:
        """Do nothing."""

    other = locked(it.task.app, FINISHED, name="other")(elsewhere)
    it.during = replaces(lambda task: other.s())

    assert it.deliver(headers).state == "IGNORED"

    assert holder_of(engine, KEY) is None


def test_the_same_task_under_an_id_of_its_own_in_its_place_gets_nothing(engine: Engine) -> None:
    """Celery lets a signature keep the id that it was given: no message of this task follows."""
    headers = published(engine, KEY)
    it = Task(engine)
    it.during = replaces(lambda task: task.s().set(task_id="id-2"))

    assert it.deliver(headers).state == "IGNORED"

    assert holder_of(engine, KEY) is None


@pytest.mark.parametrize("scope", ["until_finished", "across_retries"])
def test_a_retry_under_an_id_of_its_own_gets_nothing(engine: Engine, scope: str) -> None:
    it = Task(engine, Lock("k", scope=scope))
    it.during = lambda task: task.retry(countdown=5, task_id="id-2")
    headers = published(engine, KEY) if scope == "until_finished" else None

    assert it.deliver(headers).state == "RETRY"

    assert holder_of(engine, KEY) is None


def test_the_same_task_with_another_key_in_its_place_gets_nothing(engine: Engine) -> None:
    headers = published(engine, KEY)
    it = Task(engine, Lock(lambda: keys.pop(), scope="until_finished"))
    keys = ["another", KEY]
    it.during = replaces(lambda task: task.s())

    assert it.deliver(headers).state == "IGNORED"

    assert holder_of(engine, KEY) is None


# -- the store gives no answer ---------------------------------------------------------------


def test_an_outage_sends_the_message_again_and_its_lease_stays(engine: Engine) -> None:
    headers = published(engine, KEY)
    it = Task(engine)
    with engine.store.down():
        assert it.deliver(headers).state == "IGNORED"
    engine.settle()
    between = holder_of(engine, KEY)

    assert it.deliver(again(engine)).state == "SUCCESS"

    assert (between, holder_of(engine, KEY)) == (queued(), None)


def test_a_body_that_ran_without_the_store_leaves_nothing_taken(engine: Engine) -> None:
    headers = published(engine, KEY)
    it = Task(engine, Lock("k", scope="until_finished", on_store_error="run"))

    with engine.store.down():
        assert it.deliver(headers).state == "SUCCESS"

    engine.settle()
    assert (it.ran, holder_of(engine, KEY)) == (1, None)


def test_a_task_that_fails_without_the_store_leaves_nothing_taken(engine: Engine) -> None:
    headers = published(engine, KEY, PLACE)
    it = Task(engine, Lock("k", scope="until_finished", on_store_error="fail"))

    with engine.store.down():
        assert it.deliver(headers).state == "FAILURE"

    engine.settle()
    assert (it.ran, holder_of(engine, KEY), holder_of(engine, PLACE)) == (0, None, None)


# -- a place in the queue --------------------------------------------------------------------


def test_the_place_is_given_back_before_the_first_line_and_nothing_is_asked_for(
    engine: Engine,
) -> None:
    headers = published(engine, PLACE)
    it = Task(engine, STARTED)
    seen: list[Any] = []
    it.during = lambda task: seen.append(holder_of(engine, PLACE))

    assert it.deliver(headers).state == "SUCCESS"

    assert seen == [None]
    calls = engine.store.calls
    assert (calls.count("free"), calls.count("release"), calls.count("undo")) == (1, 0, 0)
    assert all(asked["claim"].unconfirmed for asked in engine.store.asked("acquire"))


def test_a_body_that_holds_nothing_says_so_where_it_asks_for_its_lease(engine: Engine) -> None:
    it = Task(engine, STARTED)
    it.during = lambda task: task.lease

    ended = it.deliver(published(engine, PLACE))

    assert isinstance(ended.result, LockError)
    for word in ("t holds none", "UNTIL_STARTED", "UNTIL_FINISHED"):
        assert word in str(ended.result)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("met", [KEY, PLACE])
def test_a_message_that_was_given_its_place_runs_whoever_has_it_now(
    engine: Engine, policy: Any, met: str
) -> None:
    headers = published(engine, PLACE)
    engine.store.inner.free(PLACE, queued())
    other = engine.hold(met, task_id="later")
    it = Task(engine, Lock("k", scope="until_started", on_conflict=policy))

    assert it.deliver(headers).state == "SUCCESS"

    assert (it.ran, holder_of(engine, met)) == (1, other.holder)


def test_a_message_without_a_place_takes_it_and_gives_it_back_at_once(engine: Engine) -> None:
    it = Task(engine, STARTED)
    seen: list[Any] = []
    it.during = lambda task: seen.append(holder_of(engine, PLACE))

    assert it.deliver().state == "SUCCESS"

    assert seen == [None]
    assert [asked["claim"].key for asked in engine.store.asked("acquire")] == [PLACE]
    assert len(engine.keeper) == 0


def test_a_message_without_a_place_asks_its_policy_where_another_one_waits(
    engine: Engine,
) -> None:
    published(engine, PLACE, id="other")
    it = Task(engine, STARTED)

    ended = it.deliver()

    assert (is_skipped(ended.result), it.ran) == (True, 0)
    assert holder_of(engine, PLACE) == queued("other")
    (told,) = engine.told(Conflicted)
    assert told.key == PLACE


@pytest.mark.parametrize(
    "request_says",
    [{"retries": 2}, {"replaced_task_nesting": 1}, {"redelivered": True}],
    ids=["retry", "replaced", "redelivered"],
)
def test_what_may_have_started_before_asks_for_no_place(
    engine: Engine, request_says: dict[str, Any]
) -> None:
    published(engine, PLACE, id="other")
    it = Task(engine, STARTED)

    assert it.deliver(**request_says).state == "SUCCESS"

    assert it.ran == 1
    assert holder_of(engine, PLACE) == queued("other")


def test_a_retry_leaves_its_place_to_others(engine: Engine) -> None:
    headers = published(engine, PLACE)
    it = Task(engine, STARTED)
    it.during = raises(Retry("later", sig=it.task.s()))
    it.deliver(headers)
    published(engine, PLACE, id="other")
    it.during = lambda task: "done"

    assert it.deliver(headers, retries=1).state == "SUCCESS"

    assert holder_of(engine, PLACE) == queued("other")


def test_an_outage_as_the_body_starts_does_not_keep_it_from_running(engine: Engine) -> None:
    headers = published(engine, PLACE)
    it = Task(engine, STARTED)

    with engine.store.down():
        assert it.deliver(headers).state == "SUCCESS"

    engine.settle()
    assert (it.ran, holder_of(engine, PLACE), engine.sent) == (1, None, [])


def test_nothing_is_recorded_of_a_message_that_asks_for_nothing(engine: Engine) -> None:
    it = Task(engine, STARTED, acks_late=True)

    it.deliver(published(engine, PLACE), redelivered=True)

    engine.move(2)
    assert engine.store.asked("complete") == []


def test_an_eager_call_takes_no_place_of_a_message(engine: Engine) -> None:
    headers = published(engine, PLACE)
    it = Task(engine, STARTED)

    result = it.task.apply(task_id="id-1", headers=headers)

    assert result.get() == "done"
    assert holder_of(engine, PLACE) == queued()


# -- one waiting and one running -------------------------------------------------------------


def both(running_policy: Any = None) -> list[Lock]:
    return [STARTED, Lock("k", on_conflict=running_policy or requeue())]


def test_the_place_is_given_back_when_the_key_is_held(engine: Engine) -> None:
    headers = published(engine, PLACE)
    it = Task(engine, both())
    seen: list[Any] = []
    it.during = lambda task: seen.append((running(engine), holder_of(engine, PLACE)))

    assert it.deliver(headers).state == "SUCCESS"

    assert seen == [("id-1", None)]
    assert holder_of(engine, KEY) is None


def test_the_place_is_kept_while_the_message_waits_for_the_key(engine: Engine) -> None:
    headers = published(engine, PLACE)
    other = engine.hold(KEY)
    it = Task(engine, both())
    assert it.deliver(headers).state == "IGNORED"
    between = holder_of(engine, PLACE)
    engine.free(other)

    assert it.deliver(again(engine)).state == "SUCCESS"

    assert (between, holder_of(engine, PLACE)) == (queued(), None)


@pytest.mark.parametrize("policy", [skip(), fail(), wait(1, then=skip())])
def test_the_place_is_free_where_the_policy_of_the_key_ends_the_message(
    engine: Engine, policy: Any
) -> None:
    """The publisher was given the place, and nothing else."""
    headers = published(engine, PLACE)
    engine.hold(KEY)
    it = Task(engine, both(policy))

    ended = it.deliver(headers)

    assert is_skipped(ended.result) or isinstance(ended.result, LockConflict)
    assert (it.ran, holder_of(engine, PLACE)) == (0, None)


def test_a_message_without_a_place_takes_both_or_none(engine: Engine) -> None:
    engine.hold(KEY)
    it = Task(engine, both())

    assert it.deliver().state == "IGNORED"

    assert holder_of(engine, PLACE) is None


# -- publisher and worker do not agree -------------------------------------------------------

OTHERS = [each for each in Scope if each is not Scope.UNTIL_STARTED]


@pytest.mark.parametrize("scope", OTHERS)
def test_a_worker_of_another_scope_adopts_a_lease_of_its_key(engine: Engine, scope: Scope) -> None:
    headers = published(engine, KEY)
    it = Task(engine, Lock("k", scope=scope))
    it.during = lambda task: running(engine)

    assert it.deliver(headers).result == "id-1"

    assert holder_of(engine, KEY) is None


def test_a_worker_that_needs_no_key_frees_it_at_the_end(engine: Engine) -> None:
    headers = published(engine, KEY)
    it = Task(engine, STARTED)
    it.during = lambda task: holder_of(engine, KEY)

    assert it.deliver(headers).result == queued()

    assert holder_of(engine, KEY) is None


@pytest.mark.parametrize("scope", OTHERS)
def test_a_worker_of_another_scope_gives_a_place_back(engine: Engine, scope: Scope) -> None:
    headers = published(engine, PLACE)
    it = Task(engine, Lock("k", scope=scope))
    it.during = lambda task: (running(engine), holder_of(engine, PLACE))

    assert it.deliver(headers).result == ("id-1", None)

    assert holder_of(engine, KEY) is None


def test_a_lease_of_another_key_is_freed_at_the_end(engine: Engine) -> None:
    headers = published(engine, "old-name", "old-name%queued")
    it = Task(engine)
    it.during = lambda task: (running(engine), holder_of(engine, "old-name%queued"))

    assert it.deliver(headers).result == ("id-1", None)

    assert holder_of(engine, "old-name") is None


@pytest.mark.parametrize("scope", OTHERS)
def test_a_worker_of_another_scope_puts_the_key_back(engine: Engine, scope: Scope) -> None:
    headers = published(engine, KEY)
    it = Task(engine, Lock("k", scope=scope), acks_late=True)
    it.during = raises(Reject("later", requeue=True))

    it.deliver(headers)

    assert holder_of(engine, KEY) == queued()


def test_a_message_whose_lease_lies_elsewhere_runs_by_the_lock_here(engine: Engine) -> None:
    it = Task(engine)
    headers = {HEADER: {"v": 1, "id": "id-1", "publication": "p", "had": True,
                        "lease": {"names": [KEY], "store": "another"}}}  # fmt: skip

    assert it.deliver(headers).state == "SUCCESS"

    assert it.ran == 1


@pytest.mark.parametrize("scope", OTHERS)
@pytest.mark.parametrize("confirmed", [True, False])
def test_a_retry_that_a_worker_without_this_package_has_sent_runs_at_once(
    engine: Engine, scope: Scope, confirmed: bool
) -> None:
    """That worker left the key to nobody: it is kept for the try before this one."""
    headers = published(engine, KEY, confirmed=confirmed)
    it = Task(engine, Lock("k", scope=scope))
    it.during = lambda task: running(engine)

    assert it.deliver(headers, retries=2).result == "id-1"

    assert holder_of(engine, KEY) is None


@pytest.mark.parametrize("scope", OTHERS)
@pytest.mark.parametrize("several", [False, True])
def test_a_retry_adopts_what_the_try_before_has_kept_whatever_the_scope_is_now(
    engine: Engine, scope: Scope, several: bool
) -> None:
    """A deploy between the two has given the task another scope."""
    names = [KEY, "l"] if several else [KEY]
    before = Task(engine, [Lock(name, scope="across_retries") for name in names])
    before.during = raises(Retry("later", sig=before.task.s()))
    before.deliver()
    kept = {"all_kept": names} if several else {"kept": KEY}
    header = {"v": 1, "id": "id-1", "publication": "p", "retries": 1, "nesting": 0, **kept}
    it = Task(engine, [Lock(name, scope=scope) for name in names])
    it.during = lambda task: [running(engine, name) for name in names]

    assert it.deliver({HEADER: header}, retries=1).result == ["id-1" for _ in names]

    assert [holder_of(engine, name) for name in names] == [None for _ in names]


@pytest.mark.parametrize("scope", OTHERS)
@pytest.mark.parametrize("retry_no", [0, 1])
def test_a_message_that_names_no_lease_takes_what_was_kept_for_it_whatever_the_scope_is_now(
    engine: Engine, scope: Scope, retry_no: int
) -> None:
    """Its sender knows nothing of the lock, and it went back to its queue before a deploy."""
    before = Task(engine, acks_late=True)
    before.during = raises(Reject("later", requeue=True))
    before.deliver(retries=retry_no)
    between = holder_of(engine, KEY)
    it = Task(engine, Lock("k", scope=scope), acks_late=True)
    it.during = lambda task: running(engine)

    ended = it.deliver(retries=retry_no, redelivered=True)

    assert (between, ended.result) == (queued(retry_no=retry_no), "id-1")
    assert holder_of(engine, KEY) is None


def test_so_does_what_takes_the_place_of_that_retry(engine: Engine) -> None:
    headers = published(engine, KEY, retry_no=2)
    it = Task(engine)

    assert it.deliver(headers, replaced_task_nesting=1).state == "SUCCESS"

    assert (it.ran, holder_of(engine, KEY)) == (1, None)


def test_a_late_copy_takes_nothing_from_the_retry_that_came_of_it(engine: Engine) -> None:
    headers = published(engine, KEY)
    it = Task(engine)
    it.during = raises(Retry("later", sig=it.task.s()))
    it.deliver(headers)

    assert it.deliver(headers, redelivered=True, tag="copy").state == "IGNORED"

    assert holder_of(engine, KEY) == queued(retry_no=1)


# -- copies ----------------------------------------------------------------------------------


def test_a_copy_waits_while_the_first_one_runs_and_takes_nothing_from_it(engine: Engine) -> None:
    headers = published(engine, KEY)
    it = Task(engine, acks_late=True)
    seen: list[Any] = []

    def copied(task: Any) -> None:
        if it.ran == 1:
            it.during = lambda task: "again"
            seen.append((it.deliver(headers, redelivered=True).state, running(engine)))

    it.during = copied

    assert it.deliver(headers).state == "SUCCESS"

    assert (seen, it.ran) == ([("IGNORED", "id-1")], 1)
    assert engine.sent[0].header["turns"] == 1
    assert holder_of(engine, KEY) is None


def test_a_call_without_the_lock_leaves_nothing_of_its_publisher(engine: Engine) -> None:
    """A retry that was published so."""
    headers = published(engine, KEY, PLACE)
    headers[HEADER]["unlocked"] = True
    it = Task(engine)

    assert it.deliver(headers).state == "SUCCESS"

    assert (it.ran, holder_of(engine, KEY), holder_of(engine, PLACE)) == (1, None, None)
