"""What the scripts of leases are given: keys and arguments of a claim, a release, a renewal."""

from __future__ import annotations

from collections.abc import Sequence

from ...model import Claim, End, Lease
from ...model.durations import checked
from ...model.publication import short
from ..tombstones import since
from .permits import parts, state_of

__all__ = [
    "MENTION",
    "claiming",
    "micro",
    "record",
    "releasing",
    "renewing",
]

Asked = tuple[Sequence[str], Sequence[str | int]]
"""The keys and the other arguments of a script."""

MENTION = 15.0
"""Seconds after a claim in which a release says that the key is free. More than a watch lasts;
far more would leave wakes behind that nobody takes."""


def claiming(state: str, claim: Claim, grace: int, settle: int) -> Asked:
    """Ask for the key with this state, as a claim says."""
    keys, publication = [state], short(claim.publication)
    args: list[str | int] = [
        *parts(claim.holder),
        round(claim.ttl * 1e6),
        publication,
        grace,
        settle,
    ]
    if claim.copy_since is not None:
        keys.append(f"{state}:d:{publication}")
        args.append(since(claim.copy_since) if claim.copy_since else 0)
    if claim.limit != 1 or claim.at_least or claim.watching or claim.heir_of or claim.unconfirmed:
        if claim.copy_since is None:
            args.append("")
        args += (micro(claim.at_least), claim.limit, micro(MENTION) if claim.watching else 0)
        args += (state_of(claim.heir_of), "u" if claim.unconfirmed else "")
        if claim.watching and claim.limit > 1:
            keys.append(state + ":w")
    return keys, args


def releasing(state: str, lease: Lease, end: End | None, grace: int) -> Asked:
    """Give back the key with this state."""
    task, _, _, nonce = parts(lease.holder)
    keys = [state, state + ":w"]
    args: list[str | int] = [task, nonce, _token(lease), lease.slot, grace]
    if end is not None:
        args += (micro(end.remember), 1 if end.if_met else 0)
        if end.publication:
            keys.append(record(state, end.publication))
        if end.heir or end.heir_publication or end.floor:
            args += (state_of(end.heir), micro(end.heir_ttl), short(end.heir_publication))
            if end.floor:
                args.append(micro(end.floor))
    return keys, args


def renewing(states: Sequence[str], renewals: Sequence[tuple[Lease, float]], grace: int) -> Asked:
    """Renew the leases of the keys with these states."""
    args: list[str | int] = [grace]
    for lease, ttl in renewals:
        task, _, _, nonce = parts(lease.holder)
        args += (task, nonce, _token(lease), lease.slot, micro(checked(ttl, "ttl")))
    return states, args


def record(state: str, publication: str) -> str:
    """Name the record of a publication, beside the state of the key that it was made for."""
    return f"{state}:d:{short(publication)}"


def micro(seconds: float) -> int:
    """Return microseconds."""
    return round(seconds * 1e6)


def _token(lease: Lease) -> int | str:
    """Return the token as a part of the proof; empty: holder and nonce are proof enough."""
    token = lease.known_token
    return "" if token is None else token
