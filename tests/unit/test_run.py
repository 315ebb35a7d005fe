"""One delivery of a locked task in a worker: what becomes of it, and of its message."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from celery.exceptions import Retry

from celery_lock import (
    Conflict,
    LeaseLost,
    Lock,
    LockConflict,
    LockError,
    StoreError,
    constant,
    fail,
    is_skipped,
    requeue,
    skip,
    wait,
)
from celery_lock.app.locks import locks_of
from celery_lock.errors import LockWaitTimeout, StoreUnavailable
from celery_lock.events import Acquired, Conflicted, Released, StoreFailed
from celery_lock.message import HEADER, Homeless, Unsent
from celery_lock.message.delivery import in_queue
from celery_lock.model import Claim, Held, Holder
from celery_lock.task.run import EARLIER_RUN, Run
from celery_lock.testing import FaultyStore

from .engine import EPOCH, Ended, Engine, deliver, locked

DOWN = StoreUnavailable("memory://", "no answer")


class Charge:
    """A task, and how often its body ran."""

    def __init__(self, engine: Engine, lock: Lock | None = None, **options: Any) -> None:
        self.engine = engine
        self.ran: list[Any] = []
        self.during: Callable[[Any], Any] = lambda task: "done"

        def body(task: Any, user_id: int = 7) -> Any:
            self.ran.append(user_id)
            return self.during(task)

        self.task = locked(engine.app(), lock or Lock("k"), name="charge", bind=True, **options)(
            body
        )

    def deliver(self, *args: Any, **request: Any) -> Ended:
        return deliver(self.task, *args, **request)


def again(engine: Engine) -> dict[str, Any]:
    """The headers of the message that was sent last."""
    return {HEADER: engine.sent[-1].header}


# -- a free key ------------------------------------------------------------------------------


def test_the_body_runs_with_the_key_held_and_it_is_free_afterwards(engine: Engine) -> None:
    charge = Charge(engine)
    seen: list[Any] = []
    charge.during = lambda task: seen.append((engine.holder_of(), task.lease.key, task.lease.lost))

    ended = charge.deliver()

    assert ended.state == "SUCCESS"
    assert seen == [("id-1", "k", False)]
    assert engine.holder_of() is None
    assert [type(fact) for fact in engine.facts] == [Acquired, Released]
    assert len(engine.keeper) == 0


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ValueError("no"), "FAILURE"),
        (LeaseLost("k", "expired"), "FAILURE"),
        (Retry("later"), "RETRY"),
    ],
)
def test_the_key_is_free_however_the_body_ends(
    engine: Engine, error: Exception, state: str
) -> None:
    charge = Charge(engine)

    def broken(task: Any) -> Any:
        raise error

    charge.during = broken

    assert charge.deliver().state == state
    assert engine.holder_of() is None


@pytest.mark.parametrize("stop", [SystemExit(1), KeyboardInterrupt()], ids=repr)
def test_the_key_is_free_when_the_worker_is_stopped(engine: Engine, stop: BaseException) -> None:
    charge = Charge(engine)

    def stopped(task: Any) -> Any:
        raise stop

    charge.during = stopped

    with pytest.raises(type(stop)):
        charge.deliver()
    assert engine.holder_of() is None


def test_the_hard_time_limit_is_the_ceiling_where_none_is_declared(engine: Engine) -> None:
    charge = Charge(engine, time_limit=60)
    losses: list[Any] = []

    def hangs(task: Any) -> None:
        engine.move(69)
        losses.append(task.lease.lost)
        engine.move(2)
        task.lease.check()

    charge.during = hangs

    ended = charge.deliver()

    assert losses == [False]
    assert isinstance(ended.result, LeaseLost)
    assert ended.result.reason == "at_most"


def test_where_no_pool_enforces_a_time_limit_the_lease_lasts_as_long_as_the_body(
    engine: Engine,
) -> None:
    """In threads and solo a body goes on beyond its limit, and another one must not begin."""
    charge = Charge(engine, time_limit=60)
    locks = locks_of(charge.task.app)
    locks.in_worker(events=lambda: False, time_limit=5, enforces_limits=False)

    def takes_its_time(task: Any) -> None:
        for _ in range(40):  # the renewals go on meanwhile
            engine.move(5)
        task.lease.check()

    charge.during = takes_its_time

    assert charge.deliver().state == "SUCCESS"


@pytest.mark.parametrize(
    ("lock", "timelimit", "ceiling"),
    [
        (Lock("k"), None, None),
        (Lock("k"), [None, None], None),
        (Lock("k"), [30, 10], 40),
        (Lock("k", at_most=5), [30, 10], 5),
    ],
)
def test_the_messages_own_limit_comes_before_the_tasks(
    engine: Engine, lock: Lock, timelimit: Any, ceiling: float | None
) -> None:
    charge = Charge(engine, lock)
    left: list[float] = []
    charge.during = lambda task: engine.move(100) or left.append(task.lease.remaining())

    charge.deliver(timelimit=timelimit)

    assert (left[0] > 0) is (ceiling is None)


# -- a taken key -----------------------------------------------------------------------------


def test_skip_ends_the_task_with_a_result_that_says_so(engine: Engine) -> None:
    charge = Charge(engine, Lock("k", on_conflict=skip()))
    engine.hold(task_id="other")

    ended = charge.deliver()

    assert ended == ("SUCCESS", {"skipped": "k", "held_by": "other"})
    assert is_skipped(ended.result)
    assert charge.ran == engine.sent == []
    assert engine.holder_of() == "other"


def test_fail_fails_the_task_with_key_and_holder(engine: Engine) -> None:
    charge = Charge(engine, Lock("k", on_conflict=fail()))
    engine.hold(task_id="other")

    ended = charge.deliver()

    assert ended.state == "FAILURE"
    assert type(ended.result) is LockConflict
    assert (ended.result.key, ended.result.holder) == ("k", "other")
    assert charge.ran == []


def test_requeue_sends_the_message_again_and_ends_this_run_without_a_result(
    engine: Engine,
) -> None:
    charge = Charge(engine, Lock("k", on_conflict=requeue(constant(5))))
    engine.hold(task_id="other")

    ended = charge.deliver()

    (sent,) = engine.sent
    assert ended.state == "IGNORED"
    assert charge.ran == []
    assert sent.delay == 5
    assert (sent.raw.body, sent.raw.queue) == (b"[]", "celery")
    assert sent.header == {
        "v": 1,
        "id": "id-1",
        "key": "k",
        "publication": "tag-1",
        "attempt": 1,
        "first_conflict": pytest.approx(EPOCH + 1000),
        "first_mark": str(round((EPOCH + 1000) * 1e6)),
        "published": {},
    }


def test_wait_runs_the_body_when_the_key_is_free(engine: Engine) -> None:
    charge = Charge(engine, Lock("k", on_conflict=wait(20)))
    engine.hold(task_id="other", ttl=5)

    assert charge.deliver().state == "SUCCESS"

    assert charge.ran == [7]
    assert engine.told(Acquired)[0].waited == pytest.approx(5, abs=0.1)


def test_a_wait_in_vain_fails_as_one(engine: Engine) -> None:
    charge = Charge(engine, Lock("k", on_conflict=wait(2)))
    engine.hold(task_id="other")

    ended = charge.deliver()

    assert type(ended.result) is LockWaitTimeout
    assert charge.ran == []


def test_a_policy_sees_what_happened(engine: Engine) -> None:
    seen: list[Conflict] = []

    def look(conflict: Conflict) -> Any:
        seen.append(conflict)
        return requeue()

    charge = Charge(engine, Lock("user:{user_id}", on_conflict=look))
    engine.hold("user:7", task_id="other", ttl=30)
    engine.clock.move(4)
    charge.deliver(redelivered=True, group="g-1")
    engine.clock.move(6)
    charge.deliver(headers=again(engine))

    first, second = seen
    assert (first.key, first.task, first.task_id) == ("user:7", "charge", "id-1")
    assert (first.holder.task_id, first.holder.node, first.holder.pid) == ("other", "w1", 1)
    assert first.holder.since == pytest.approx(EPOCH + 1000)
    assert (first.attempt, first.waited) == (1, 0)
    assert first.expires_in == pytest.approx(26)
    assert (first.redelivered, first.in_canvas) == (True, True)
    assert (second.attempt, second.waited) == (2, pytest.approx(6))
    assert (second.redelivered, second.in_canvas) == (False, False)


@pytest.mark.parametrize("answer", [None, skip, "skip", 5])
def test_a_policy_that_answers_nonsense_fails_the_task(engine: Engine, answer: Any) -> None:
    charge = Charge(engine, Lock("k", on_conflict=lambda c: answer))
    engine.hold()

    ended = charge.deliver()

    assert ended.state == "FAILURE"
    assert "it must return skip()" in str(ended.result)
    assert charge.ran == engine.sent == []


@pytest.mark.parametrize("error", [KeyError("user"), StoreError("not the store's")])
def test_a_policy_that_raises_fails_the_task_with_its_cause(
    engine: Engine, error: Exception
) -> None:
    def broken(conflict: Conflict) -> Any:
        raise error

    charge = Charge(engine, Lock("k", on_conflict=broken))
    engine.hold()

    ended = charge.deliver()

    assert ended.state == "FAILURE"
    assert type(ended.result) is LockError
    assert ended.result.__cause__ is error


# -- bounds, and what comes after ------------------------------------------------------------


def tries(engine: Engine, charge: Charge, pause: float = 1.0) -> tuple[int, Ended]:
    """Deliver until it is not sent again; return how often it was, and how it ended."""
    headers: dict[str, Any] = {}
    for count in range(50):
        ended = charge.deliver(headers=headers)
        if ended.state != "IGNORED":
            return count, ended
        headers = again(engine)
        engine.clock.move(pause)
    raise AssertionError("it goes on and on")


def test_max_attempts_bounds_how_often_it_is_sent_again(engine: Engine) -> None:
    charge = Charge(engine, Lock("k", on_conflict=requeue(max_attempts=3)))
    engine.hold(ttl=3600)

    count, ended = tries(engine, charge)

    assert count == 3
    assert type(ended.result) is LockWaitTimeout


def test_max_wait_is_measured_from_the_first_conflict_by_the_stores_clock(engine: Engine) -> None:
    charge = Charge(engine, Lock("k", on_conflict=requeue(max_wait=10, then=skip())))
    engine.hold(ttl=3600)

    count, ended = tries(engine, charge, pause=4)

    assert count == 3  # after 0, 4 and 8 seconds, and not after 12
    assert is_skipped(ended.result)


def test_a_first_conflict_at_the_beginning_of_time_is_one(engine: Engine) -> None:
    charge = Charge(engine, Lock("k", on_conflict=requeue(max_wait=10)))
    engine.hold(ttl=3600)

    ended = charge.deliver(headers={HEADER: {"v": 1, "attempt": 1, "first_conflict": 0.0}})

    assert type(ended.result) is LockWaitTimeout


@pytest.mark.parametrize(
    ("policy", "count", "end"),
    [
        (requeue(max_attempts=2, then=wait(1, then=skip())), 2, "SUCCESS"),
        (requeue(max_attempts=2, then=wait(1)), 2, "FAILURE"),
        (wait(1, then=requeue(max_attempts=2)), 2, "FAILURE"),
        (wait(1, then=requeue(max_attempts=2, then=skip())), 2, "SUCCESS"),
        (wait(1, then=requeue(max_attempts=2, then=wait(1, then=skip()))), 2, "SUCCESS"),
        (wait(1, then=fail()), 0, "FAILURE"),
        (wait(1, then=skip(result=0)), 0, "SUCCESS"),
    ],
)
def test_every_link_of_a_chain_of_policies_has_its_bound(
    engine: Engine, policy: Any, count: int, end: str
) -> None:
    charge = Charge(engine, Lock("k", on_conflict=policy))
    engine.hold(ttl=3600)

    sent, ended = tries(engine, charge)

    assert (sent, ended.state) == (count, end)
    assert charge.ran == []


def test_what_is_told_is_what_is_done(engine: Engine) -> None:
    charge = Charge(
        engine, Lock("k", on_conflict=wait(1, then=requeue(max_attempts=1, then=skip())))
    )
    engine.hold(ttl=3600)

    tries(engine, charge)

    assert [type(fact.decision) for fact in engine.told(Conflicted)] == [wait, requeue, wait, skip]
    assert [fact.attempt for fact in engine.told(Conflicted)] == [1, 1, 2, 2]


# -- copies of the message, and earlier runs of the task ---------------------------------------


@pytest.mark.parametrize("policy", [skip(), fail(), wait(20), lambda c: skip()])
def test_a_copy_of_a_message_whose_first_copy_runs_is_never_dropped(
    engine: Engine, policy: Any
) -> None:
    """To acknowledge it would take away the only copy that the broker has."""
    charge = Charge(engine, Lock("k", on_conflict=policy))
    engine.hold(task_id="id-1", publication="tag-1@celery", ttl=3600)

    ended = charge.deliver(redelivered=True)

    assert ended.state == "IGNORED"
    assert len(engine.sent) == 1
    assert charge.ran == []


def test_a_copy_that_waited_for_another_is_not_dropped_for_the_first_copy(engine: Engine) -> None:
    charge = Charge(engine, Lock("k", on_conflict=wait(2, then=skip())))
    other = engine.hold(task_id="other")

    def first_copy_gets_it(call: Callable[[], Any]) -> None:
        engine.store.instead("watch", do=lambda call: engine.clock.move(1))
        engine.free(other)
        engine.hold(task_id="id-1", publication="tag-1@celery")
        engine.clock.move(1)

    engine.store.instead("watch", do=first_copy_gets_it)

    assert charge.deliver(redelivered=True).state == "IGNORED"
    assert len(engine.sent) == 1


def test_a_copy_is_not_bounded_by_the_policy(engine: Engine) -> None:
    charge = Charge(engine, Lock("k", on_conflict=requeue(max_attempts=1, then=skip())))
    engine.hold(task_id="id-1", publication="tag-1@celery", ttl=3600)
    headers = {HEADER: {"v": 1, "publication": "tag-1", "attempt": 7, "first_conflict": 0.0}}

    assert charge.deliver(headers=headers).state == "IGNORED"


@pytest.mark.parametrize("policy", [skip(), fail(), wait(20), requeue(max_wait=1, then=skip())])
def test_a_copy_waits_its_turn_at_the_cost_of_nothing_that_a_policy_counts(
    engine: Engine, policy: Any
) -> None:
    charge = Charge(engine, Lock("k", on_conflict=policy))
    engine.hold(task_id="id-1", publication="tag-1", ttl=7200)
    headers: dict[str, Any] = {}
    for _ in range(6):
        assert charge.deliver(headers=headers, redelivered=not headers).state == "IGNORED"
        headers = again(engine)
        engine.clock.move(600)

    waited = engine.sent[-1].header
    assert ("attempt" in waited, waited["turns"]) == (False, 6)
    assert "first_conflict" not in waited
    assert "first_mark" not in waited
    assert charge.ran == []
    longest = (1, 2, 4, 8, 15, 15)
    assert all(one.delay <= most for one, most in zip(engine.sent, longest, strict=True))


def test_a_copy_that_has_waited_for_long_has_all_its_attempts_left(engine: Engine) -> None:
    """Its first delivery ran for hours, then that worker died and somebody else took the key."""
    charge = Charge(engine, Lock("k", on_conflict=requeue(max_wait=60, max_attempts=2)))
    first = engine.hold(task_id="id-1", publication="tag-1", ttl=7200)
    charge.deliver(redelivered=True)
    engine.clock.move(3600)
    charge.deliver(headers=again(engine))
    engine.free(first)
    other = engine.hold(task_id="other", ttl=3600)

    met = charge.deliver(headers=again(engine))
    conflict = engine.told(Conflicted)[-1]
    engine.free(other)
    ended = charge.deliver(headers=again(engine))

    assert (met.state, conflict.attempt) == ("IGNORED", 1)
    assert ended.state == "SUCCESS"
    assert charge.ran == [7]


def test_a_copy_never_shares_the_lease(engine: Engine) -> None:
    charge = Charge(engine)
    inner: list[Ended] = []
    charge.during = lambda task: inner.append(charge.deliver(redelivered=True))

    charge.deliver()

    assert [ended.state for ended in inner] == ["IGNORED"]
    assert charge.ran == [7]


def test_a_retry_waits_a_moment_for_the_run_before_it(engine: Engine) -> None:
    charge = Charge(engine, Lock("k", on_conflict=skip()))
    first = engine.hold(task_id="id-1", publication="tag-1@celery")

    def ends(call: Callable[[], Any]) -> None:
        engine.clock.move(0.2)
        engine.free(first)

    engine.store.instead("watch", do=ends)

    ended = charge.deliver(retries=1, tag="tag-2")

    assert ended.state == "SUCCESS"
    assert charge.ran == [7]
    assert engine.told(Conflicted) == engine.sent == []


@pytest.mark.parametrize("policy", [skip(), fail(), requeue()])
def test_a_retry_whose_first_run_does_not_end_is_sent_again(engine: Engine, policy: Any) -> None:
    charge = Charge(engine, Lock("k", on_conflict=policy))
    engine.hold(task_id="id-1", publication="tag-1@celery", ttl=3600)

    ended = charge.deliver(retries=1, tag="tag-2")

    assert ended.state == "IGNORED"
    assert engine.clock() == pytest.approx(1000 + EARLIER_RUN)
    assert engine.sent[0].header["retries"] == 1


def test_a_copy_does_not_wait_for_its_first_copy(engine: Engine) -> None:
    charge = Charge(engine)
    engine.hold(task_id="id-1", publication="tag-1@celery")

    charge.deliver(redelivered=True)

    assert engine.clock() == 1000


def test_a_floor_keeps_out_others_and_not_the_task_that_set_it(engine: Engine) -> None:
    charge = Charge(engine, Lock("k", at_least=60, on_conflict=skip()))
    assert charge.deliver().state == "SUCCESS"

    other = charge.deliver(id="id-2")
    retry = charge.deliver(retries=1)
    engine.clock.move(61)
    later = charge.deliver(id="id-2")

    assert other.result == {"skipped": "k", "held_by": "id-1"}
    assert (retry.state, later.state) == ("SUCCESS", "SUCCESS")
    assert len(charge.ran) == 3


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (
            fail(),
            "lock 'k' is kept taken by at_least for 16 min 40 s more; its last holder was other",
        ),
        (
            wait(1),
            "gave up waiting:"
            " lock 'k' is kept taken by at_least for 16 min 39 s more; its last holder was other",
        ),
    ],
)
def test_a_floor_is_told_as_what_it_is(engine: Engine, policy: Any, says: str) -> None:
    charge = Charge(engine, Lock("k", on_conflict=policy))
    engine.free(engine.hold(at_least=1000))

    ended = charge.deliver()

    assert str(ended.result) == says
    conflicts = engine.told(Conflicted)
    assert [fact.live for fact in conflicts] == [False] * len(conflicts)
    assert [fact.waited_out for fact in conflicts] == [False, True][: len(conflicts)]


@pytest.mark.parametrize("live", [True, False])
def test_a_policy_sees_whether_the_holder_has_its_lease(engine: Engine, live: bool) -> None:
    seen: list[Conflict] = []

    def looks(conflict: Conflict) -> Any:
        seen.append(conflict)
        return skip()

    charge = Charge(engine, Lock("k", on_conflict=looks))
    lease = engine.hold(at_least=100)
    if not live:
        engine.free(lease)

    charge.deliver()

    assert [(c.live, c.state) for c in seen] == [(live, "held" if live else "at_least")]


# -- the store gives no answer ---------------------------------------------------------------


@pytest.mark.parametrize("trip", [FaultyStore.refuse, FaultyStore.lose_answer])
def test_without_a_store_the_message_is_sent_again(
    engine: Engine, trip: Callable[..., None]
) -> None:
    charge = Charge(engine)
    trip(engine.store, "acquire", error=DOWN)

    ended = charge.deliver()
    engine.settle()

    assert ended.state == "IGNORED"
    assert (engine.sent[0].header["outages"], "attempt" in engine.sent[0].header) == (1, False)
    assert charge.ran == []
    assert engine.told(StoreFailed)[0].answer == "requeue"
    assert engine.holder_of() is None


def test_an_outage_uses_up_no_attempt(engine: Engine) -> None:
    charge = Charge(engine, Lock("k", on_conflict=requeue(max_attempts=1)))
    engine.store.refuse("acquire", error=DOWN)
    headers: dict[str, Any] = {}
    for _ in range(5):
        assert charge.deliver(headers=headers).state == "IGNORED"
        headers = again(engine)
    engine.settle()
    engine.hold()

    assert charge.deliver(headers=headers).state == "IGNORED"
    assert engine.sent[-1].header["attempt"] == 1


def test_a_message_comes_again_soon_however_long_the_outage(engine: Engine) -> None:
    charge = Charge(engine)
    engine.store.refuse("acquire", error=DOWN)
    headers: dict[str, Any] = {}

    for _ in range(20):
        assert charge.deliver(headers=headers).state == "IGNORED"
        headers = again(engine)

    assert engine.sent[-1].header["outages"] == 20
    assert max(one.delay for one in engine.sent) < 4  # twenty have come at once here


def test_on_store_error_fail_fails_the_task_with_what_the_store_said(engine: Engine) -> None:
    charge = Charge(engine, Lock("k", on_store_error="fail"))
    engine.store.refuse("acquire", error=DOWN)

    ended = charge.deliver()

    assert ended == ("FAILURE", DOWN)
    assert charge.ran == engine.sent == []


def test_on_store_error_run_runs_without_a_lock_and_says_why_there_is_no_lease(
    engine: Engine,
) -> None:
    charge = Charge(engine, Lock("k", on_store_error="run"))
    engine.store.lose_answer("acquire", error=DOWN)
    said: list[str] = []

    def look(task: Any) -> None:
        with pytest.raises(LockError) as caught:
            _ = task.lease
        said.append(str(caught.value))

    charge.during = look

    assert charge.deliver().state == "SUCCESS"
    engine.settle()

    assert charge.ran == [7]
    assert "runs without its lock 'k'" in said[0]
    assert "no answer" in said[0]
    assert engine.holder_of() is None
    assert engine.told(StoreFailed)[0].answer == "run"


@pytest.mark.parametrize("answer", ["requeue", "run", "fail"])
def test_a_store_that_fails_while_we_wait_is_a_store_that_fails(
    engine: Engine, answer: Any
) -> None:
    charge = Charge(engine, Lock("k", on_conflict=wait(20), on_store_error=answer))
    engine.hold()

    def fails(call: Callable[[], Any]) -> None:
        engine.store.refuse("acquire", error=DOWN)

    engine.store.instead("watch", do=fails)

    ended = charge.deliver()

    assert ended.state == {"requeue": "IGNORED", "run": "SUCCESS", "fail": "FAILURE"}[answer]
    assert len(charge.ran) == (answer == "run")


def test_a_release_without_an_answer_changes_nothing_about_the_task(engine: Engine) -> None:
    charge = Charge(engine)
    engine.store.refuse("release", error=DOWN)

    assert charge.deliver() == ("SUCCESS", "done")
    engine.settle()

    assert engine.holder_of() is None


def test_a_store_that_answers_garbage_fails_the_task_and_keeps_no_key(engine: Engine) -> None:
    charge = Charge(engine)
    engine.store.instead("acquire", do=lambda call: call() and None)

    assert charge.deliver().state == "FAILURE"
    engine.settle()

    assert charge.ran == []
    assert engine.holder_of() is None


# -- the broker does not take the message ----------------------------------------------------


class Broker:
    """Refuses a message so many times; notes how long the worker paused in between."""

    def __init__(self, engine: Engine, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self.times, self.stopping = times, False
        self.error: BaseException = Unsent("the broker is down")
        self.pauses: list[float] = []
        engine.unsent = self.refuse
        monkeypatch.setattr(Run, "pause", lambda run, seconds: self.pause(seconds))
        monkeypatch.setattr("celery_lock.app.flags.stopping", lambda: self.stopping)
        self.at_pause: Callable[[], Any] = lambda: None

    def refuse(self) -> BaseException | None:
        self.times -= 1
        return self.error if self.times >= 0 else None

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.at_pause()


def test_the_only_copy_stays_in_its_process_until_the_broker_takes_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    charge = Charge(engine)
    engine.hold()
    broker = Broker(engine, monkeypatch, times=3)

    ended = charge.deliver()

    assert ended.state == "IGNORED"
    assert len(engine.sent) == 1
    assert len(broker.pauses) == 3
    assert engine.sent[0].header["attempt"] == 1


def test_the_only_copy_runs_when_the_key_is_free_before_the_broker_is_back(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    charge = Charge(engine)
    other = engine.hold()
    broker = Broker(engine, monkeypatch, times=10)
    broker.at_pause = lambda: len(broker.pauses) == 2 and engine.free(other)

    assert charge.deliver().state == "SUCCESS"
    assert charge.ran == [7]
    assert engine.holder_of() is None


def test_store_and_broker_down_is_waited_out(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    charge = Charge(engine)
    engine.store.refuse("acquire", error=DOWN)
    broker = Broker(engine, monkeypatch, times=100)
    broker.at_pause = lambda: len(broker.pauses) == 4 and engine.store.heal()

    assert charge.deliver().state == "SUCCESS"
    assert charge.ran == [7]


def test_a_stop_with_the_only_copy_in_hand_is_a_failure_that_says_so(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    charge = Charge(engine)
    engine.hold()
    broker = Broker(engine, monkeypatch, times=100)
    broker.at_pause = lambda: setattr(broker, "stopping", True)

    ended = charge.deliver()

    assert ended.state == "FAILURE"
    assert "the broker is down" in str(ended.result)
    assert "the task has not run" in str(ended.result)


@pytest.mark.parametrize("acks_late", [True, False])
def test_what_the_broker_does_not_take_stays_and_runs_when_its_key_is_free(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, acks_late: bool
) -> None:
    charge = Charge(engine, acks_late=acks_late)
    other = engine.hold()
    broker = Broker(engine, monkeypatch, times=100)
    broker.at_pause = lambda: len(broker.pauses) == 30 and engine.free(other)

    assert charge.deliver().state == "SUCCESS"
    assert charge.ran == [7]


def test_a_stop_leaves_what_is_acknowledged_late_to_the_broker(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    charge = Charge(engine, acks_late=True)
    engine.hold()
    broker = Broker(engine, monkeypatch, times=100)
    broker.at_pause = lambda: setattr(broker, "stopping", len(broker.pauses) == 3)

    ended = charge.deliver()

    assert (ended.state, ended.result.requeue, len(broker.pauses)) == ("REJECTED", True, 3)


def test_what_has_lost_its_queue_lies_nowhere_else_though_it_is_acknowledged_late(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    charge = Charge(engine, acks_late=True)
    engine.hold()
    broker = Broker(engine, monkeypatch, times=100)
    broker.error = Homeless("no queue took it")

    def stop_later() -> None:
        broker.error, broker.stopping = Unsent("refused"), len(broker.pauses) == 3

    broker.at_pause = stop_later

    ended = charge.deliver()

    assert (ended.state, len(broker.pauses)) == ("FAILURE", 3)
    assert "the task has not run" in str(ended.result)


@pytest.mark.parametrize(
    ("options", "longest"),
    [({}, 450), ({"time_limit": 100}, 50), ({"soft_time_limit": 20, "time_limit": 100}, 10)],
    ids=str,
)
def test_what_is_acknowledged_late_is_left_to_the_broker_in_the_end(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], longest: float
) -> None:
    charge = Charge(engine, acks_late=True, **options)
    engine.hold(ttl=10_000.0)
    broker = Broker(engine, monkeypatch, times=10_000)
    monkeypatch.setattr("celery_lock.task.sends.steady", lambda: sum(broker.pauses))

    ended = charge.deliver()

    assert (ended.state, ended.result.requeue) == ("REJECTED", True)
    assert longest <= sum(broker.pauses) < longest + 6


def test_what_brokers_counted_of_its_deliveries_goes_with_it(engine: Engine) -> None:
    charge = Charge(engine)
    engine.hold()

    charge.deliver(redelivered=True)
    charge.deliver(redelivered=True, headers=again(engine))

    assert [sent.header["deliveries"] for sent in engine.sent] == [1, 2]


def test_a_message_that_is_not_known_raw_fails_the_task_with_what_to_do(engine: Engine) -> None:
    charge = Charge(engine)
    engine.hold()

    ended = charge.deliver(raw=False)

    assert ended.state == "FAILURE"
    assert "raw message of task id-1 is not known" in str(ended.result)


# -- what a message carries ------------------------------------------------------------------


def test_another_language_may_name_the_key(engine: Engine) -> None:
    charge = Charge(engine, Lock("user:{user_id}"))
    held: list[Any] = []
    charge.during = lambda task: held.append(task.lease.key)

    charge.deliver(headers={HEADER: {"v": 1, "key": "order:7"}})

    assert held == ["order:7"]


def test_a_key_is_not_computed_anew_for_a_message_that_carries_one(engine: Engine) -> None:
    calls: list[int] = []

    def make(user_id: int) -> str:
        calls.append(user_id)
        return f"user:{user_id}"

    charge = Charge(engine, Lock(make))
    engine.hold("user:7")

    charge.deliver()
    charge.deliver(headers=again(engine))

    assert calls == [7]
    assert [sent.header["key"] for sent in engine.sent] == ["user:7", "user:7"]


def test_two_hops_count_and_keep_everything(engine: Engine) -> None:
    charge = Charge(engine)
    engine.hold(ttl=3600)
    theirs = {"v": 1, "entry": "nightly", "deep": {"a": [1, None]}}

    charge.deliver(headers={HEADER: theirs})
    engine.clock.move(10)
    charge.deliver(headers=again(engine), tag="tag-2")

    first, second = (sent.header for sent in engine.sent)
    assert (first["attempt"], second["attempt"]) == (1, 2)
    assert first["first_conflict"] == second["first_conflict"] == pytest.approx(EPOCH + 1000)
    assert first["publication"] == second["publication"] == "tag-1"
    assert second["entry"] == "nightly"
    assert second["deep"] == {"a": [1, None]}


def test_what_we_wrote_for_an_earlier_try_does_not_count(engine: Engine) -> None:
    """Celery copies headers into a retry, whose arguments may be others."""
    charge = Charge(engine, Lock("user:{user_id}"))
    engine.hold("user:7")
    charge.deliver()
    held: list[Any] = []
    charge.during = lambda task: held.append(task.lease.key)

    charge.deliver(8, retries=1, headers=again(engine))

    assert held == ["user:8"]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("k", "is str, not a dict"),
        (5, "is int, not a dict"),
        ([], "is list, not a dict"),
        ({"v": 1, "key": 5}, "field 'key'"),
        ({"v": 1, "key": ""}, "field 'key'"),
        ({"v": 1, "key": "a\nb"}, "control characters"),
        ({"v": 1, "key": "k" * 2000}, "more than 1024 bytes"),
        ({"v": 1, "attempt": "1"}, "field 'attempt'"),
        ({"v": 1, "first_conflict": "yesterday"}, "field 'first_conflict'"),
    ],
)
def test_a_wrong_header_fails_the_task_and_locks_no_other_key(
    engine: Engine, header: Any, said: str
) -> None:
    charge = Charge(engine)

    ended = charge.deliver(headers={HEADER: header})

    assert ended.state == "FAILURE"
    assert said in str(ended.result)
    assert charge.ran == engine.store.calls == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -5, 10**300])
def test_a_time_that_makes_no_sense_harms_nobody(engine: Engine, value: Any) -> None:
    charge = Charge(engine, Lock("k", on_conflict=requeue(max_wait=10)))
    engine.hold()
    header = {"v": 1, "attempt": 1, "first_conflict": value}

    assert charge.deliver(headers={HEADER: header}).state in ("IGNORED", "FAILURE")


def test_an_attempt_that_makes_no_sense_harms_nobody(engine: Engine) -> None:
    charge = Charge(engine)
    engine.hold()

    for attempt in (-5, 10**30):
        header = {"v": 1, "attempt": attempt}
        assert charge.deliver(headers={HEADER: header}).state == "IGNORED"


BY_CONTENTS = in_queue(f"id-1.0.0.{sha256(b'[]').hexdigest()[:24]}", "celery")


@pytest.mark.parametrize(
    ("tag", "publication"),
    [
        ("a-tag", "a-tag@celery"),
        (17, BY_CONTENTS),
        ("17", BY_CONTENTS),
        (None, BY_CONTENTS),
    ],
)
def test_a_claim_is_named_by_its_publication(engine: Engine, tag: Any, publication: str) -> None:
    charge = Charge(engine)
    other = charge.engine.claim(task_id="other")
    seen: list[str] = []

    def look(task: Any) -> None:
        held = engine.store.acquire(other)
        assert isinstance(held, Held)
        seen.append(held.publication)

    charge.during = look
    charge.deliver(tag=tag)

    assert seen == [publication]


def test_each_delivery_is_a_holder_of_its_own(engine: Engine) -> None:
    charge = Charge(engine)
    holders: list[Holder] = []
    charge.during = lambda task: holders.append(Holder.parse(task.lease.holder))

    charge.deliver()
    charge.deliver()

    assert [(holder.task_id, holder.node) for holder in holders] == [("id-1", "w1@host")] * 2
    assert holders[0].nonce != holders[1].nonce


def test_tokens_grow_from_run_to_run(engine: Engine) -> None:
    charge = Charge(engine)
    tokens: list[int] = []
    charge.during = lambda task: tokens.append(task.lease.token)

    for _ in range(5):
        charge.deliver()

    assert tokens == sorted(set(tokens))


def test_an_argument_without_a_json_form_fails_the_task(engine: Engine) -> None:
    charge = Charge(engine, Lock())

    ended = charge.deliver(object())

    assert ended.state == "FAILURE"
    assert "'user_id'" in str(ended.result)
    assert charge.ran == []


@pytest.mark.parametrize("key", [lambda user_id: None, lambda user_id: 1 / 0])
def test_a_key_function_that_fails_fails_the_task(engine: Engine, key: Any) -> None:
    charge = Charge(engine, Lock(key))

    ended = charge.deliver()

    assert ended.state == "FAILURE"
    assert "key function" in str(ended.result)
    assert charge.ran == []


def test_a_store_is_asked_for_what_the_lock_says(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    charge = Charge(engine, Lock("k", ttl=12, at_least=5))
    asked: list[Claim] = []
    acquire = engine.store.acquire
    monkeypatch.setattr(
        engine.locker.store, "acquire", lambda claim: asked.append(claim) or acquire(claim)
    )

    charge.deliver()

    (claim,) = asked
    assert (claim.key, claim.task_id, claim.ttl, claim.at_least) == ("k", "id-1", 12, 5)
    assert (claim.publication, claim.watching) == ("tag-1@celery", False)


def test_a_key_named_by_another_language_holds_for_the_retries_of_its_task(
    engine: Engine,
) -> None:
    """Celery copies the header into the retry, which has to lock what its sender meant."""
    charge = Charge(engine, Lock("user:{user_id}"))
    held: list[str] = []
    charge.during = lambda task: held.append(task.lease.key)
    headers = {HEADER: {"v": 1, "key": "order:7"}}

    charge.deliver(headers=headers)
    charge.deliver(headers=headers, retries=1)

    assert held == ["order:7", "order:7"]
