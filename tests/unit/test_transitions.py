"""The state of a key where no store of this package gets: a rough clock, and what is to come."""

from __future__ import annotations

from dataclasses import replace

import pytest

from celery_lock.model import Claim, Held, Lease, Met
from celery_lock.stores import transitions
from celery_lock.stores.key_state import FREE, KeyState

pytestmark = pytest.mark.unit

SECOND = 1_000_000
FIRST = Claim("k", "id-1#n#1#0a", 5.0)
OTHER = Claim("k", "id-2#n#2#0b", 5.0)


def between(earliest: float, latest: float) -> tuple[int, int]:
    return round(earliest * SECOND), round(latest * SECOND)


def given(claim: Claim, earliest: float, latest: float) -> KeyState:
    state, answer = transitions.acquire(FREE, claim, None, between(earliest, latest), SECOND)
    assert isinstance(answer, Lease)
    return state


def asked(state: KeyState, claim: Claim, earliest: float, latest: float) -> Lease | Held:
    return transitions.acquire(state, claim, None, between(earliest, latest), SECOND)[1]


def test_a_clock_that_is_known_roughly_gives_no_key_away_early() -> None:
    """Taken between 0 and 10 s, for 5 s: it may have been at 10 s, so it lives until 15 s."""
    state = given(FIRST, 0, 10)

    assert isinstance(asked(state, OTHER, 14, 24), Held)
    assert isinstance(asked(state, OTHER, 15, 25), Lease)


def test_a_floor_by_a_rough_clock_is_kept_in_full() -> None:
    state = given(replace(FIRST, ttl=1.0, at_least=5.0), 0, 10)

    assert isinstance(asked(state, OTHER, 14, 24), Held)
    assert isinstance(asked(state, OTHER, 15, 25), Lease)


def test_a_renewal_by_a_rough_clock_revives_nothing_that_may_have_been_given_away() -> None:
    state = given(FIRST, 0, 0)
    lease = Lease("k", FIRST.holder, state.last_token)

    assert transitions.renew(state, lease, 5.0, between(4, 9))[1] is True
    assert transitions.renew(state, lease, 5.0, between(5, 9))[1] is False


def test_an_undo_by_a_rough_clock_refuses_for_the_whole_deadline() -> None:
    state = transitions.undo(FREE, FIRST, between(0, 10), 2 * SECOND)

    refused = asked(state, FIRST, 11.9, 30)

    assert isinstance(refused, Held)
    assert refused.met is Met.UNDONE
    assert isinstance(asked(state, FIRST, 12, 30), Lease)


def test_whoever_meets_a_lease_whose_message_may_never_have_been_sent_hears_so() -> None:
    state = given(FIRST, 0, 0)
    (permit,) = state.permits
    unsure = replace(state, permits=(replace(permit, unconfirmed=True),))

    refused = asked(unsure, OTHER, 1, 1)

    assert isinstance(refused, Held)
    assert refused.met is Met.UNCONFIRMED


def test_tokens_grow_though_the_clock_stands_still() -> None:
    state = given(FIRST, 7, 7)
    lease = Lease("k", FIRST.holder, state.last_token)
    state, _ = transitions.release(state, lease, None, between(7, 7))

    again = asked(state, OTHER, 7, 7)

    assert isinstance(again, Lease)
    assert again.token == lease.token + 1
