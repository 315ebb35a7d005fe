"""Claims on their way: what is known of their keys, what is judged of it, what is written then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...model import Claim, Held, Lease, Met
from ..key_state import Permit
from .leases import Renewed
from .names import Names, Proof, after, nonce, undone_name
from .txn import delete, made_at, missing, nothing_since, put, read_range
from .view import NOTHING, Entry

__all__ = ["Asked", "Home"]

Words = dict[str, Any]


@dataclass
class Home:
    """What the entries of a claim are to live on."""

    id: int
    renewed: Renewed | None
    floor: int = 0


class Asked:
    """One claim: a transaction tries it on what was last seen of its key, and shows it anew."""

    def __init__(self, claim: Claim, names: Names) -> None:
        self.claim = claim
        self.base = names.key(claim.key)
        self.done = names.publication(claim.key, claim.publication)
        self.nonce = nonce()
        self.view = NOTHING
        """The first guess: nobody has the key."""
        self.record: dict[str, Entry] = {}
        self.name = b""
        """Of the entry of its lease, once it is about to be written."""

    def guard(self) -> list[Words]:
        """Compare that all is as it was seen, or has become free."""
        claim, revision = self.claim, self.view.revision
        compare = [
            # floors and leases: `f` and `l`; that one of them has ended is in nobody's way
            nothing_since(self.base + b"f", self.base + b"m", revision),
            missing(self.base + undone_name(claim.holder).encode()),
            # sent again, or late: what has ended is not begun once more
            missing(self.base + f"r-{self.nonce}".encode()),
        ]
        if claim.copy_since is not None:
            compare.append(nothing_since(self.done, after(self.done), revision))
        return compare

    def look(self) -> list[Words]:
        """Read all of its key."""
        reads = [read_range(self.base)]
        return reads if self.claim.copy_since is None else [*reads, read_range(self.done)]

    def own(self, permit: Permit) -> Entry | None:
        """Return the lease that this claim was granted before, if that is it."""
        for place, entry in self.view.of("l"):
            if entry.made == permit.token and place.partition("-")[0] == str(permit.slot):
                return entry
        return None

    def granted(self, permit: Permit, home: Home, now: int) -> tuple[list[Words], Proof, Words]:
        """Return what writes a new lease, what proves it, and what its entry says."""
        claim = self.claim
        proof = Proof(permit.slot, self.nonce, now, permit.limit)
        value: Words = {"h": claim.holder, "s": now, "n": permit.limit, "d": claim.ttl}
        if claim.publication:
            value["p"] = claim.publication
        if claim.unconfirmed:
            value["u"] = True
        writes: list[Words] = []
        heir = self._heir(permit) if permit.took_over[0] else None
        if heir is not None:
            place, entry = heir
            kept, _, shown = permit.took_over
            aside = {**entry.value, "h": kept, "p": shown, "u": False}
            aside |= {"by": claim.holder, "slot": permit.slot, "s": now}
            writes += [
                delete(entry.name),
                delete(self.base + f"a-{place.partition('-')[2]}".encode()),
                put(self.base + f"a-{self.nonce}".encode(), aside, entry.lease),
            ]
        if claim.ttl > 0:
            self.name = self.base + f"l{proof.place}".encode()
            writes.append(put(self.name, value, home.id))
        if claim.at_least:
            floor = {**{key: value[key] for key in "hsnpu" if key in value}, "d": claim.at_least}
            writes.append(put(self.base + f"f{proof.place}".encode(), floor, home.floor))
        return writes, proof, value

    def _heir(self, permit: Permit) -> tuple[str, Entry] | None:
        for place, entry in self.view.of("l"):
            if place.partition("-")[0] == str(permit.slot):
                return place, entry
        return None

    def still(self, held: Held) -> list[Words]:
        """Compare that the run of its own publication, which it met, goes on."""
        return [
            made_at(entry.name, entry.made)
            for _, entry in self.view.of("l")
            if held.met is Met.PUBLICATION and entry.value["h"] == held.holder
        ]

    def lease(self, token: int, proof: Proof) -> Lease:
        """Return the lease that was granted."""
        claim = self.claim
        return Lease(claim.key, claim.holder, token, slot=proof.slot, proof=str(proof))
