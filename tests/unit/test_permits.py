"""A lock with several permits: who runs, who waits, and what each of them sees of the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from celery_lock import Lock, LockConfigurationError, Scope, fail, is_skipped, requeue, skip, wait
from celery_lock.errors import LockConflict, LockError, LockWaitTimeout
from celery_lock.events import Acquired, Conflicted, Lost, Released
from celery_lock.events.log_words import words
from celery_lock.events.task_events import event_fields
from celery_lock.model import End, Holder, Lease
from celery_lock.testing import memory_locks

from .engine import EPOCH, Ended, Engine, deliver, locked

KEY = "api:x"


class Fetch:
    """A task with three permits, and what its bodies saw."""

    def __init__(self, engine: Engine, **lock: Any) -> None:
        self.engine = engine
        self.ran: list[str] = []
        self.during: Callable[[Any], Any] = lambda task: "done"

        def body(task: Any) -> Any:
            self.ran.append(task.request.id)
            return self.during(task)

        lock = {"limit": 3, **lock}
        self.task = locked(engine.app(), Lock(KEY, **lock), name="fetch", bind=True)(body)

    def deliver(self, **request: Any) -> Ended:
        return deliver(self.task, **request)


def taken(engine: Engine, count: int, *, limit: int = 3, **claim: Any) -> list[Lease]:
    """Others take so many permits."""
    return [
        engine.hold(KEY, task_id=f"other-{number}", limit=limit, **claim) for number in range(count)
    ]


def slots(engine: Engine) -> list[int]:
    """The numbers of the permits that are taken."""
    held = engine.store.inner.peek(KEY)
    return [] if held is None else [one.slot for one in held.holders]


# -- who gets a permit -----------------------------------------------------------------------


@pytest.mark.parametrize("others", [0, 1, 2])
def test_a_task_runs_beside_fewer_others_than_its_limit(engine: Engine, others: int) -> None:
    fetch = Fetch(engine)
    taken(engine, others)
    seen: list[Any] = []
    fetch.during = lambda task: seen.append((task.lease.slot, slots(engine)))

    assert fetch.deliver().state == "SUCCESS"

    assert seen == [(others, list(range(others + 1)))]
    assert slots(engine) == list(range(others))


def test_a_task_that_finds_all_permits_taken_is_a_conflict(engine: Engine) -> None:
    fetch = Fetch(engine, on_conflict=fail())
    taken(engine, 3)

    assert isinstance(fetch.deliver().result, LockConflict)
    assert fetch.ran == []


def test_a_body_may_call_as_many_others_as_there_are_permits(engine: Engine) -> None:
    fetch = Fetch(engine, on_conflict=fail())
    depth: list[int] = []

    def nests(task: Any) -> int:
        depth.append(task.lease.slot)
        if len(depth) > 3:  # pragma: no cover - there is no fourth permit
            return 0
        return len(depth) + (task.apply(throw=False).result != "?")

    fetch.during = nests
    fetch.deliver()

    assert depth == [0, 1, 2]


def test_the_smallest_limit_of_all_that_hold_the_key_counts(engine: Engine) -> None:
    """As during a deploy from five to one and back, and with two templates that make one key."""
    fetch = Fetch(engine, limit=5, on_conflict=skip())
    alone = taken(engine, 1, limit=1)[0]

    fetch.deliver(id="id-1")
    engine.free(alone)
    taken(engine, 1, limit=2)
    fetch.deliver(id="id-2")
    fetch.during = lambda task: deliver(fetch.task, id="id-4")
    fetch.deliver(id="id-3")

    assert fetch.ran == ["id-2", "id-3"]


def test_a_deploy_to_fewer_permits_waits_until_few_enough_are_left(engine: Engine) -> None:
    fetch = Fetch(engine, limit=2, on_conflict=requeue())
    olds = taken(engine, 4, limit=4)

    for old in olds:
        fetch.deliver(id=f"beside-{len(slots(engine))}")
        engine.free(old)

    assert fetch.ran == ["beside-1"]


def test_a_copy_of_a_running_message_gets_no_free_permit(engine: Engine) -> None:
    fetch = Fetch(engine, on_conflict=skip())
    copies: list[Ended] = []
    fetch.during = lambda task: copies.append(fetch.deliver(redelivered=True))

    fetch.deliver()

    assert fetch.ran == ["id-1"]
    assert [copy.state for copy in copies] == ["IGNORED"]  # sent again, and not skipped
    assert engine.sent[0].header["turns"] == 1


def test_another_message_of_the_same_task_gets_no_second_permit(engine: Engine) -> None:
    fetch = Fetch(engine, on_conflict=skip())
    others: list[Ended] = []
    fetch.during = lambda task: others.append(fetch.deliver(tag="another"))

    fetch.deliver()

    assert fetch.ran == ["id-1"]
    assert [other.state for other in others] == ["IGNORED"]


def test_a_dead_holder_frees_its_own_permit_only(engine: Engine) -> None:
    fetch = Fetch(engine, on_conflict=fail())
    first, _second, _third = taken(engine, 3)

    freed = engine.store.inner.free(KEY, first.holder)
    fetch.during = lambda task: task.lease.slot

    assert freed is not None
    assert fetch.deliver().result == first.slot == 0
    assert slots(engine) == [1, 2]


def test_two_tasks_of_one_template_have_one_limit(engine: Engine) -> None:
    app = engine.app()
    locked(app, Lock("api:{host}", limit=3), name="a")(of_host)

    with pytest.raises(
        LockConfigurationError, match=r"b and a share .* not its limit: 2 against 3"
    ):
        locked(app, Lock("api:{host}", limit=2), name="b")(of_host)


def of_host(host: str) -> None: ...


# -- floors and retries ----------------------------------------------------------------------


def test_each_run_keeps_its_own_permit_for_its_floor(engine: Engine) -> None:
    fetch = Fetch(engine, at_least=60, on_conflict=skip())

    for number in range(5):
        fetch.deliver(id=f"id-{number}")
    engine.move(61)
    fetch.deliver(id="id-9")

    assert fetch.ran == ["id-0", "id-1", "id-2", "id-9"]


def test_each_retry_takes_over_the_permit_that_its_run_left_to_it(engine: Engine) -> None:
    fetch = Fetch(engine, scope=Scope.ACROSS_RETRIES, on_conflict=fail())
    slot_of: dict[str, list[int]] = {}

    def retries_once(task: Any) -> None:
        slot_of.setdefault(task.request.id, []).append(task.lease.slot)
        if not task.request.retries:
            raise task.retry(countdown=1)

    fetch.during = retries_once
    with fetch.task.app.connection_for_write():
        for task_id in ("a", "b", "c"):
            fetch.deliver(id=task_id)
    kept = slots(engine)
    full = fetch.deliver(id="d")
    for task_id in ("c", "a", "b"):
        fetch.deliver(id=task_id, retries=1)

    assert kept == [0, 1, 2]
    assert isinstance(full.result, LockConflict)
    assert slot_of == {"a": [0, 0], "b": [1, 1], "c": [2, 2]}
    assert slots(engine) == []


# -- what a policy, a caller and a log line are shown ----------------------------------------


def full(engine: Engine) -> None:
    """Three others have the permits; the second one came five seconds later, for four seconds."""
    first, *_ = taken(engine, 2)
    engine.move(5)
    engine.hold(KEY, task_id="late", limit=3, ttl=4)
    assert first.slot == 0


def test_a_policy_sees_all_holders_and_the_one_whose_permit_comes_free_first(
    engine: Engine,
) -> None:
    seen: list[Any] = []

    def policy(conflict: Any) -> Any:
        seen.append(conflict)
        return skip()

    fetch = Fetch(engine, on_conflict=policy)
    full(engine)

    result = fetch.deliver().result

    (conflict,) = seen
    assert [one.task_id for one in conflict.holders] == ["other-0", "other-1", "late"]
    assert [one.since for one in conflict.holders] == [EPOCH + 1000] * 2 + [EPOCH + 1005]
    assert (conflict.holder.task_id, conflict.expires_in) == ("late", 4.0)
    assert is_skipped(result)
    assert result == {"skipped": KEY, "held_by": "late"}


def test_a_lock_with_one_permit_shows_its_one_holder(engine: Engine) -> None:
    seen: list[Any] = []
    fetch = Fetch(engine, limit=1, on_conflict=lambda conflict: seen.append(conflict) or skip())
    taken(engine, 1, limit=1)

    fetch.deliver()

    assert seen[0].holders == (seen[0].holder,)


def test_an_error_names_all_holders(engine: Engine) -> None:
    fetch = Fetch(engine, on_conflict=fail())
    full(engine)

    error = fetch.deliver().result

    assert str(error) == "lock 'api:x' is taken 3 times, by other-0, other-1 and late"
    assert (error.holder, error.expires_in) == ("late", 4.0)
    assert error.holders == ("other-0", "other-1", "late")


def test_a_conflict_is_logged_with_its_holders_and_the_first_permit_to_come_free(
    engine: Engine,
) -> None:
    fetch = Fetch(engine, on_conflict=skip())
    full(engine)

    fetch.deliver()

    (fact,) = engine.told(Conflicted)
    template, *values = words(fact)
    assert template % tuple(values) == (
        "Task fetch[id-1]: skipped, will not run: lock 'api:x' is taken 3 times, by"
        " task other-0 on w1 (pid 1) since 2023-11-14 22:30:00 UTC,"
        " task other-1 on w1 (pid 1) since 2023-11-14 22:30:00 UTC and"
        " task late on w1 (pid 1) since 2023-11-14 22:30:05 UTC;"
        " the first permit is free in at most 4.0 s unless renewed; attempt 1"
    )
    carried = event_fields(fact)
    assert carried["holder_task"] == "late"
    assert [one.split("#")[0] for one in carried["holders"]] == ["other-0", "other-1", "late"]


def test_who_has_a_permit_says_which_one(engine: Engine) -> None:
    fetch = Fetch(engine)
    taken(engine, 1)

    def outlived(task: Any) -> None:
        engine.clock.move(40)
        engine.keeper.notify_losses()

    fetch.during = outlived
    fetch.deliver()

    facts = [fact for kind in (Acquired, Lost, Released) for fact in engine.told(kind)]
    said = [(words(fact)[0] % tuple(words(fact)[1:])) for fact in facts]
    assert [fact.slot for fact in facts] == [1, 1, 1]
    assert all(", slot 1, token" in one for one in said)


def test_who_has_the_only_permit_says_no_slot(engine: Engine) -> None:
    fetch = Fetch(engine, limit=1)

    fetch.deliver()

    facts = [*engine.told(Acquired), *engine.told(Released)]
    assert [fact.slot for fact in facts] == [None, None]
    assert not any("slot" in words(fact)[0] % tuple(words(fact)[1:]) for fact in facts)


# -- waiting ---------------------------------------------------------------------------------


def test_a_waiter_gets_the_first_permit_that_comes_free(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = Fetch(engine, on_conflict=wait(10))
    leases = taken(engine, 3, ttl=60.0)
    watch = engine.store.watch

    def and_frees(key: str, timeout: float) -> Any:
        if engine.clock() >= 1003 and len(slots(engine)) == 3:
            engine.free(leases[1])
        return watch(key, timeout)

    monkeypatch.setattr(engine.store, "watch", and_frees)
    fetch.during = lambda task: task.lease.slot

    assert fetch.deliver().result == 1
    assert engine.clock() < 1005


def test_a_waiter_stays_while_somebody_works_under_one_of_the_permits(engine: Engine) -> None:
    fetch = Fetch(engine, scope=Scope.ACROSS_RETRIES, on_conflict=wait(10))
    leases = taken(engine, 3, ttl=60.0)

    for number, lease in enumerate(leases):
        ended = fetch.deliver(id=f"id-{number}")
        assert isinstance(ended.result, LockWaitTimeout)
        end = End(heir=str(Holder.for_retry(f"other-{number}", 1)), heir_ttl=3600.0)
        assert engine.store.inner.release(lease, end)
        engine.move(0.5)
    ended = fetch.deliver(id="id-3")

    assert ended.state == "IGNORED"  # all of them wait for their retries: it waits outside
    assert engine.sent[-1].delay == 1.0


def test_an_eager_body_does_not_wait_for_the_permits_of_bodies_around_it(engine: Engine) -> None:
    fetch = Fetch(engine, limit=2, on_conflict=wait(10))
    results: list[Any] = []

    def nests(task: Any) -> None:
        results.append(task.apply(throw=False).result)

    fetch.during = nests
    fetch.deliver()

    assert type(results[0]) is LockConflict
    assert engine.clock() == 1000


def test_an_eager_body_waits_for_a_permit_that_somebody_else_has(engine: Engine) -> None:
    fetch = Fetch(engine, limit=2, on_conflict=wait(10))
    taken(engine, 1, limit=2, ttl=4.0)
    slots_had: list[int] = []

    def nests(task: Any) -> None:
        slots_had.append(task.lease.slot)
        if len(slots_had) < 2:
            task.apply()

    fetch.during = nests
    fetch.deliver()

    assert slots_had == [1, 0]
    assert engine.clock() == pytest.approx(1004, abs=0.1)


# -- the test helper -------------------------------------------------------------------------


def test_a_test_holds_so_many_permits_for_others_and_gives_back_the_first(engine: Engine) -> None:
    fetch = Fetch(engine, on_conflict=skip())
    with memory_locks(fetch.task.app) as locks:
        leases = [locks.hold(KEY, limit=3) for _ in range(3)]
        full = fetch.task.apply().result
        ids = [holder.task_id for holder in locks.holders(KEY)]
        locks.free(KEY)
        fetch.during = lambda task: task.lease.slot
        after = fetch.task.apply().result
        again = locks.hold(KEY, limit=3)

    assert again.slot == 0
    assert [lease.slot for lease in leases] == [0, 1, 2]
    assert ids == ["another-task", "another-task-2", "another-task-3"]
    assert is_skipped(full)
    assert after == 0


def test_a_test_can_hold_no_more_than_there_are(engine: Engine) -> None:
    with memory_locks(engine.app()) as locks:
        locks.hold(KEY, limit=2)
        locks.hold(KEY, limit=2)

        with pytest.raises(LockError, match="lock 'api:x' is held by another-task"):
            locks.hold(KEY, limit=2)
        with pytest.raises(LockConfigurationError, match="from 1 to 256"):
            locks.hold(KEY, limit=0)
        assert locks.holders("other") == []


def test_a_test_cannot_hold_a_key_twice_until_its_time_has_passed(engine: Engine) -> None:
    with memory_locks(engine.app()) as locks:
        first = locks.hold(KEY, ttl=5)

        with pytest.raises(LockError, match="lock 'api:x' is held by another-task"):
            locks.hold(KEY)

        locks.advance(5)
        assert locks.hold(KEY).token > first.token


def test_a_test_that_frees_what_it_does_not_hold_is_told_so(engine: Engine) -> None:
    with memory_locks(engine.app()) as locks:
        locks.hold(KEY)
        locks.free(KEY)

        for key in (KEY, "other"):
            with pytest.raises(LockError, match=rf"nothing is there to free: hold\('{key}'\)"):
                locks.free(key)
