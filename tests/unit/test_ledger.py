"""What one beat says to the store and makes of the answers, where it takes several in a row."""

from __future__ import annotations

from typing import Any

import pytest

from celery_lock.beat.calls import Calls
from celery_lock.beat.clock import StoreClock
from celery_lock.beat.ledger import Ledger
from celery_lock.beat.ticks import RetryAfter, Stale, Tick, TickRequest
from celery_lock.errors import StoreError
from celery_lock.model import Change
from celery_lock.stores.manual_clock import ManualClock
from celery_lock.stores.memory import MemoryServer, MemoryStore
from celery_lock.testing import FaultyStore

pytestmark = pytest.mark.unit

EPOCH = 1_773_144_000.0


class TwoBeats:
    """Two beats, a store, and time."""

    def __init__(self) -> None:
        self.clock = ManualClock(100.0)
        self.server = MemoryServer(self.clock, epoch=EPOCH)
        self.failed: list[StoreError] = []

    def beat(self, name: str) -> tuple[Ledger, FaultyStore]:
        store = FaultyStore(MemoryStore(self.server))
        clock = StoreClock(EPOCH + self.clock(), self.clock)
        calls = Calls(store, "beat:shop", clock, self.failed.append)
        ledger = Ledger(calls, name)
        ledger.views.load({"e": None})
        return ledger, store

    def request(self, claim_ttl: float = 10.0) -> TickRequest:
        now = EPOCH + self.clock()
        return TickRequest(due=now, next_base=now, claim_ttl=claim_ttl, following=claim_ttl)


@pytest.fixture
def beats() -> TwoBeats:
    return TwoBeats()


def granted(answer: Any) -> Tick:
    assert isinstance(answer, Tick), answer
    return answer


def test_a_record_has_a_life_that_is_far_longer_than_its_entrys_pauses(beats: TwoBeats) -> None:
    ledger, store = beats.beat("a")
    beats.clock.move(1)
    month = TickRequest(EPOCH + 101, EPOCH + 101, 10.0, following=30 * 86_400.0)

    ledger.confirm(granted(ledger.claim("e", month)))

    assert [asked["change"].ttl for asked in store.asked("change")[1:]] == [150 * 86_400.0] * 2


def test_a_record_of_an_entry_that_has_not_run_yet_lives_no_longer(beats: TwoBeats) -> None:
    ledger, store = beats.beat("a")

    ledger.views.load({"soon": None}, lambda name, run: run + 10.0)
    ledger.views.load({"who knows": None})

    days = [asked["change"].ttl / 86_400.0 for asked in store.asked("change")[-2:]]
    assert days == [pytest.approx(30, abs=0.1), 400]


def test_after_an_outage_nobody_takes_over_for_the_life_of_the_claim(beats: TwoBeats) -> None:
    one, ones_store = beats.beat("one")
    two, twos_store = beats.beat("two")
    beats.clock.move(1)
    tick = granted(one.claim("e", beats.request()))
    assert isinstance(two.claim("e", beats.request()), RetryAfter)
    ones_store.refuse()
    twos_store.refuse()
    one.confirm(tick)  # it has been published, and cannot be confirmed
    beats.clock.move(9.5)
    with pytest.raises(StoreError):
        two.look("e", beats.request())
    beats.clock.move(1.1)
    ones_store.heal()
    twos_store.heal()

    answer = two.look("e", beats.request())
    one.confirms.send_pending()
    after = two.look("e", beats.request())

    assert isinstance(answer, RetryAfter), "its claim has ended, but the store has just come back"
    assert 9 < answer.seconds <= 10
    assert after is None
    assert not one.confirms.are_pending


def test_a_beat_that_has_just_begun_takes_nothing_over_for_the_life_of_the_claim(
    beats: TwoBeats,
) -> None:
    one, _ = beats.beat("one")
    beats.clock.move(1)
    granted(one.claim("e", beats.request()))
    beats.clock.move(10.5)
    two, _ = beats.beat("two")

    first = two.claim("e", beats.request())
    beats.clock.move(10)
    second = granted(two.look("e", beats.request()))

    assert isinstance(first, RetryAfter)
    assert second.tries == 2


def test_a_tick_that_is_given_up_is_taken_over_without_such_a_pause(beats: TwoBeats) -> None:
    one, _ = beats.beat("one")
    beats.clock.move(1)
    tick = granted(one.claim("e", beats.request()))
    one.fail(tick)
    two, _ = beats.beat("two")
    beats.clock.move(1.01)

    taken = granted(two.claim("e", beats.request()))

    assert taken.due == tick.due


def test_a_confirm_counts_though_another_beat_has_taken_the_tick_over(beats: TwoBeats) -> None:
    one, ones_store = beats.beat("one")
    two, _ = beats.beat("two")
    beats.clock.move(1)
    tick = granted(one.claim("e", beats.request()))
    assert isinstance(two.claim("e", beats.request()), RetryAfter)
    beats.clock.move(10.01)
    granted(two.look("e", beats.request()))  # and dies before it publishes

    one.confirm(tick)

    (record,), _ = ones_store.records("beat:shop", ["e"])
    assert '"claim"' not in record.value
    assert f'"last": {tick.next_base}' in record.value


def test_a_confirm_of_long_ago_changes_nothing(beats: TwoBeats) -> None:
    one, ones_store = beats.beat("one")
    two, _ = beats.beat("two")
    beats.clock.move(1)
    tick = granted(one.claim("e", beats.request()))
    two.claim("e", beats.request())
    beats.clock.move(10.01)
    two.confirm(granted(two.look("e", beats.request())))
    beats.clock.move(10)
    two.confirm(granted(two.claim("e", beats.request())))
    (before,), _ = ones_store.records("beat:shop", ["e"])

    one.confirm(tick)

    assert ones_store.records("beat:shop", ["e"])[0] == [before]


def test_a_claim_that_the_store_brings_back_after_its_confirm_is_passed_over(
    beats: TwoBeats,
) -> None:
    one, store = beats.beat("one")
    beats.clock.move(1)
    tick = granted(one.claim("e", beats.request()))
    (open_,), _ = store.records("beat:shop", ["e"])
    one.confirm(tick)
    (quiet,), _ = store.records("beat:shop", ["e"])
    back = Change("beat:shop", "e", quiet.stamp, open_.stamp, open_.value, 60)
    assert store.inner.change(back).done
    beats.clock.move(20)

    after = granted(one.claim("e", beats.request()))

    assert after.due > tick.due
    assert after.last == tick.run


def test_a_look_at_a_claim_of_long_ago_ends_the_doubt(beats: TwoBeats) -> None:
    one, store = beats.beat("one")
    two, _ = beats.beat("two")
    beats.clock.move(1)
    first = granted(one.claim("e", beats.request()))
    (open_,), _ = store.records("beat:shop", ["e"])
    one.confirm(first)
    assert isinstance(two.claim("e", beats.request()), Stale)
    beats.clock.move(5)
    granted(one.claim("e", beats.request()))
    assert isinstance(two.claim("e", beats.request()), RetryAfter)
    assert not two.views.of("e").is_sure
    (claimed,), _ = store.records("beat:shop", ["e"])
    back = Change("beat:shop", "e", claimed.stamp, open_.stamp, open_.value, 60)
    assert store.inner.change(back).done

    answer = two.look("e", beats.request())

    assert answer is None
    assert two.views.of("e").is_sure


def test_a_beat_that_lags_behind_is_told_to_think_again(beats: TwoBeats) -> None:
    one, _ = beats.beat("one")
    two, _ = beats.beat("two")
    beats.clock.move(1)
    one.confirm(granted(one.claim("e", beats.request())))

    answer = two.claim("e", beats.request())

    assert isinstance(answer, Stale)
    assert two.views.of("e").last == one.views.of("e").last


def test_a_thousand_pending_confirms_are_not_tried_while_the_store_is_silent(
    beats: TwoBeats,
) -> None:
    one, store = beats.beat("one")
    beats.clock.move(1)
    tick = granted(one.claim("e", beats.request()))
    store.refuse()
    for _ in range(1000):
        one.confirm(tick)

    one.confirms.send_pending()

    assert len(beats.failed) == 1
