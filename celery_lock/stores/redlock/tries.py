"""Which try of a claim it is: each has a name of its own, so that no undo can meet a later one.

A claim that had too few votes takes these back, and its claimant may make it once more as it waits.
A node that was slow could hear of the undo after the second try, and take back a vote that counts.
So a nonce is written with the number of the try behind it, and the lease carries that as its proof.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from ...model import Claim, End, Lease
from ..redis.asking import Asked, claiming, releasing, renewing
from ..redis.permits import named, parts

__all__ = [
    "Tries",
    "claimed",
    "claimed_again",
    "freed",
    "given_back",
    "number_of",
    "proof_of",
    "renewed",
    "taken_back",
]

REMEMBERED = 10_000
"""Claims of one process whose number of tries is known: many times more than wait at a time."""


class Tries:
    """How often the claims of this process were undone and made once more."""

    def __init__(self) -> None:
        self._numbers: OrderedDict[tuple[str, str], int] = OrderedDict()

    def number(self, claim: Claim) -> int:
        """Return the number of the present try."""
        return self._numbers.get((claim.key, claim.holder), 0)

    def ended(self, claim: Claim) -> None:
        """Count a try that was undone."""
        known = claim.key, claim.holder
        self._numbers[known] = self._numbers.pop(known, 0) + 1
        if len(self._numbers) > REMEMBERED:
            self._numbers.popitem(last=False)


def proof_of(claim: Claim, number: int) -> str:
    """Return what a lease carries: the number of its try, and the publication that it is of."""
    return f"{number}:{claim.publication}"


def number_of(lease: Lease) -> str:
    """Return the number of the try that a lease is of."""
    return lease.proof.partition(":")[0]


def claimed_again(state: str, lease: Lease, ttl: float, grace: int, settle: int) -> Asked:
    """Ask for the key of a lease that lives, at a node that does not know of it."""
    number, _, publication = lease.proof.partition(":")
    claim = Claim(lease.key, lease.holder, ttl, publication=publication)
    return claimed(state, claim, number, grace, settle)


def claimed(state: str, claim: Claim, number: int | str, grace: int, settle: int) -> Asked:
    """Ask for the key with this state."""
    keys, args = claiming(state, claim, grace, settle)
    return keys, [*args[:3], f"{args[3]}/{number}", *args[4:]]


def given_back(state: str, lease: Lease, end: End | None, grace: int) -> Asked:
    """Give back the key with this state."""
    keys, args = releasing(state, lease, end, grace)
    return keys, [args[0], f"{args[1]}/{number_of(lease)}", *args[2:]]


def renewed(states: Sequence[str], renewals: Sequence[tuple[Lease, float]], grace: int) -> Asked:
    """Renew the leases of the keys with these states."""
    keys, args = renewing(states, renewals, grace)
    written = list(args)
    for at, (lease, _) in enumerate(renewals):
        written[5 * at + 2] = f"{args[5 * at + 2]}/{number_of(lease)}"
    return keys, written


def taken_back(state: str, holder: str, number: int | str, grace: int, settle: int) -> Asked:
    """Take a try of a claim back."""
    task, node, pid, nonce = parts(holder)
    return [state, state + ":w"], [task, node, pid, f"{nonce}/{number}", grace, settle]


def freed(state: str, holder: str, grace: int, floor: bool) -> Asked | None:
    """End the lease of a holder, whichever try it was; `None`: nobody is named."""
    who = named(holder)
    if who is None:
        return None
    task, node, pid, nonce, kept, beginning = who
    if not kept and beginning == "0":
        nonce, beginning = f"{nonce}/", "1"
    args: list[str | int] = [task, node, pid, nonce, kept, beginning, grace, 1 if floor else 0]
    return [state, state + ":w"], args
