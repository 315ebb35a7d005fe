"""What the answers of several nodes come to: pure functions, over any number of nodes.

A node knows a holder by its task, node, pid, nonce and state. In the nonce stands behind the last
slash which try of the claim it was, so that the undo of one try can never meet the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from typing import Any, NamedTuple

from ...errors import StoreError
from ...model import Claim, Held, HeldPermit, Met
from ...model.holder import task_id_of
from ...model.publication import short
from ..redis.permits import held, parts
from .answers import SILENT, Answers, is_failure

__all__ = ["Contest", "Granted", "Lacking", "Mine", "Votes", "peeked"]

Who = tuple[bytes, ...]
"""A holder as the nodes know it."""


class Mine(NamedTuple):
    """The claimant: its name in a contest, and how long a contest may last."""

    name: tuple[str, ...]
    lasts: float


class Granted(Enum):
    """The claim has a majority."""

    GRANTED = "granted"


class Lacking(Enum):
    """Too few nodes have answered."""

    LACKING = "lacking"


class Contest(NamedTuple):
    """Nobody has a majority, and several claims have begun just now."""

    leads: bool
    """The claimant keeps its votes and asks again; the others take theirs back."""
    held: Held | None
    """The strongest of the others."""


class _Refusal(NamedTuple):
    met: Met
    now: int
    free_at: int
    whom: list[Any]
    taken: list[Any]

    @property
    def who(self) -> Who:
        """Whom it met: task, node, pid, nonce, state."""
        return tuple(self.whom[1:6])

    @property
    def age(self) -> float:
        return (self.now - self.whom[6]) / 1e6 if self.whom else 0.0

    @property
    def live(self) -> bool:
        return bool(self.whom) and self.whom[7] > self.now


class Votes:
    """The answers to one claim."""

    def __init__(self, key: str, answers: Answers, majority: int) -> None:
        self.key = key
        self.majority = majority
        self.count = len(answers)
        self.grants = 0
        self.refusals: list[_Refusal] = []
        self.failures = 0
        marks: list[int | None] = []
        for answer in answers:
            now = None
            if isinstance(answer, int):
                self.grants += 1
                now = answer
            elif isinstance(answer, StoreError):
                self.failures += 1
            elif answer is not SILENT:
                met, now, free_at, shown, *taken = answer
                self.refusals.append(_Refusal(Met(met.decode()), now, free_at, shown, taken))
            marks.append(now)
        self._marks = marks

    @property
    def mark(self) -> str:
        """The time of each node, and where it is not known the latest of the others."""
        latest = max((one for one in self._marks if one is not None), default=0)
        return ".".join(str(one or latest) for one in self._marks)

    def verdict(self, mine: Mine) -> Granted | Held | Lacking | Contest:
        """Say what the answers come to if no more come."""
        if self.grants >= self.majority:
            return Granted.GRANTED
        certain = self.certain()
        if certain is not None:
            return certain
        if self.grants + len(self.refusals) < self.majority:
            return Lacking.LACKING
        tallies: dict[Who, list[_Refusal]] = {}
        for one in self.refusals:
            tallies.setdefault(one.who, []).append(one)
        fresh = {
            who: ones
            for who, ones in tallies.items()
            if all(one.live and one.age < mine.lasts for one in ones)
        }
        strongest = max(tallies.values(), key=len)
        contested = sum(map(len, fresh.values()))
        if self.grants + contested < self.majority:
            return self.held(strongest)  # what stands in the way will not be taken back
        best = max(((len(ones), _name(who)) for who, ones in fresh.items()), default=(0, ()))
        return Contest((self.grants, mine.name) > best and self.grants > 0, self.held(strongest))

    def certain(self) -> Held | None:
        """Return why the claim is refused, whatever the other nodes say; `None`: it may not be."""
        tallies: dict[tuple[Met, Who], list[_Refusal]] = {}
        for one in self.refusals:
            # what one node knows of the claim's own past is true, though others have missed it
            if one.met in (Met.UNDONE, Met.DONE, Met.ENDED):
                return self.held([one])
            ones = tallies.setdefault((one.met, one.who), [])
            ones.append(one)
            if len(ones) >= self.majority:
                return self.held(ones)
        return None

    def is_certain(self) -> bool:
        """No answer that is still to come could change the verdict."""
        return self.failures > self.count - self.majority or self.certain() is not None

    def held(self, ones: Sequence[_Refusal]) -> Held:
        """Show whom these nodes have met."""
        one = min(ones, key=lambda each: each.free_at - each.now)
        frees = sorted(each.free_at - each.now for each in self.refusals)
        # a claim needs a majority of nodes that are free
        place = min(max(self.majority - self.grants, 1), len(frees)) - 1
        until = one.now + max(frees[place], one.free_at - one.now if one.met is Met.ENDED else 0)
        found = held(self.key, one.met, one.now, until, _plain(one.whom), _all_plain(one.taken))
        return replace(_tokenless(found), mark=self.mark)


def peeked(
    key: str, answers: Answers, majority: int, claim: Claim | None = None
) -> tuple[Held | None, int]:
    """Return who has most votes, and how many; `None` and 0: the key is free at all nodes.

    `claim`: who asks, and whose own votes are none any more.
    """
    tallies: dict[Who, list[list[Any]]] = {}
    for answer in answers:
        if not is_failure(answer) and answer is not None:
            who = tuple(answer[2][1:6])
            if claim is None or _bare(_name(who)) != parts(claim.holder):
                tallies.setdefault(who, []).append(answer)
    if not tallies:
        return None, 0
    most = max(tallies.values(), key=len)
    lives = [one for one in most if one[2][7] > one[0]]
    ones = lives if 2 * len(lives) >= len(most) else [one for one in most if one not in lives]
    # it is held for as long as a majority knows of it
    lasting = sorted(ones, key=lambda one: one[1] - one[0], reverse=True)
    now, free_at, shown, *taken = lasting[min(majority, len(lasting)) - 1]
    found = held(key, Met.OTHER, now, free_at, _plain(shown), _all_plain(taken))
    return replace(_tokenless(found), met=_met(found, claim)), len(most)


def _met(found: Held, claim: Claim | None) -> Met:
    """Say what a claim would have met here."""
    if claim is None or not found.live:
        return Met.OTHER
    if claim.publication and found.publication == short(claim.publication):
        return Met.PUBLICATION
    if task_id_of(found.holder) == claim.task_id:
        return Met.TASK
    if any(one.unconfirmed for one in found.holders):
        return Met.UNCONFIRMED
    return Met.OTHER


def _name(who: Who) -> tuple[str, ...]:
    """Return what decides between claims that have as many votes."""
    return tuple(part.decode("utf-8", "replace") for part in who[:4])


def _bare(name: tuple[str, ...]) -> tuple[str, ...]:
    """Take the number of the try out of a name."""
    return *name[:3], name[3].rpartition("/")[0]


def _plain(shown: list[Any]) -> list[Any]:
    """Take the number of the try out of a shown permit."""
    if not shown or b"/" not in shown[4]:
        return shown
    return [*shown[:4], shown[4].rpartition(b"/")[0], *shown[5:]]


def _all_plain(taken: list[Any]) -> list[Any]:
    return [_plain(one) for one in taken]


def _tokenless(found: Held) -> Held:
    """Leave out the tokens, which each node counts for itself."""
    holders: tuple[HeldPermit, ...] = tuple(replace(one, token=None) for one in found.holders)
    return replace(found, token=None, holders=holders)
