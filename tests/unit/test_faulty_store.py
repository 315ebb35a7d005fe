"""The store that fails as a test says: for which calls, how, how often, and what it notes."""

from __future__ import annotations

from typing import Any

import pytest

from celery_lock.contract import StoreContract
from celery_lock.errors import LockConfigurationError, StoreUnavailable
from celery_lock.model import Claim, Feature, Held, Lease
from celery_lock.stores.manual_clock import ManualClock
from celery_lock.stores.memory import MemoryServer, MemoryStore
from celery_lock.testing import FaultyStore, StoreCall

pytestmark = pytest.mark.unit


class TestOneThatDoesNotFail(StoreContract):
    """It is a store like the one behind it."""

    @pytest.fixture(autouse=True)
    def _fresh(self) -> None:
        self.clock = ManualClock()
        self.server = MemoryServer(self.clock)

    def open_store(self, prefix: str) -> FaultyStore:
        return FaultyStore(MemoryStore(self.server, prefix=prefix))

    def elapse(self, seconds: float) -> None:
        self.clock.move(seconds)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def store(clock: ManualClock) -> FaultyStore:
    return FaultyStore(MemoryStore(MemoryServer(clock)), pause=clock.move)


CLAIM = Claim("k", "id-1#w1#1#n", 30.0)


def test_a_refused_call_never_reaches_the_store(store: FaultyStore) -> None:
    store.refuse("acquire")

    with pytest.raises(StoreUnavailable, match="memory:// is not available"):
        store.acquire(CLAIM)

    assert store.peek("k") is None


def test_a_call_whose_answer_is_lost_has_been_done(store: FaultyStore) -> None:
    store.lose_answer("acquire")

    with pytest.raises(StoreUnavailable):
        store.acquire(CLAIM)

    assert isinstance(store.peek("k"), Held)


def test_a_call_fails_with_the_error_that_the_test_names(store: FaultyStore) -> None:
    store.refuse("acquire", error=MemoryError())
    store.lose_answer("undo", error=KeyboardInterrupt())

    with pytest.raises(MemoryError):
        store.acquire(CLAIM)
    with pytest.raises(KeyboardInterrupt):
        store.undo(CLAIM)


def test_a_slow_answer_takes_its_time_by_the_clock_of_the_test(
    store: FaultyStore, clock: ManualClock
) -> None:
    store.slow("acquire", seconds=12)

    assert isinstance(store.acquire(CLAIM), Lease)
    assert clock() == 1012.0


def test_nothing_is_slow_without_a_clock() -> None:
    store = FaultyStore(MemoryStore())

    with pytest.raises(ValueError, match=r"pause=clock\.move"):
        store.slow("acquire", seconds=12)


def test_any_function_may_answer_instead(store: FaultyStore) -> None:
    def somebody_is_faster(call: StoreCall) -> object:
        assert (call.name, call.arguments) == ("acquire", {"claim": CLAIM})
        store.inner.acquire(Claim("k", "id-2#w1#1#n", 30.0))
        return call()

    store.instead("acquire", do=somebody_is_faster)

    got = store.acquire(CLAIM)

    assert isinstance(got, Held)
    assert got.holder == "id-2#w1#1#n"


def test_a_fault_without_a_name_is_for_every_call(store: FaultyStore) -> None:
    store.refuse()

    for ask in (
        lambda: store.acquire(CLAIM),
        lambda: store.renew([]),
        lambda: store.free("k", "id-1#"),
        lambda: store.undo(CLAIM),
        lambda: store.watch("k", 1.0),
        lambda: store.peek("k"),
        lambda: store.records("s", []),
        lambda: store.names("s"),
        lambda: store.check(),
    ):
        with pytest.raises(StoreUnavailable):
            ask()
    store.close()


def test_a_fault_happens_so_many_times_in_all(store: FaultyStore) -> None:
    store.refuse("peek", "check", times=2)

    for ask in (store.check, lambda: store.peek("k")):
        with pytest.raises(StoreUnavailable):
            ask()

    assert store.peek("k") is None
    assert len(store.check()) == 1


def test_the_fault_that_was_said_last_happens_first(store: FaultyStore) -> None:
    store.instead("peek", do=lambda call: "the first")
    store.instead("peek", do=lambda call: "the second", times=1)

    assert [store.peek("k"), store.peek("k")] == ["the second", "the first"]


def test_a_healed_call_is_passed_on_and_others_still_fail(store: FaultyStore) -> None:
    store.refuse()
    store.heal("peek", "check")

    assert store.peek("k") is None
    with pytest.raises(StoreUnavailable):
        store.acquire(CLAIM)

    store.heal()
    assert isinstance(store.acquire(CLAIM), Lease)


def test_after_it_was_down_the_other_faults_count_again(store: FaultyStore) -> None:
    store.instead("peek", do=lambda call: "odd")

    with store.down(), pytest.raises(StoreUnavailable):
        store.peek("k")

    assert store.peek("k") == "odd"
    assert isinstance(store.acquire(CLAIM), Lease)


def test_calls_are_noted_with_what_was_asked_also_those_that_fail(store: FaultyStore) -> None:
    lease = store.inner.acquire(CLAIM)
    assert isinstance(lease, Lease)
    store.refuse("renew")
    with pytest.raises(StoreUnavailable):
        store.renew([(lease, 30.0)], within=0.5)
    store.release(lease)

    assert store.calls == ["renew", "release"]
    assert store.asked("renew") == [{"renewals": [(lease, 30.0)], "within": 0.5}]
    assert store.asked("acquire") == []


def test_what_it_lacks_is_no_feature_and_must_not_be_asked(store: FaultyStore) -> None:
    store.lacks = {Feature.WATCH}

    assert store.features == frozenset(Feature) - {Feature.WATCH}
    with pytest.raises(AssertionError, match="a store without"):
        store.watch("k", 1.0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"do": 5}, "do=5 is no function; write one that is given the call"),
        ({"do": len, "times": 0}, "times=0 is never; write 1 or more, or leave it out for always"),
        ({"do": len, "times": "2"}, "times='2' is no number of calls"),
    ],
)
def test_what_could_never_happen_as_it_was_said_is_refused(
    store: FaultyStore, options: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        store.instead("peek", **options)

    assert store.peek("k") is None


@pytest.mark.parametrize("seconds", ["1", -1, None])
def test_how_slow_an_answer_is_has_to_be_a_time(seconds: Any) -> None:
    store = FaultyStore(MemoryStore(), pause=lambda seconds: None)

    with pytest.raises(LockConfigurationError, match=r"slow\(seconds\)="):
        store.slow("renew", seconds=seconds)


@pytest.mark.parametrize("said", ["refuse", "lose_answer", "heal", "asked"])
def test_a_misspelt_call_is_refused(store: FaultyStore, said: str) -> None:
    with pytest.raises(ValueError, match=r"no call 'aquire'.*did you mean 'acquire'"):
        getattr(store, said)("aquire")
