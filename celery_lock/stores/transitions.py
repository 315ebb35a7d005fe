"""The state of a key, and what each question makes of it: pure functions of state, question, time.

A store hands in the state that it keeps, the question, and what its clock says: an interval
`(lo, hi)` of microseconds in which the present moment lies (a store with a clock of its own gives
the same number twice). "It has ended" is judged by `lo`, "it lives until" counted from `hi`, so a
clock that is known roughly never gives a key away early. Redis has the same in Lua, for one round
trip; a property test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..model import ENDED_FOR, Claim, End, Held, Lease, Met, Refused
from ..model.holder import kept_for
from . import tombstones
from .answering import held
from .key_state import Interval, KeyState, Permit, micro
from .tombstones import Tombstone

__all__ = ["acquire", "acquire_all", "free", "peek", "release", "renew", "undo"]

# -- questions -------------------------------------------------------------------------------


def acquire(
    state: KeyState, claim: Claim, tombstone: Tombstone | None, clock: Interval, settle: int
) -> tuple[KeyState, Lease | Held]:
    """Give the key, or say who has it.

    `settle`: microseconds for which the release of a permit beyond the first is remembered, should
    it be sent again; one deadline of the store.
    """
    lo, hi = clock
    own = _own_lease(state, claim, lo)
    if own is not None:  # its first answer was lost: the same lease, prolonged
        expiry = max(own.expiry, hi + micro(claim.ttl))
        return _with(state, replace(own, expiry=expiry)), _lease(claim, own)
    heir = _heir(state, claim, lo) if claim.heir_of else None
    met, whom = _met(state, claim, tombstone, heir, lo)
    if met is not None:
        counts = tombstone.ended + micro(ENDED_FOR) if met is Met.ENDED and tombstone else 0
        return state, held(claim.key, state, whom, met, clock, counts=counts, task_id=claim.task_id)
    place = heir or _own_floor(state, claim, lo)
    slot = _lowest_free(state, lo) if place is None else place.slot
    before = next((permit for permit in state.permits if permit.slot == slot), None)
    floor_before = before.floor if before is not None and before.floor > lo else 0
    granted = Permit(
        slot=slot,
        holder=claim.holder,
        token=max(state.last_token + 1, hi),
        since=hi,
        expiry=hi + micro(claim.ttl),
        publication=claim.publication,
        limit=_limit(claim, before, heir, floor_before),
        floor=max(floor_before, hi + micro(claim.at_least) if claim.at_least else 0),
        floor_before=floor_before,
        # who adopts an unconfirmed lease has its message: undone, it is kept for that one
        took_over=("", 0, "") if heir is None else _kept(heir, claim.heir_of),
        released_before=("", 0) if before is None else _last_release(before),
        unconfirmed=claim.unconfirmed,
    )
    return _with(_settled(state, lo, settle), granted), _lease(claim, granted)


def acquire_all(
    questions: Sequence[tuple[KeyState, Claim, Tombstone | None]], clock: Interval, settle: int
) -> tuple[list[KeyState], list[Lease] | Refused]:
    """Give several keys, or none of them: who was given one of them is then as if it never was."""
    answers = [acquire(*question, clock, settle) for question in questions]
    refused = Refused.of([answer for _, answer in answers])
    if refused is not None:
        return [state for state, _, _ in questions], refused
    leases = [answer for _, answer in answers if isinstance(answer, Lease)]
    return [state for state, _ in answers], leases


def renew(state: KeyState, lease: Lease, ttl: float, clock: Interval) -> tuple[KeyState, bool]:
    """Let a lease live for `ttl` more seconds; `False`: it has ended, or is somebody else's."""
    lo, hi = clock
    permit = _proven(state, lease)
    if permit is None or permit.expiry <= lo:
        return state, False
    # for no time: over at once, also by a clock that is known roughly
    return _with(state, replace(permit, expiry=hi + micro(ttl) if ttl else lo)), True


def release(
    state: KeyState, lease: Lease, end: End | None, clock: Interval
) -> tuple[KeyState, bool]:
    """Give a permit back; `True`: now in time, or by an earlier call whose answer was lost."""
    lo, hi = clock
    permit = _proven(state, lease)
    if permit is None:
        proof = (lease.holder, lease.known_token or 0)
        return state, any(permit.released_before == proof for permit in state.permits)
    if end is not None and end.floor and permit.expiry:
        floor = max(permit.floor, permit.since + micro(end.floor))
        permit = replace(permit, floor=floor)
        state = _with(state, permit)
    if permit.expiry <= lo:
        return state, permit.released_at > 0
    if end is not None and end.heir:
        kept = replace(
            permit,
            holder=end.heir,
            # the run of this one is over, and that of the heir is still to come
            publication=end.heir_publication,
            expiry=hi + micro(end.heir_ttl),
            took_over=("", 0, ""),
            released_before=(permit.holder, permit.token),
            unconfirmed=False,
        )
        return _with(state, kept), True
    return _with(state, replace(permit, expiry=0, released_at=hi)), True


def free(
    state: KeyState, key: str, holder: str, clock: Interval, *, floor: bool = False
) -> tuple[KeyState, Held | None]:
    """End the lease of a dead holder, named whole or by its beginning; `None`: it has none."""
    lo, _ = clock
    his = [
        permit
        for permit in state.permits
        if _is_his(permit, holder) and (permit.expiry > lo or (floor and permit.floor > lo))
    ]
    if not his:
        return state, None
    had = held(key, state, his[0], Met.OTHER, clock)
    for permit in his:
        ended = replace(permit, expiry=0, floor=0 if floor else permit.floor)
        state = _with(state, ended)
    return state, had


def undo(state: KeyState, claim: Claim, clock: Interval, settle: int) -> KeyState:
    """Take back a claim whose answer is not known, and refuse it for `settle` should it arrive."""
    lo, hi = clock
    others = tuple(mark for mark in state.undone if mark[0] != claim.holder and mark[1] > lo)
    state = replace(state, undone=((claim.holder, hi + settle), *others))
    for permit in state.permits:
        if permit.holder == claim.holder and permit.expiry:
            heir, expiry, shown = permit.took_over
            undone = replace(
                permit,
                holder=heir or permit.holder,
                publication=shown if heir else permit.publication,
                expiry=expiry,
                floor=permit.floor_before,
                took_over=("", 0, ""),
                unconfirmed=permit.unconfirmed and not heir,
            )
            state = _with(state, undone)
    return state


def peek(state: KeyState, key: str, clock: Interval) -> Held | None:
    """Who has the key; `None`: it is free."""
    lo, _ = clock
    taken = [permit for permit in state.permits if permit.free_at(lo) > lo]
    if not taken:
        return None
    return held(key, state, min(taken, key=lambda one: one.free_at(lo)), Met.OTHER, clock)


# -- what they are made of -------------------------------------------------------------------


def _met(
    state: KeyState, claim: Claim, tombstone: Tombstone | None, heir: Permit | None, lo: int
) -> tuple[Met | None, Permit | None]:
    """Judge a claim in the order of `Met`; `None`: nothing stands in its way."""
    taken = [permit for permit in state.permits if permit.free_at(lo, claim.task_id) > lo]
    first = min(taken, key=lambda one: one.free_at(lo, claim.task_id), default=None)
    live = [permit for permit in taken if permit.expiry > lo and permit is not heir]
    if any(holder == claim.holder and until > lo for holder, until in state.undone):
        return Met.UNDONE, first
    for permit in live:
        if claim.publication and permit.publication == claim.publication:
            return Met.PUBLICATION, permit
    done = tombstones.judged(tombstone, claim, lo)
    if done is not None:
        return done, first
    for permit in live:
        if permit.task_id == claim.task_id:
            return Met.TASK, permit
    if heir is not None:
        return None, None
    if len(taken) + 1 <= min([claim.limit, *(permit.limit for permit in taken)]):
        return None, None
    unsure = next((permit for permit in live if permit.unconfirmed), None)
    return (Met.OTHER, first) if unsure is None else (Met.UNCONFIRMED, unsure)


def _own_lease(state: KeyState, claim: Claim, lo: int) -> Permit | None:
    """The lease that this very claim was granted before."""
    asked = (claim.holder, claim.unconfirmed)
    live = (permit for permit in state.permits if permit.expiry > lo)
    return next((one for one in live if (one.holder, one.unconfirmed) == asked), None)


def _heir(state: KeyState, claim: Claim, lo: int) -> Permit | None:
    """The lease that the claim takes over: left to it, or its publisher's unconfirmed one."""
    live = (permit for permit in state.permits if permit.expiry > lo)
    return next((one for one in live if _is_kept_for(one, claim.heir_of)), None)


def _kept(heir: Permit, named: str) -> tuple[str, int, str]:
    return named, heir.expiry, "" if heir.unconfirmed else heir.publication


def _is_kept_for(permit: Permit, heir: str) -> bool:
    if permit.unconfirmed:
        return permit.task_id == kept_for(heir)
    return permit.holder == heir


def _limit(claim: Claim, before: Permit | None, heir: Permit | None, floor_before: int) -> int:
    """The limit that a granted lease has: that of its claim, but for two."""
    if heir is not None:  # it keeps the companions that its lease was claimed with
        return heir.limit
    if before is not None and floor_before:  # the floor was promised with the limit of its claim
        return min(claim.limit, before.limit)
    return claim.limit


def _own_floor(state: KeyState, claim: Claim, lo: int) -> Permit | None:
    """The permit that only an `at_least` of the claim's own task keeps: the task passes it."""
    kept = (permit for permit in state.permits if permit.floor > lo >= permit.expiry)
    return next((permit for permit in kept if permit.task_id == claim.task_id), None)


def _lowest_free(state: KeyState, lo: int) -> int:
    for permit in state.permits:
        if permit.free_at(lo) <= lo:
            return permit.slot
    return len(state.permits)


def _proven(state: KeyState, lease: Lease) -> Permit | None:
    """The permit that the lease is a proof for, live or not."""
    proof = (lease.holder, lease.known_token)
    return next((one for one in state.permits if (one.holder, one.token) == proof), None)


def _last_release(permit: Permit) -> tuple[str, int]:
    if permit.released_at:
        return permit.holder, permit.token
    return permit.released_before


def _settled(state: KeyState, lo: int, settle: int) -> KeyState:
    """Forget the last permits where they have ended for long: a limit may have shrunk.

    And the undone claims, once none of them could still arrive.
    """
    if all(until <= lo for _, until in state.undone):
        state = replace(state, undone=())
    permits = list(state.permits)
    while len(permits) > 1:
        last = permits[-1]
        if last.free_at(lo) > lo or max(last.expiry, last.released_at) + settle > lo:
            break
        permits.pop()
    if len(permits) == len(state.permits):
        return state
    return replace(state, permits=tuple(permits))


def _with(state: KeyState, permit: Permit) -> KeyState:
    others = [one for one in state.permits if one.slot != permit.slot]
    return replace(state, permits=tuple(sorted([*others, permit], key=lambda one: one.slot)))


def _is_his(permit: Permit, named: str) -> bool:
    if permit.unconfirmed and permit.task_id == kept_for(named):
        return True
    holder = permit.holder
    return holder == named or (named[-1:] in ("#", ".") and holder.startswith(named))


def _lease(claim: Claim, permit: Permit) -> Lease:
    return Lease(claim.key, claim.holder, permit.token, slot=permit.slot)
