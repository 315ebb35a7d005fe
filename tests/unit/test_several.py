"""A task with several locks: all keys are taken or none, whatever becomes of the message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from celery.exceptions import Retry

from celery_lock import (
    Conflict,
    LeaseLost,
    Lock,
    LockConflict,
    LockError,
    Scope,
    current_lease,
    fail,
    is_skipped,
    requeue,
    skip,
    wait,
)
from celery_lock.errors import LockWaitTimeout
from celery_lock.events import Acquired, Conflicted, Released
from celery_lock.message import HEADER
from celery_lock.message.delivery import in_queue
from celery_lock.model import Completion, Feature, Held, Holder, Lease, Met
from celery_lock.task import holding

from .engine import Ended, Engine, deliver, locked

TWO = [Lock("from:{a}"), Lock("to:{b}")]
BOTH = ("from:1", "to:2")


@pytest.fixture(params=[(), (Feature.SEVERAL,)], ids=["one step", "one after another"])
def engine(request: pytest.FixtureRequest) -> Engine:
    engine = Engine()
    engine.store.lacks = request.param
    return engine


class Transfer:
    """A task with several locks, and how often its body ran."""

    def __init__(self, engine: Engine, locks: Any = TWO, **options: Any) -> None:
        self.engine = engine
        self.ran: list[Any] = []
        self.during: Callable[[Any], Any] = lambda task: "done"

        def body(task: Any, a: int = 1, b: int = 2) -> Any:
            self.ran.append((a, b))
            return self.during(task)

        app = engine.app()
        self.task = locked(app, locks, name="transfer", bind=True, max_retries=9, **options)(body)

    def deliver(self, *args: Any, **request: Any) -> Ended:
        return deliver(self.task, *args, **request)


def again(engine: Engine) -> dict[str, Any]:
    """The headers of the message that was sent last."""
    return {HEADER: engine.sent[-1].header}


def holders(engine: Engine, *names: str) -> list[str | None]:
    return [engine.holder_of(name) for name in names]


# -- all of them ------------------------------------------------------------------------------


def test_all_keys_are_held_while_the_body_runs_and_free_afterwards(engine: Engine) -> None:
    transfer = Transfer(engine)
    seen: list[Any] = []
    transfer.during = lambda task: seen.append(holders(engine, *BOTH))

    assert transfer.deliver().state == "SUCCESS"

    assert seen == [["id-1", "id-1"]]
    assert holders(engine, *BOTH) == [None, None]
    assert sorted(fact.key for fact in engine.told(Acquired)) == ["from:1", "to:2"]
    assert sorted(fact.key for fact in engine.told(Released)) == ["from:1", "to:2"]
    assert len(engine.keeper) == 0


def test_the_leases_stand_in_the_order_in_which_they_are_declared(engine: Engine) -> None:
    transfer = Transfer(engine, [Lock("z:{a}"), Lock("a:{b}")])
    seen: list[Any] = []

    def look(task: Any) -> None:
        seen.extend(lease.key for lease in task.leases)
        seen.append(task.lease is task.leases[0] and current_lease() is task.lease)

    transfer.during = look

    assert transfer.deliver().state == "SUCCESS"
    assert seen == ["z:1", "a:2", True]


def test_each_fact_has_the_template_of_its_own_lock(engine: Engine) -> None:
    Transfer(engine).deliver()

    templates = {fact.key: fact.subject.template for fact in engine.facts}
    assert templates == {"from:1": "from:{a}", "to:2": "to:{b}"}


def test_a_task_with_one_lock_has_one_lease_in_its_list(engine: Engine) -> None:
    transfer = Transfer(engine, Lock("k"))
    seen: list[Any] = []
    transfer.during = lambda task: seen.append([lease.key for lease in task.leases])

    assert transfer.deliver().state == "SUCCESS"
    assert seen == [["k"]]


@pytest.mark.parametrize("given", [[Lock("k")], (Lock("k"),)], ids=["list", "tuple"])
def test_a_list_of_one_lock_is_that_lock(engine: Engine, given: Any) -> None:
    transfer = Transfer(engine, given)
    engine.hold("k")

    transfer.deliver()

    assert again(engine)[HEADER]["key"] == "k"
    assert "keys" not in again(engine)[HEADER]


def test_two_locks_that_spell_one_key_take_it_once(engine: Engine) -> None:
    """A transfer of an account to itself waits for nobody."""
    transfer = Transfer(engine, [Lock("acct:{a}"), Lock("acct:{b}")])
    seen: list[Any] = []
    transfer.during = lambda task: seen.append([lease.key for lease in task.leases])

    assert transfer.deliver(5, 5).state == "SUCCESS"

    assert seen == [["acct:5", "acct:5"]]
    assert [fact.key for fact in engine.told(Acquired)] == ["acct:5"]
    assert engine.holder_of("acct:5") is None


def test_a_key_that_two_locks_spell_lasts_as_long_as_either_of_them_says(engine: Engine) -> None:
    transfer = Transfer(engine, [Lock("x:{a}", at_least=5), Lock("x:{b}", at_least=60, ttl=90)])

    transfer.deliver(5, 5)

    engine.clock.move(30)
    held = engine.store.inner.peek("x:5")
    assert held is not None
    assert not held.live


# -- or none ----------------------------------------------------------------------------------


@pytest.mark.parametrize("busy", BOTH)
def test_if_one_key_is_taken_the_other_one_is_left(engine: Engine, busy: str) -> None:
    transfer = Transfer(engine)
    engine.hold(busy)

    assert transfer.deliver().state == "IGNORED"

    free = next(name for name in BOTH if name != busy)
    assert (engine.holder_of(busy), engine.holder_of(free)) == ("other", None)
    (fact,) = engine.told(Conflicted)
    assert (fact.key, fact.subject.template.partition(":")[0]) == (busy, busy.partition(":")[0])
    assert transfer.ran == []
    assert engine.told(Acquired) == []


def test_what_was_not_given_has_left_no_floor(engine: Engine) -> None:
    transfer = Transfer(engine, [Lock("from:{a}", at_least=60), Lock("to:{b}", at_least=60)])
    engine.hold("to:2")

    transfer.deliver()

    assert engine.store.inner.peek("from:1") is None


def test_the_policy_of_the_busy_lock_decides(engine: Engine) -> None:
    locks = [Lock("from:{a}", on_conflict=skip()), Lock("to:{b}", on_conflict=fail())]
    first = engine.hold("from:1")
    skipped = Transfer(engine, locks).deliver()
    engine.free(first)
    engine.hold("to:2")

    failed = Transfer(engine, locks).deliver(id="id-2", tag="tag-2")

    assert is_skipped(skipped.result)
    assert skipped.result["skipped"] == "from:1"
    assert isinstance(failed.result, LockConflict)
    assert failed.result.key == "to:2"


def test_a_policy_function_is_shown_the_key_that_was_taken(engine: Engine) -> None:
    seen: list[Conflict] = []

    def policy(conflict: Conflict) -> Any:
        seen.append(conflict)
        return skip()

    Transfer(engine, [Lock("from:{a}"), Lock("to:{b}", on_conflict=policy)])
    transfer = Transfer(engine, [Lock("from:{a}"), Lock("to:{b}", on_conflict=policy)])
    engine.hold("to:2", task_id="they")

    transfer.deliver()

    assert [(each.key, each.holder.task_id, each.attempt) for each in seen] == [("to:2", "they", 1)]


def test_a_message_that_is_sent_again_carries_all_keys(engine: Engine) -> None:
    transfer = Transfer(engine)
    engine.hold("to:2")

    transfer.deliver()

    header = again(engine)[HEADER]
    assert header["keys"] == ["from:1", "to:2"]
    assert "key" not in header


def test_the_keys_that_a_message_carries_are_not_computed_anew(engine: Engine) -> None:
    transfer = Transfer(engine)
    theirs = engine.hold("to:2")
    transfer.deliver()
    engine.free(theirs)
    seen: list[Any] = []
    transfer.during = lambda task: seen.append([lease.key for lease in task.leases])

    transfer.deliver(8, 9, headers=again(engine))

    assert seen == [["from:1", "to:2"]]


def test_one_delivery_is_one_attempt_whichever_keys_it_met(engine: Engine) -> None:
    transfer = Transfer(engine, [Lock("from:{a}", on_conflict=requeue()), Lock("to:{b}")])
    theirs = engine.hold("from:1")
    transfer.deliver()
    engine.free(theirs)
    engine.hold("to:2")

    transfer.deliver(headers=again(engine))

    assert [fact.attempt for fact in engine.told(Conflicted)] == [1, 2]
    assert [fact.key for fact in engine.told(Conflicted)] == ["from:1", "to:2"]


# -- waiting ----------------------------------------------------------------------------------


WAITING = [Lock("from:{a}", on_conflict=wait(10)), Lock("to:{b}", on_conflict=wait(10))]


def test_who_waits_for_one_key_holds_none_of_the_others(engine: Engine) -> None:
    transfer = Transfer(engine, WAITING)
    theirs = engine.hold("to:2")
    seen: list[Any] = []

    def after_a_while() -> None:
        seen.append(engine.holder_of("from:1"))
        engine.free(theirs)

    at(engine, 3, after_a_while)

    assert transfer.deliver().state == "SUCCESS"
    assert seen == [None]


def test_who_waits_in_vain_is_told_for_which_key(engine: Engine) -> None:
    transfer = Transfer(engine, WAITING)
    engine.hold("to:2", ttl=100)

    ended = transfer.deliver()

    assert isinstance(ended.result, LockWaitTimeout)
    assert ended.result.key == "to:2"


def test_a_wait_that_goes_over_to_another_key_has_one_bound(engine: Engine) -> None:
    transfer = Transfer(engine, WAITING)
    first = engine.hold("from:1", ttl=100)
    began = engine.clock()

    def swap() -> None:
        engine.hold("to:2", ttl=100)
        engine.free(first)

    at(engine, 6, swap)

    ended = transfer.deliver()

    assert isinstance(ended.result, LockWaitTimeout)
    assert ended.result.key == "to:2"
    assert 9.9 < engine.clock() - began < 11.5


def test_a_wait_that_meets_another_busy_key_asks_the_policy_of_that(engine: Engine) -> None:
    transfer = Transfer(engine, [WAITING[0], Lock("to:{b}", on_conflict=skip())])
    first = engine.hold("from:1", ttl=100)

    def swap() -> None:
        engine.hold("to:2", ttl=100)
        engine.free(first)

    at(engine, 2, swap)
    began = engine.clock()

    ended = transfer.deliver()

    assert is_skipped(ended.result)
    assert ended.result["skipped"] == "to:2"
    assert engine.clock() - began < 4


def at(engine: Engine, seconds: float, do: Callable[[], None]) -> None:
    """Do this once, when so much time has passed in the waits of the engine."""
    when, done = engine.clock() + seconds, []

    def step(call: Callable[[], Any]) -> None:
        engine.clock.move(0.5)
        if engine.clock() >= when and not done:
            done.append(True)
            do()

    engine.store.instead("watch", do=step)


# -- losing one -------------------------------------------------------------------------------


def test_losing_one_flags_that_one_alone(engine: Engine) -> None:
    transfer = Transfer(engine)
    seen: list[Any] = []

    def rob(task: Any) -> None:
        engine.store.inner.free("to:2", task.leases[1].holder)
        engine.move(20)
        seen.extend((lease.key, lease.lost) for lease in task.leases)

    transfer.during = rob

    assert transfer.deliver().state == "SUCCESS"
    assert seen == [("from:1", False), ("to:2", True)]
    assert holders(engine, *BOTH) == [None, None]


def test_losing_one_interrupts_where_that_lock_says_so(engine: Engine) -> None:
    transfer = Transfer(engine, [Lock("from:{a}"), Lock("to:{b}", on_lost="interrupt")])

    def rob(name: str) -> Callable[[Any], None]:
        def during(task: Any) -> None:
            lease = next(each for each in task.leases if each.key == name)
            engine.store.inner.free(name, lease.holder)
            engine.move(20)

        return during

    transfer.during = rob("from:1")
    flagged = transfer.deliver()
    transfer.during = rob("to:2")
    interrupted = transfer.deliver(id="id-2", tag="tag-2")

    assert flagged.state == "SUCCESS"
    assert isinstance(interrupted.result, LeaseLost)
    assert interrupted.result.key == "to:2"
    assert holders(engine, *BOTH) == [None, None]


def test_each_lease_ends_at_its_own_ceiling(engine: Engine) -> None:
    transfer = Transfer(engine, [Lock("from:{a}", at_most=40), Lock("to:{b}")])
    seen: list[Any] = []

    def hang(task: Any) -> None:
        engine.move(60)
        seen.extend(lease.lost for lease in task.leases)

    transfer.during = hang

    transfer.deliver()

    assert seen == [True, False]


# -- retries ----------------------------------------------------------------------------------

ACROSS = [
    Lock("from:{a}", scope=Scope.ACROSS_RETRIES),
    Lock("to:{b}", scope=Scope.ACROSS_RETRIES),
]


def retried(transfer: Transfer) -> None:
    def body(task: Any) -> Any:
        raise Retry("later", sig=task.s(*transfer.ran[-1]))

    transfer.during = body
    assert transfer.deliver().state == "RETRY"
    transfer.during = lambda task: [lease.key for lease in task.leases]


def test_all_keys_are_kept_for_the_retry_which_takes_them_over(engine: Engine) -> None:
    transfer = Transfer(engine, ACROSS)
    retried(transfer)
    kept = [engine.store.inner.peek(name) for name in BOTH]

    ended = transfer.deliver(retries=1)

    assert [each and each.holder for each in kept] == ["id-1/queued/1"] * 2
    assert ended == ("SUCCESS", ["from:1", "to:2"])
    assert holders(engine, *BOTH) == [None, None]


def test_a_retry_with_other_arguments_keeps_none(engine: Engine) -> None:
    transfer = Transfer(engine, ACROSS)

    def body(task: Any) -> Any:
        raise Retry("later", sig=task.s(1, 3))

    transfer.during = body
    transfer.deliver()

    assert holders(engine, *BOTH) == [None, None]


@pytest.mark.parametrize("lapsed", BOTH)
def test_if_one_has_lapsed_the_others_are_given_back_before_all_are_claimed(
    engine: Engine, lapsed: str
) -> None:
    """Two messages that each keep what the other one waits for would wait for a day."""
    transfer = Transfer(engine, ACROSS)
    retried(transfer)
    assert engine.store.inner.free(lapsed, "id-1/queued/1")
    engine.hold(lapsed)

    assert transfer.deliver(retries=1).state == "IGNORED"

    assert sorted(map(str, holders(engine, *BOTH))) == ["None", "other"]
    assert [fact.key for fact in engine.told(Conflicted)] == [lapsed]


def test_two_that_wait_for_each_others_kept_key_go_on(engine: Engine) -> None:
    one, other = Transfer(engine, ACROSS), Transfer(engine, ACROSS)
    retried(one)
    assert engine.store.inner.free("to:2", "id-1/queued/1")
    other.during = lambda task: (_ for _ in ()).throw(Retry("later", sig=task.s(9, 2)))
    other.deliver(9, 2, id="id-2")
    other.during = lambda task: "ran"

    assert one.deliver(retries=1).state == "IGNORED"
    assert other.deliver(9, 2, id="id-2", retries=1).state == "SUCCESS"
    assert one.deliver(retries=1, headers=again(engine)).state == "SUCCESS"


def test_a_key_that_lapsed_and_is_free_is_claimed_with_those_that_were_kept(
    engine: Engine,
) -> None:
    transfer = Transfer(engine, ACROSS)
    retried(transfer)
    assert engine.store.inner.free("to:2", "id-1/queued/1")

    assert transfer.deliver(retries=1).state == "SUCCESS"
    assert holders(engine, *BOTH) == [None, None]


# -- copies -----------------------------------------------------------------------------------


def test_a_copy_of_a_message_that_runs_waits_its_turn(engine: Engine) -> None:
    transfer = Transfer(engine, [Lock("from:{a}", on_conflict=skip()), Lock("to:{b}")])
    copies: list[Ended] = []
    transfer.during = lambda task: copies.append(transfer.deliver(redelivered=True, tag="tag-1"))

    transfer.deliver()

    assert [copy.state for copy in copies] == ["IGNORED"]
    assert [again.header.get("turns") for again in engine.sent] == [1]
    assert len(transfer.ran) == 1


def test_the_record_of_a_completion_lies_beside_the_first_key(engine: Engine) -> None:
    transfer = Transfer(engine, [Lock("z:{a}"), Lock("a:{b}")], acks_late=True)

    transfer.deliver(redelivered=True)

    engine.move(1)
    publication = in_queue("tag-1", "celery")
    copy = engine.claim("z:1", publication=publication, copy_since="")
    got = engine.store.inner.acquire(copy)
    assert isinstance(got, Held)
    assert got.met is Met.DONE
    elsewhere = engine.claim("a:2", publication=publication, copy_since="")
    assert isinstance(engine.store.inner.acquire(elsewhere), Lease)


def test_a_copy_of_a_completed_message_is_dropped_though_another_key_is_taken(
    engine: Engine,
) -> None:
    """Its own result stands: a `skip()` would be written over it."""
    engine.store.lacks = ()  # a list with a `skip()` asks for one step
    transfer = Transfer(engine, [Lock("z:{a}"), Lock("a:{b}", on_conflict=skip())], acks_late=True)
    transfer.deliver(redelivered=True)
    engine.move(1)
    engine.hold("a:2")

    ended = transfer.deliver(redelivered=True)

    assert ended.state == "IGNORED"
    assert engine.told(Conflicted) == []
    assert len(transfer.ran) == 1


# -- what a sender says -----------------------------------------------------------------------


def sender(**header: Any) -> dict[str, Any]:
    return {"headers": {HEADER: {"v": 1, **header}}}


def test_a_sender_may_name_a_key_for_each_lock(engine: Engine) -> None:
    transfer = Transfer(engine)
    transfer.during = lambda task: [lease.key for lease in task.leases]

    ended = transfer.deliver(**sender(keys=["from:a", "to:b"]))

    assert ended == ("SUCCESS", ["from:a", "to:b"])


@pytest.mark.parametrize(
    ("locks", "header", "said"),
    [
        (TWO, {"key": "from:1"}, r"one key, 'from:1', and task transfer has 2 locks: 'from:\{a\}'"),
        (TWO, {"keys": ["one"]}, "one key, 'one'"),
        (TWO, {"keys": ["a", "b", "c"]}, r'3 keys, and task transfer .*"keys": \["...", ...\]'),
        (Lock("k"), {"keys": ["a", "b"]}, r"2 keys, and task transfer has one lock, 'k'; send"),
    ],
)
def test_other_keys_than_the_task_has_locks_are_an_error_that_names_them(
    engine: Engine, locks: Any, header: dict[str, Any], said: str
) -> None:
    transfer = Transfer(engine, locks)

    ended = transfer.deliver(**sender(**header))

    assert isinstance(ended.result, LockError)
    with pytest.raises(LockError, match=said):
        raise ended.result
    assert transfer.ran == []


def test_a_task_with_one_lock_takes_the_one_key_of_a_list(engine: Engine) -> None:
    transfer = Transfer(engine, Lock("k"))
    transfer.during = lambda task: task.lease.key

    assert transfer.deliver(**sender(keys=["other"])).result == "other"


@pytest.mark.parametrize(
    ("locks", "carried"), [(TWO, {"key": "old:7"}), (Lock("k"), {"keys": ["old:1", "old:2"]})]
)
def test_a_message_that_was_sent_again_before_the_task_had_other_locks_is_rendered_anew(
    engine: Engine, locks: Any, carried: dict[str, Any]
) -> None:
    transfer = Transfer(engine, locks)
    transfer.during = lambda task: [lease.key for lease in task.leases]
    ours = {"v": 1, "id": "id-1", "publication": "p", "attempt": 2, "retries": 0, "nesting": 0}

    ended = transfer.deliver(headers={HEADER: {**ours, **carried}})

    assert ended.result == (["from:1", "to:2"] if locks is TWO else ["k"])


# -- eager, direct, and in one's own body -----------------------------------------------------


def test_an_eager_call_takes_all_keys(engine: Engine) -> None:
    transfer = Transfer(engine)
    transfer.during = lambda task: [lease.key for lease in task.leases]

    assert transfer.task.apply().get() == ["from:1", "to:2"]
    assert holders(engine, *BOTH) == [None, None]


def test_a_body_that_calls_its_own_task_has_its_keys(engine: Engine) -> None:
    transfer = Transfer(engine)
    transfer.during = lambda task: (
        task(1, 2) if len(transfer.ran) == 1 else [lease.key for lease in task.leases]
    )

    assert transfer.deliver().result == ["from:1", "to:2"]


def test_a_call_without_the_locks_of_its_task_takes_none(engine: Engine) -> None:
    transfer = Transfer(engine)
    engine.hold("from:1")

    def look(task: Any) -> str:
        with pytest.raises(LockError) as error:
            task.leases  # noqa: B018
        return f"{holders(engine, *BOTH)} {error.value}"

    transfer.during = look

    said = transfer.deliver(**sender(unlocked=True)).result

    assert said.startswith("['other', None] ")
    assert "without its locks 'from:1', 'to:2': its call said lock=None" in said


@pytest.mark.parametrize("others", [(1, 2), (1, 9)], ids=["the same keys", "one more"])
def test_what_replaces_a_task_in_eager_mode_has_the_keys_that_are_lent(
    engine: Engine, others: tuple[int, int]
) -> None:
    transfer = Transfer(engine)

    def replace(task: Any) -> Any:
        if len(transfer.ran) == 1:
            return task.replace(task.s(*others))
        return [lease.key for lease in task.leases]

    transfer.during = replace

    ended = transfer.task.apply((1, 2))

    assert ended.get() == [f"from:{others[0]}", f"to:{others[1]}"]
    assert holders(engine, *BOTH, "to:9") == [None, None, None]


def test_a_body_without_its_keys_says_why(engine: Engine) -> None:
    locks = [Lock("from:{a}", on_store_error="run"), Lock("to:{b}", on_store_error="run")]
    transfer = Transfer(engine, locks)

    def look(task: Any) -> str:
        engine.store.heal()
        with pytest.raises(LockError) as error:
            task.leases  # noqa: B018
        return str(error.value)

    transfer.during = look
    with engine.store.down():
        ended = transfer.deliver()

    assert "runs without its locks" in ended.result


@pytest.mark.parametrize(
    ("words", "done"),
    [
        (("run", "requeue"), "requeue"),
        (("requeue", "fail"), "fail"),
        (("run", "fail"), "fail"),
        (("run", "run"), "run"),
    ],
)
def test_without_the_store_the_strictest_word_counts(engine: Engine, words: Any, done: str) -> None:
    one, other = words
    locks = [Lock("from:{a}", on_store_error=one), Lock("to:{b}", on_store_error=other)]
    transfer = Transfer(engine, locks)

    with engine.store.down():
        ended = transfer.deliver()

    assert {"run": "SUCCESS", "requeue": "IGNORED", "fail": "FAILURE"}[done] == ended.state


# -- a stop at any point ----------------------------------------------------------------------


def test_a_stop_between_the_grant_and_the_body_leaves_no_key(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfer = Transfer(engine)

    def stopped(got: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(holding, "met", stopped)

    with pytest.raises(KeyboardInterrupt):
        transfer.deliver()

    engine.settle()
    assert holders(engine, *BOTH) == [None, None]
    assert len(engine.keeper) == 0


def test_memory_locks_name_all_keys_of_a_call(engine: Engine) -> None:
    from celery_lock.testing import memory_locks

    transfer = Transfer(engine, [Lock("x:{a}", scope=Scope.UNTIL_STARTED), Lock("x:{a}")])

    with memory_locks(transfer.task.app) as locks:
        assert locks.keys_of(transfer.task, 7) == ["x:7%queued", "x:7"]


def test_the_completion_of_a_message_that_held_nothing_lies_beside_the_first_key(
    engine: Engine,
) -> None:
    told: list[Completion] = []
    engine.locker.complete = lambda completion, subject: told.append(completion)  # type: ignore[method-assign]
    transfer = Transfer(engine, [Lock("z:{a}"), Lock("a:{b}", on_conflict=skip())], acks_late=True)
    engine.hold("a:2")

    transfer.deliver(redelivered=True)

    assert [completion.key for completion in told] == ["z:1"]


def test_a_holder_of_all_keys_is_one(engine: Engine) -> None:
    transfer = Transfer(engine)
    transfer.during = lambda task: [Holder.parse(lease.holder).nonce for lease in task.leases]

    one, other = transfer.deliver().result

    assert one == other
