"""Renewals: one request keeps alive what is renewed alike, another looks whether it is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ...errors import StoreError
from ...model import Lease, Outcome
from .errors import Refusal
from .leases import KEEP_ALIVE, SEARCHED_EVERY, TIME_TO_LIVE, Renewed
from .leases import Held as Known
from .names import Proof, decoded
from .place import Call, LeaseGone, Place
from .txn import TXN, delete, made_at, put, read, seen_at, txn, within
from .view import entries_of

__all__ = ["renew"]

Words = dict[str, Any]

AT_ONCE = 100
"""How many leases one request looks at: etcd allows 128 operations."""


@dataclass
class _Renewal:
    """One lease that is to live on."""

    lease: Lease
    ttl: float
    name: bytes
    outcome: Outcome | None = None
    home: Renewed | None = None
    """What it lives on already; `None`: it is moved."""
    known: Known | None = None
    moved_to: int = 0
    moved_home: Renewed | None = None


def renew(
    place: Place, renewals: Sequence[tuple[Lease, float]], within: float | None
) -> list[Outcome]:
    """Let each lease live for so many more seconds."""
    call = place.call(within)
    rest = [_planned(place, lease, ttl) for lease, ttl in renewals]
    asked = list(rest)
    while rest:
        # in one transaction nothing may be written twice
        some = list({one.name: one for one in reversed(rest)}.values())[::-1]
        rest = [one for one in rest if all(one is not other for other in some)]
        _renew_some(call, some)
    return [one.outcome or Outcome.UNKNOWN for one in asked]


def _renew_some(call: Call, asked: Sequence[_Renewal]) -> None:
    while True:
        for one in asked:
            if one.outcome is None:
                _plan(call, one)
        try:
            _renewed(call, [one for one in asked if one.outcome is None])
            return
        except LeaseGone:
            call.leases.all_gone()


def _planned(place: Place, lease: Lease, ttl: float) -> _Renewal:
    proof = Proof.parse(lease.proof)
    if proof is None or lease.known_token is None:
        return _Renewal(lease, ttl, b"", Outcome.LOST)
    return _Renewal(lease, ttl, place.names.key(lease.key) + f"l{proof.place}".encode())


def _plan(call: Call, one: _Renewal) -> None:
    """Leave it where it lives, if that lives as long; else move it."""
    one.home = one.known = one.moved_home = None
    one.moved_to = 0
    found = call.leases.find(one.name)
    if found is None:
        return
    home, one.known = found
    if one.known.until <= call.place.clock():
        one.outcome = Outcome.LOST  # swept before it could be renewed
    elif one.ttl == one.known.ttl == home.ttl and home.id:
        one.home = home


def _renewed(call: Call, asked: Sequence[_Renewal]) -> None:
    moving = [one for one in asked if one.home is None]
    _read_unknown(call, [one for one in moving if one.known is None])
    moving = [one for one in moving if one.outcome is None]
    for one in moving:
        _choose(call, one)
    homes = {id(one.home): one.home for one in asked if one.home is not None}
    sent = call.place.clock()
    requests: list[tuple[str, Any]] = []
    sweeps = []
    searched = []
    for home in homes.values():
        for sweep in call.leases.sweeps(home):
            requests.append((TXN, sweep))
            sweeps.append((home, sweep))
    for home in homes.values():
        requests.append((KEEP_ALIVE, {"ID": str(home.id)}))
        if sent - home.searched > SEARCHED_EVERY:
            searched.append(home)
    looked = [one for one in asked if one.outcome is None]
    batches = [looked[first : first + AT_ONCE] for first in range(0, len(looked), AT_ONCE)]
    for batch in batches:
        requests.append((TXN, txn([], [_words(one) for one in batch])))
    requests += [(TIME_TO_LIVE, {"ID": str(home.id), "keys": True}) for home in searched]
    if not requests:
        return
    answers = iter(call.place.cluster.ask_each(requests, call.left))
    for home, sweep in sweeps:
        if not isinstance(next(answers), Refusal):
            call.leases.swept(home, sweep)
    gone: set[int] = set()
    unsure: set[int] = set()
    failures: list[Exception] = []
    for home in homes.values():
        answer = next(answers)
        if isinstance(answer, Refusal) and not answer.is_lease_gone:
            failures.append(call.failure(answer))
            unsure.add(id(home))
        elif not call.leases.kept_alive(home, answer, sent):
            gone.add(id(home))
    for batch in batches:
        answer = next(answers)
        if isinstance(answer, Refusal):
            failures.append(call.failure(answer))
            continue
        for one, each in zip(batch, answer["responses"], strict=True):
            if id(one.home) in unsure:
                continue
            _answered(call, one, each, int(answer["header"]["revision"]), sent, gone)
    for home in searched:
        answer = next(answers)
        if not isinstance(answer, Refusal):
            with suppress(StoreError, LeaseGone):  # the next renewal searches again
                _search(call, home, answer)
    for failure in failures:
        if isinstance(failure, LeaseGone) or all(one.outcome is None for one in looked):
            raise failure


def _read_unknown(call: Call, asked: Sequence[_Renewal]) -> None:
    """Read the leases that another process, or another store of this one, has taken."""
    for first in range(0, len(asked), AT_ONCE):
        some = asked[first : first + AT_ONCE]
        answer = call.ask(TXN, txn([], [read(one.name) for one in some]))
        for one, each in zip(some, answer["responses"], strict=True):
            found = entries_of(each["response_range"], one.name).get("")
            if found is None or found.made != one.lease.known_token:
                one.outcome = Outcome.LOST
            else:
                value = dict(found.value)
                one.known = Known(found.made, found.written, 0.0, one.ttl, value)


def _choose(call: Call, one: _Renewal) -> None:
    """Choose what a lease that is moved is to live on.

    For a time that it was not asked for before, an end that is near mostly, it is not kept alive.
    """
    assert one.known is not None
    if one.ttl <= 0:
        return
    if one.ttl == one.known.ttl:
        one.moved_home = call.renewed(one.ttl)
        one.moved_to = one.moved_home.id
    else:
        one.moved_to = call.kept(one.ttl, max(1.0, one.ttl / 8))


def _words(one: _Renewal) -> Words:
    """Look whether it is there, and move it if it is to be moved."""
    if one.home is not None:
        return read(one.name, without_value=True)
    assert one.known is not None
    assert one.lease.known_token is not None
    move = (
        put(one.name, {**one.known.value, "d": one.ttl}, one.moved_to)
        if one.ttl > 0
        else delete(one.name)
    )
    compare = [made_at(one.name, one.lease.known_token)]
    if one.known.written:  # sent again long after, it must not move it back
        compare.append(seen_at(one.name, one.known.written))
    return within(txn(compare, [move], [read(one.name, without_value=True)]))


def _answered(
    call: Call,
    one: _Renewal,
    each: Mapping[str, Any],
    revision: int,
    sent: float,
    gone: set[int],
) -> None:
    leases = call.leases
    if one.home is not None:
        found = entries_of(each["response_range"], one.name).get("")
        is_there = found is not None and found.made == one.lease.known_token
        if not is_there or id(one.home) in gone:
            leases.forget(one.name)
            one.outcome = Outcome.LOST
            return
        assert one.known is not None
        one.known.until = sent + one.ttl
        one.outcome = Outcome.RENEWED
        return
    assert one.known is not None
    each = each["response_txn"]
    done = bool(each.get("succeeded"))
    if not done:
        found = entries_of(each["responses"][0]["response_range"], one.name).get("")
        if found is not None and found.made == one.lease.known_token:
            done = one.ttl > 0 and found.lease == one.moved_to  # it is sent again
            one.outcome = Outcome.UNKNOWN  # or somebody else has moved it: look at it next time
    if not done or one.ttl <= 0:
        leases.forget(one.name)
        if done or one.outcome is None:
            one.outcome = Outcome.RENEWED if done else Outcome.LOST
        return
    value = {**one.known.value, "d": one.ttl}
    known = Known(one.known.made, revision, sent + one.ttl, one.ttl, value)
    leases.note(one.moved_home, one.name, known)
    one.outcome = Outcome.RENEWED


def _search(call: Call, home: Renewed, answer: Mapping[str, Any]) -> None:
    """Delete what lives on a lease of this process that nobody of it knows.

    A claim that was given up may be executed at any time after, by a server that was frozen.
    """
    names = [decoded(name) for name in answer.get("keys", ())]
    strangers = [name for name in names if name not in home.entries]
    for first in range(0, len(strangers), AT_ONCE):
        call.ask(TXN, txn([], [delete(name) for name in strangers[first : first + AT_ONCE]]))
    home.searched = call.place.clock()
