"""Claims, holders and leases: whose clock counts, and when a lease has ended."""

from __future__ import annotations

import pytest

from celery_lock import LeaseLost
from celery_lock.model import Claim, Holder, Lease, ttl_to_ask
from celery_lock.model.lease import DRIFT, MARGIN
from celery_lock.stores.manual_clock import ManualClock


def a_lease(clock: ManualClock, ttl: float = 10.0, at_most: float | None = None) -> Lease:
    lease = Lease("k", "h", 5)
    asked = ttl if at_most is None else ttl_to_ask(ttl, at_most)
    lease.arm(clock, clock(), asked, at_most)
    return lease


# -- its time --------------------------------------------------------------------------------


def test_a_lease_ends_here_before_it_ends_in_the_store() -> None:
    clock = ManualClock(100.0)
    lease = a_lease(clock, ttl=10)

    assert lease.deadline == pytest.approx(110 - 10 * DRIFT - MARGIN)
    assert lease.deadline < 110


def test_time_counts_from_before_the_question_not_from_the_answer() -> None:
    clock = ManualClock(100.0)
    lease = Lease("k", "h", 5)
    sent = clock()
    clock.move(4)

    lease.arm(clock, sent, 10)

    assert lease.remaining() == pytest.approx(6, abs=0.2)


def test_a_lease_is_held_until_its_deadline_and_lost_from_then_on() -> None:
    clock = ManualClock()
    lease = a_lease(clock, ttl=10)

    clock.move(lease.deadline - 0.001)
    assert not lease.lost
    lease.check()
    clock.move(0.001)

    assert lease.lost
    assert lease.remaining() == 0
    with pytest.raises(LeaseLost) as caught:
        lease.check()
    assert (caught.value.key, caught.value.reason, caught.value.by) == ("k", "expired", None)


def test_a_renewal_moves_the_deadline_on_from_when_it_was_sent() -> None:
    clock = ManualClock()
    lease = a_lease(clock, ttl=10)
    clock.move(5)
    sent = clock()
    clock.move(2)

    assert lease.extend(sent, 10)

    assert lease.remaining() == pytest.approx(8, abs=0.2)


def test_an_answer_that_comes_after_the_deadline_revives_nothing() -> None:
    clock = ManualClock()
    lease = a_lease(clock, ttl=10)
    clock.move(5)
    sent = clock()
    clock.move(6)

    assert not lease.extend(sent, 10)

    assert lease.lost
    assert lease.remaining() == 0


def test_a_lost_lease_stays_lost() -> None:
    clock = ManualClock()
    lease = a_lease(clock)

    assert lease.lose("taken", by="id-2")

    assert not lease.extend(clock(), 10)
    assert not lease.lose("expired")
    with pytest.raises(LeaseLost, match="taken by id-2"):
        lease.check()


def test_a_lease_that_was_given_back_is_believed_in_by_nobody() -> None:
    lease = a_lease(ManualClock())
    lease.lose("released")

    with pytest.raises(LeaseLost, match="released"):
        lease.check()


def test_only_one_call_ends_a_lease() -> None:
    lease = a_lease(ManualClock())

    assert [lease.lose("taken"), lease.lose("taken")] == [True, False]


# -- its ceiling -----------------------------------------------------------------------------


@pytest.mark.parametrize("at_most", [0.001, 1, 5, 9.9, 10, 15])
def test_a_lease_that_ran_into_its_ceiling_says_so(at_most: float) -> None:
    clock = ManualClock()
    lease = a_lease(clock, ttl=10, at_most=at_most)
    while lease.deadline < at_most:
        clock.move(3)
        assert lease.extend(clock(), lease.wanted(clock(), 10))

    clock.move(at_most - clock() - 1e-5)
    assert lease.reason is None
    clock.move(2e-5)

    assert lease.reason == "at_most"


def test_no_renewal_asks_for_time_past_the_ceiling() -> None:
    clock = ManualClock()
    lease = a_lease(clock, ttl=10, at_most=12)

    assert lease.wanted(0, 10) == 10
    assert lease.wanted(8, 10) == pytest.approx(4, abs=0.1)
    assert lease.wanted(12, 10) == pytest.approx(0, abs=0.01)
    assert lease.wanted(13, 10) == 0


@pytest.mark.parametrize("left", [0.001, 1.0, 3.7, 59.0])
def test_the_store_keeps_a_lease_until_its_ceiling_at_least(left: float) -> None:
    asked = ttl_to_ask(1000, left)

    assert asked * (1 - DRIFT) - MARGIN == pytest.approx(left, abs=1e-9)


# -- what it shows ---------------------------------------------------------------------------


def test_a_lease_shows_its_key_its_token_and_the_time_it_has() -> None:
    clock = ManualClock()
    lease = a_lease(clock, ttl=10)

    assert repr(lease) == "<Lease 'k' token 5, 9.9 s left>"
    lease.lose("taken")
    assert repr(lease) == "<Lease 'k' token 5, lost>"


def test_two_leases_of_one_key_are_two() -> None:
    clock = ManualClock()

    assert a_lease(clock) != a_lease(clock)


# -- holders ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "holder",
    [
        Holder("id-1", "w1@host", 17, "ab"),
        Holder("an#id#of#its#own", "w1@host", 17, "ab"),
        Holder("", "", 0, ""),
        Holder("id-1", "", 17, "ab"),
        Holder("nightly 5%\u00e9", "w1", 17, "ab"),
    ],
)
def test_a_holder_is_read_as_it_was_written(holder: Holder) -> None:
    assert Holder.parse(str(holder)) == holder


def test_a_node_cannot_be_taken_for_another_part() -> None:
    parsed = Holder.parse(str(Holder("id-1", "w#1#2", 17, "ab")))

    assert parsed == Holder("id-1", "w_1_2", 17, "ab")


@pytest.mark.parametrize("text", ["another program", "a#b", "a#b#c#d", "", "#"])
def test_what_another_program_wrote_is_taken_as_a_task_id(text: str) -> None:
    assert Holder.parse(text, since=5.0) == Holder(text, since=5.0)


@pytest.mark.parametrize(
    "text",
    [*(str(Holder(each, "w", 1, "ab")) for each in ("id-1", "an#id", "#", "")), "x", "a#b#c#d", ""],
)
def test_a_claim_knows_whose_it_is(text: str) -> None:
    assert Claim("k", text, 5).task_id == Holder.parse(text).task_id
