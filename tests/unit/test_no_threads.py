"""A process that can begin no thread: the policy of an outage holds, and no key stays taken."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import pytest
from celery import Celery

from celery_lock import Lock
from celery_lock.app.locks import locks_of
from celery_lock.engine.locker import Ask, Grant, Locker
from celery_lock.engine.pending_calls import PendingCalls
from celery_lock.errors import StoreUnavailable
from celery_lock.model import Claim, Completion
from celery_lock.model.clock import Clock
from celery_lock.stores.manual_clock import ManualClock
from celery_lock.stores.memory import MemoryServer, MemoryStore
from celery_lock.testing import FaultyStore

from .engine import EPOCH, SUBJECT, Engine, deliver, locked

ALL = ("celery-lock-clock", "celery-lock-renewal", "celery-lock-calls")
DOWN = StoreUnavailable("memory://", "no answer")

Refuse = Callable[..., None]


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Refuse:
    """Let these threads not begin, as in a container whose limit of processes is reached."""
    start = threading.Thread.start

    def refuse(*names: str) -> None:
        def begin(thread: threading.Thread) -> None:
            if thread.name in names:
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", begin)

    return refuse


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1000.0, jumps=True)


@pytest.fixture
def store(clock: ManualClock) -> FaultyStore:
    return FaultyStore(MemoryStore(MemoryServer(clock, epoch=EPOCH)), pause=clock.move)


@pytest.fixture
def locker(store: FaultyStore, clock: Clock) -> Locker:
    return Locker(store, clock=clock)


_nonces = itertools.count()


def ask(key: str = "k") -> Ask:
    return Ask(Claim(key, f"id-1#w1#1#n{next(_nonces)}", ttl=30.0), SUBJECT)


@pytest.mark.parametrize("names", [ALL, ALL[:1], ALL[1:2], ALL[1:]])
def test_a_claim_whose_lease_nobody_could_renew_ends_as_one_without_an_answer(
    refuse: Refuse, store: FaultyStore, locker: Locker, names: tuple[str, ...]
) -> None:
    refuse(*names)

    with pytest.raises(StoreUnavailable, match="can't start new thread"):
        locker.claim(ask())
    locker.pending.make_now()

    assert store.inner.peek("k") is None
    assert len(locker.keeper) == 0


def test_its_key_is_free_at_once(refuse: Refuse, store: FaultyStore, locker: Locker) -> None:
    refuse(*ALL)

    with pytest.raises(StoreUnavailable):
        locker.claim(ask())

    assert store.inner.peek("k") is None


def test_several_keys_are_free_at_once(refuse: Refuse, store: FaultyStore, locker: Locker) -> None:
    refuse(*ALL)

    with pytest.raises(StoreUnavailable):
        locker.claim_all([ask("k"), ask("l")])

    assert (store.inner.peek("k"), store.inner.peek("l")) == (None, None)


def test_its_message_is_sent_again(refuse: Refuse, engine: Engine, locker: Locker) -> None:
    app: Celery = engine.app()

    @locked(app, Lock("order:{n}"))
    def ship(n: int) -> int:
        return n

    locks_of(app).swap(locker)
    refuse(*ALL)

    ended = deliver(ship, 7)

    assert ended.state == "IGNORED"
    assert len(engine.sent) == 1


def test_a_release_without_an_answer_raises_nothing_and_is_tried_at_the_next_call(
    refuse: Refuse, store: FaultyStore, locker: Locker, clock: ManualClock
) -> None:
    grant = locker.claim(ask())
    assert isinstance(grant, Grant)
    refuse(*ALL)
    store.refuse("release", times=2)

    locker.release(grant)
    assert store.inner.peek("k") is not None
    clock.move(1)
    locker.pending.add(lambda: None, for_=30)

    assert store.inner.peek("k") is None


def test_completions_are_told_as_others_come(
    refuse: Refuse, store: FaultyStore, locker: Locker, clock: ManualClock
) -> None:
    refuse(*ALL)

    for number in range(3):
        locker.complete(Completion("k", f"publication-{number}", 60.0), SUBJECT)
        clock.move(1)

    assert store.calls.count("complete") == 1
    assert len(locker.completions) == 1


def test_a_store_that_has_hung_is_asked_again(
    refuse: Refuse, store: FaultyStore, locker: Locker, clock: ManualClock
) -> None:
    refuse("celery-lock-calls")
    for call in ("acquire", "renew"):  # a claim, and what asks in its place
        store.instead(call, do=lambda call: hang(clock))
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            locker.claim(ask())
    store.heal()
    clock.move(1)

    with pytest.raises(StoreUnavailable, match="not asked"):
        locker.claim(ask())  # who is refused asks whether it answers again

    assert isinstance(locker.claim(ask()), Grant)


def hang(clock: ManualClock) -> None:
    clock.move(2)
    raise DOWN


def test_a_call_that_asks_for_the_next_step_is_not_made_within_itself(
    refuse: Refuse, clock: ManualClock
) -> None:
    refuse(*ALL)
    calls, made = PendingCalls(clock=clock), list[float]()

    def make() -> None:
        made.append(clock())
        calls.wake(clock())

    calls.add(make, for_=30)

    assert made == [1000.0]
