"""Releases: a lease is ended by its proof, and what is to be recorded is so in the same step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import StoreError
from ...model import ENDED_FOR, End, Lease, Release
from .names import Proof, nonce
from .place import Call, LeaseGone, Place, view_of
from .txn import (
    TXN,
    delete,
    exists,
    made_at,
    nothing_since,
    put,
    read_range,
    txn,
    within,
)
from .view import View, slot_of

__all__ = ["MARKED_FOR", "release_all"]

Words = dict[str, Any]

MARKED_FOR = 60.0
"""Seconds at least for which the end of a lease is remembered, should it be asked for again."""
AT_ONCE = 100
"""How many releases one transaction does at most: etcd allows 128 operations."""


def release_all(
    place: Place, releases: Sequence[tuple[Lease, End | None]]
) -> list[Release | StoreError]:
    """Give keys back, all in one round trip; an error is in the place of what is not known."""
    answers: list[Release | StoreError] = []
    rest = list(releases)
    while rest:
        some = _apart(rest)
        try:
            answers += _release_some(place, some)
        except StoreError as error:
            answers += [error] * len(some)
        rest = rest[len(some) :]
    return answers


def _apart(
    releases: Sequence[tuple[Lease, End | None]],
) -> Sequence[tuple[Lease, End | None]]:
    """Return the first of them: in one transaction nothing may be written twice."""
    keys: set[str] = set()
    for at, (lease, _) in enumerate(releases[:AT_ONCE]):
        if lease.key in keys:
            return releases[:at]
        keys.add(lease.key)
    return releases[:AT_ONCE]


def _release_some(
    place: Place, releases: Sequence[tuple[Lease, End | None]]
) -> Sequence[Release | StoreError]:
    call = place.call()
    ends = [_Ending(place, lease, end or End()) for lease, end in releases]
    while True:
        try:
            tries = [one.tried(call) for one in ends]
            answer = call.ask(TXN, txn([], [within(words) for words in tries]))
            return [
                one.answered(call, each["response_txn"], answer)
                for one, each in zip(ends, answer["responses"], strict=True)
            ]
        except LeaseGone:
            call.leases.all_gone()


class _Ending:
    """One release."""

    def __init__(self, place: Place, lease: Lease, end: End) -> None:
        self.place = place
        self.lease = lease
        self.end = end
        self.base = place.names.key(lease.key)
        self.done = place.names.publication(lease.key, end.publication)
        self.proof = Proof.parse(lease.proof)
        self.shown = end.publication
        """What a floor shows as the publication of its holder."""

    def name(self, proof: Proof) -> bytes:
        return self.base + f"l{proof.place}".encode()

    def mark(self, proof: Proof) -> bytes:
        return self.base + f"r-{proof.nonce}".encode()

    def tried(self, call: Call) -> Words:
        """End the lease if it lives; else see what has become of it."""
        proof, end = self.proof, self.end
        look = [read_range(self.base), read_range(self.done)]
        if proof is None or self.lease.known_token is None:
            return txn([], look)  # of a stranger
        name = self.name(proof)
        writes = [
            delete(name),
            delete(self.base + f"a-{proof.nonce}".encode()),
            put(self.mark(proof), self._said(proof), self._marked(call)),
        ]
        found = call.leases.find(name)
        if found is not None:
            self.shown = str(found[1].value.get("p", ""))
        writes += self._floor(call, proof)
        if end.heir and end.heir_ttl > 0:
            writes.append(self._heir(call, proof))
        if end.publication:
            writes += self._ended(call)
        compare = [made_at(name, self.lease.known_token)]
        return txn(compare, writes, look)

    def answered(self, call: Call, each: Mapping[str, Any], answer: Mapping[str, Any]) -> Release:
        """Read the answer, and do what else is to be done where the lease was gone."""
        proof, end = self.proof, self.end
        if proof is not None:
            call.leases.forget(self.name(proof))
        if proof is not None and each.get("succeeded"):
            recorded = bool(end.publication)
            if recorded and end.if_met:
                recorded = each["responses"][-1]["response_txn"].get("succeeded", False)
            return Release.of(True, recorded)
        look = each["responses"]
        view = view_of(answer, look[0], self.base)
        met = bool(view_of(answer, look[1], self.done).entries.get("m"))
        return self._late(call, view, met)

    def _late(self, call: Call, view: View, met: bool) -> Release:
        """Answer a release whose lease had ended."""
        proof, end = self.proof, self.end
        mark = None if proof is None else view.entries.get(f"r-{proof.nonce}")
        in_time = mark is not None and mark.value["k"] == "released" and self._is_own(view)
        recorded = bool(end.publication) and (met or not in_time or not end.if_met)
        while True:
            try:
                writes = []
                if recorded:
                    writes.append(self._record(call, ENDED_FOR))
                if proof is not None and mark is None and not _came(view, proof, self.lease):
                    writes += self._floor(call, proof)
                if not writes:
                    break
                guard = [nothing_since(self.base + b"f", self.base + b"m", view.revision)]
                answer = call.ask(TXN, txn(guard, writes, [read_range(self.base)]))
                if answer.get("succeeded"):
                    break
                view = view_of(answer, answer["responses"][0], self.base)
            except LeaseGone:
                call.leases.all_gone()
        return Release.of(in_time, recorded)

    def _is_own(self, view: View) -> bool:
        """The token is right, too: a mark says with which one its lease has ended."""
        assert self.proof is not None
        mark = view.entries[f"r-{self.proof.nonce}"]
        token = mark.value.get("t", self.lease.known_token)
        return bool(token == self.lease.known_token)

    # -- what is written ---------------------------------------------------------------------

    def _floor(self, call: Call, proof: Proof) -> list[Words]:
        left = proof.since / 1e6 + self.end.floor - self.place.now() / 1e6
        if not self.end.floor or left <= 0:
            return []
        value: Words = {"h": self.lease.holder, "s": proof.since, "n": proof.limit, "d": left}
        value |= {"p": self.shown, "t": self.lease.known_token}
        name = self.base + f"f{proof.place}+".encode()
        return [put(name, value, call.kept(left, 1.0))]

    def _heir(self, call: Call, proof: Proof) -> Words:
        end = self.end
        value = {"h": end.heir, "s": proof.since, "n": proof.limit, "d": end.heir_ttl}
        value["p"] = end.heir_publication
        lease = call.kept(end.heir_ttl, max(1.0, end.heir_ttl / 8))
        return put(self.base + f"l{proof.slot}-{nonce()}".encode(), value, lease)

    def _ended(self, call: Call) -> list[Words]:
        """Record that the run has ended: where a copy was met, if that is the condition."""
        seen, brief = [exists(self.done + b"m")], min(self.end.remember, ENDED_FOR)
        long = [self._record(call, ENDED_FOR)]
        if self.end.if_met:
            return [within(txn(seen, long))]
        if brief == ENDED_FOR:
            return long
        return [within(txn(seen, long, [self._record(call, brief)] if brief > 0 else []))]

    def _record(self, call: Call, life: float) -> Words:
        return put(self.done + b"e", {"d": life}, call.kept(life, 2.0))

    def _said(self, proof: Proof) -> Words:
        return {"k": "released", "n": proof.slot, "t": self.lease.known_token}

    def _marked(self, call: Call) -> int:
        return call.kept(MARKED_FOR, MARKED_FOR)


def _came(view: View, proof: Proof, lease: Lease) -> bool:
    """Somebody else has had the permit since."""
    token = lease.known_token or 0
    here = [
        entry for kind in "lf" for place, entry in view.of(kind) if slot_of(place) == proof.slot
    ]
    gone = [entry for _, entry in view.of("r") if entry.value.get("n") == proof.slot]
    return any(entry.made > token and entry.value.get("h") != lease.holder for entry in here + gone)
