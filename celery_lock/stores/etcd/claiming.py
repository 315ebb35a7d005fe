"""Claims: one transaction gives a free key, and shows a taken one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...model import MET_FOR, Claim, Lease, Refused
from .. import transitions
from ..key_state import KeyState, Permit, micro
from ..stepped_several import OF_A_COPY
from .claims import Asked, Home
from .leases import Held as Known
from .names import Proof
from .place import Call, LeaseGone, Place, view_of, whole
from .txn import TXN, made_at, put, txn
from .view import Left, entries_of, state_of, tombstone_of

__all__ = ["acquire_all"]

Words = dict[str, Any]


def acquire_all(place: Place, claims: Sequence[Claim]) -> list[Lease] | Refused:
    """Give all these keys, or none of them."""
    asked = [Asked(claim, place.names) for claim in claims]
    call = place.call()
    if any(claim.at_least for claim in claims):  # a floor costs a lease of its own: is it of use?
        _look(call, asked)
    while True:
        now = place.now()
        states, answer = _judged(place, asked, now, whole)
        try:
            done = (
                _refuse(call, asked, answer, now)
                if isinstance(answer, Refused)
                else _grant(call, asked, states, answer, now)
            )
        except LeaseGone:
            call.leases.all_gone()
            continue
        if done is not None:
            return done


def _judged(
    place: Place, asked: Sequence[Asked], now: int, left: Left
) -> tuple[list[KeyState], list[Lease] | Refused]:
    """Ask the transitions what is to become of these claims."""
    questions = []
    for one in asked:
        record, claim = tombstone_of(one.record, one.claim, now, left)
        questions.append((state_of(one.view, now, left), claim, record))
    return transitions.acquire_all(questions, (now, now), micro(place.cluster.deadline))


# -- refused ---------------------------------------------------------------------------------


def _refuse(call: Call, asked: Sequence[Asked], refused: Refused, now: int) -> Refused | None:
    """Return the answer with its times; `None`: it is another one by now."""
    copies = [one for one in asked if one.claim.copy_since is not None]
    if copies and refused.held.met in OF_A_COPY:
        compare, writes = _guards(asked), list[Words]()
        for one in copies:
            writes.append(put(one.done + b"m", {}, call.kept(MET_FOR, MET_FOR / 8)))
        compare += asked[refused.index].still(refused.held)
        if not _tried(call, asked, compare, writes)["succeeded"]:
            return None
    one = asked[refused.index]
    taken = [entry for kind in "lf" for _, entry in one.view.of(kind)]
    left = call.lefts([*taken, *one.record.values()] if refused.held.met in OF_A_COPY else taken)
    _, answer = _judged(call.place, [one], now, left)
    held = answer.held if isinstance(answer, Refused) else refused.held
    return replace(refused, held=replace(held, mark=one.view.mark))


# -- granted ---------------------------------------------------------------------------------


def _grant(
    call: Call,
    asked: Sequence[Asked],
    states: Sequence[KeyState],
    leases: Sequence[Lease],
    now: int,
) -> list[Lease] | None:
    """Write what was granted; `None`: the keys are others by now."""
    place = call.place
    compare, writes = _guards(asked), list[Words]()
    made: list[tuple[Asked, Any, Words, Home]] = []
    answers: list[Lease | None] = []
    for one, state, lease in zip(asked, states, leases, strict=True):
        permit = next(one for one in state.permits if one.slot == lease.slot)
        own = one.own(permit)
        if own is not None:
            answers.append(_again(call, one, permit, compare, writes))
            continue
        home = _home(call, one.claim)
        words, proof, value = one.granted(permit, home, now)
        writes += words
        made.append((one, proof, value, home))
        answers.append(None)
    if not writes and not made:
        return [lease for lease in answers if lease is not None]
    for one, _, value, home in made:
        if one.name:
            call.leases.note(home.renewed, one.name, _on_its_way(one.claim.ttl, value))
    sent = place.clock()
    try:
        answer = _tried(call, asked, compare, writes)
    except BaseException as error:
        for one, *_ in made:
            _given_up(call, one, error)
        raise
    if not answer["succeeded"]:
        for one, *_ in made:
            call.leases.forget(one.name)
        return None
    revision = int(answer["header"]["revision"])
    new = {}
    for one, proof, value, home in made:
        if one.name:
            until = sent + one.claim.ttl
            known = Known(revision, revision, until, one.claim.ttl, value)
            call.leases.note(home.renewed, one.name, known)
        new[id(one)] = one.lease(revision, proof)
    return [lease or new[id(one)] for one, lease in zip(asked, answers, strict=True)]


def _on_its_way(ttl: float, value: Words) -> Known:
    return Known(0, 0, float("inf"), ttl, value)


def _given_up(call: Call, one: Asked, error: BaseException) -> None:
    """Whether it was granted is not known: if so, it is not to be kept alive."""
    found = call.leases.find(one.name)
    if isinstance(error, LeaseGone) or found is None:
        call.leases.forget(one.name)
    else:
        found[1].until = call.place.clock()


def _again(
    call: Call, one: Asked, permit: Permit, compare: list[Words], writes: list[Words]
) -> Lease:
    """Prolong the lease that was granted before."""
    entry = one.own(permit)
    assert entry is not None
    claim, leases = one.claim, call.leases
    ttl = max(claim.ttl, float(entry.value["d"]))
    home = _home(call, replace(claim, ttl=ttl, at_least=0.0))
    value = {**entry.value, "d": ttl}
    if entry.lease != home.id or ttl > entry.value["d"]:
        compare.append(made_at(entry.name, entry.made))
        writes.append(put(entry.name, value, home.id))
    until = call.place.clock() + ttl
    leases.note(home.renewed, entry.name, Known(entry.made, 0, until, ttl, value))
    _, nonce = entry.name[len(one.base) + 1 :].decode().split("-")
    return one.lease(entry.made, Proof(permit.slot, nonce, entry.value["s"], entry.value["n"]))


def _home(call: Call, claim: Claim) -> Home:
    """Return what a lease lives on: who publishes may be gone before its message comes."""
    if claim.unconfirmed:
        home = Home(call.kept(claim.ttl, max(1.0, claim.ttl / 8)), None)
    elif claim.ttl > 0:
        renewed = call.renewed(claim.ttl)
        home = Home(renewed.id, renewed)
    else:
        home = Home(0, None)
    if claim.at_least:
        home.floor = call.kept(claim.at_least, 1.0)
    return home


# -- asked -----------------------------------------------------------------------------------


def _guards(asked: Sequence[Asked]) -> list[Words]:
    return [words for one in asked for words in one.guard()]


def _looks(asked: Sequence[Asked]) -> list[Words]:
    return [words for one in asked for words in one.look()]


def _look(call: Call, asked: Sequence[Asked]) -> None:
    _see(asked, call.ask(TXN, txn([], _looks(asked))))


def _tried(
    call: Call, asked: Sequence[Asked], compare: list[Words], writes: list[Words]
) -> Mapping[str, Any]:
    """Write if all is as it was seen; else see how it is."""
    answer: dict[str, Any] = call.ask(TXN, txn(compare, writes, _looks(asked)))
    answer.setdefault("succeeded", False)
    if not answer["succeeded"]:
        _see(asked, answer)
    return answer


def _see(asked: Sequence[Asked], answer: Mapping[str, Any]) -> None:
    read = iter(answer["responses"])
    for one in asked:
        one.view = view_of(answer, next(read), one.base)
        if one.claim.copy_since is not None:
            one.record = entries_of(next(read)["response_range"], one.done)
