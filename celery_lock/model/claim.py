"""A wish for a key, the answer that somebody else has it, what a release and a completion do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from .conflict import state_of
from .durations import LONGEST, checked
from .holder import Holder, task_id_of

__all__ = [
    "ENDED_FOR",
    "MET_FOR",
    "Claim",
    "Completion",
    "End",
    "Held",
    "HeldPermit",
    "Met",
    "Refused",
]

ENDED_FOR = 10.0
"""Seconds for which the record that a run has ended makes a copy wait. By then what follows the
run is out and is recorded as completed, or its process died in between and the copy is needed."""
MET_FOR = 86400.0
"""Seconds that a record lives at least whose publication has a copy that was seen: that copy may
wait for its turn for as long."""


@dataclass(frozen=True, init=False)
class Claim:
    """One holder's wish for a key. Raises `ValueError` for a time that no store can keep."""

    key: str
    holder: str
    ttl: float
    """Seconds that an unrenewed lease lives."""
    at_least: float = 0.0
    """Seconds that other tasks are kept out, from the acquire on, however the holder ends."""
    publication: str = ""
    """The act of publishing that brought this message: a redelivered copy has the same one."""
    watching: bool = False
    """The claimant will `watch` the key if it is taken."""
    copy_since: str | None = None
    """The message may be a copy: the claim is refused if its publication was completed, as its
    record says, at this mark of the store or later (`Held.mark`; `""`: at any time). If it is
    refused since its publication runs or has just ended, a mark of that is left in the record.
    `None`: the message is delivered for the first time, and can be no copy."""
    heir_of: str = ""
    """The holder that an earlier run of the task left the key to: its lease is taken over, and so
    is an unconfirmed one of the same task, whose publisher had no time to confirm it yet."""
    limit: int = 1
    """How many leases of the key may live at once, this one included. The smallest limit of all
    that live counts, so no lease ever has more companions than it was claimed with."""
    unconfirmed: bool = False
    """A publisher claims, whose message is not sent yet. Its release to an heir confirms the lease;
    until then nobody knows whether there is a message that comes for it."""

    def __init__(
        self,
        key: str,
        holder: str,
        ttl: float,
        at_least: float = 0.0,
        publication: str = "",
        watching: bool = False,
        copy_since: str | None = None,
        heir_of: str = "",
        limit: int = 1,
        unconfirmed: bool = False,
    ) -> None:
        if not (0.0 <= ttl <= LONGEST and 0.0 <= at_least <= LONGEST):
            checked(ttl, "ttl")
            checked(at_least, "at_least")
        # each run makes one: the init of a frozen dataclass takes five times as many steps
        self.__dict__.update(
            key=key,
            holder=holder,
            ttl=ttl,
            at_least=at_least,
            publication=publication,
            watching=watching,
            copy_since=copy_since,
            heir_of=heir_of,
            limit=limit,
            unconfirmed=unconfirmed,
        )

    @property
    def task_id(self) -> str:
        """The task that asks; `at_least` never stands in the way of the one that set it."""
        return task_id_of(self.holder)


def checked_together(claims: Sequence[Claim]) -> None:
    """Raise `ValueError` for claims that cannot be made together: a key is named twice."""
    keys = [claim.key for claim in claims]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{twice!r} is claimed twice in one step: one claim for each key")


class Met(str, Enum):
    """What a refused claim met. In this order a claim is judged."""

    UNDONE = "undone"
    """Its own undo, which overtook it."""
    PUBLICATION = "publication"
    """Its own publication, which runs, or whose process died within the ttl."""
    DONE = "done"
    """Its own publication is completed: all that follows the run is out, and
    the message is a copy of one that was completed."""
    ENDED = "ended"
    """The end of a run of its own publication, less than `ENDED_FOR` ago: what follows that run
    may not be out yet."""
    TASK = "task"
    """An earlier run of its own task."""
    UNCONFIRMED = "unconfirmed"
    """A publisher's lease whose message may never have been sent."""
    OTHER = "other"
    """Somebody else: as many leases and floors as the smallest limit allows."""


@dataclass(frozen=True)
class HeldPermit:
    """Who has one permit of a key."""

    holder: str
    """Who has it, or who had it last while `at_least` keeps it taken."""
    since: float
    """When that holder took it, in seconds since 1970 by the store's clock."""
    expires_in: float
    """Seconds until the permit is free unless a renewal comes."""
    live: bool = True
    """There is a lease; `False`: it has ended and only `at_least` keeps the permit taken."""
    publication: str = ""
    """The holder's own, or a digest of it."""
    token: int | None = None
    """Of the holder's lease; `None`: the store has none."""
    slot: int = 0
    """Which of the permits it is."""
    unconfirmed: bool = False
    """A publisher's lease whose message may never have been sent."""


@dataclass(frozen=True)
class Held:
    """The answer to a claim: somebody else has the key."""

    key: str
    holder: str
    """Whom the claim met: who has the key, or had it last while `at_least` keeps it taken. With
    several permits the one that comes free first, unless it was its own publication or task."""
    since: float
    """When that holder took it, in seconds since 1970 by the store's clock."""
    now: float
    """The store's clock at the answer."""
    expires_in: float
    """Seconds until the first permit is free unless a renewal comes; with `Met.ENDED` not less than
    until the record of the end counts no more."""
    live: bool = True
    """There is a lease; `False`: it has ended and only `at_least` keeps the key taken."""
    publication: str = ""
    """The holder's own, or a digest of it."""
    token: int | None = None
    """Of the holder's lease; `None`: the store has none."""
    met: Met = Met.OTHER
    """What the claim was refused for."""
    mark: str = ""
    """The store's own mark of this moment: what a later claim gives as `copy_since`."""
    holders: tuple[HeldPermit, ...] = ()
    """Everybody who has a permit, in the order of their slots."""

    @property
    def in_the_way(self) -> tuple[str, ...]:
        """The holders whose end the claim needs: one of them is enough."""
        if self.met is not Met.OTHER or not self.holders:
            return (self.holder,)
        return tuple(one.holder for one in self.holders)

    @property
    def is_unconfirmed(self) -> bool:
        """A publisher took it for a message which may never have been sent."""
        return any(one.unconfirmed and one.holder == self.holder for one in self.holders)

    @property
    def state(self) -> str:
        """What keeps the key taken, in one word: `unconfirmed`, or a word of `Conflict.state`."""
        if self.is_unconfirmed:
            return "unconfirmed"
        return state_of(Holder.parse(self.holder), live=self.live)

    @property
    def done(self) -> bool:
        """The claim is a copy: its publication has been completed."""
        return self.met is Met.DONE


@dataclass(frozen=True)
class Refused:
    """The answer to several claims that were made together: one of them was refused, so all are."""

    index: int
    """Which of the claims: the one that met what stands first in `Met`."""
    held: Held
    """What that one met."""

    @classmethod
    def of(cls, answers: Sequence[object]) -> Refused | None:
        """Return what several claims come to, of which each has had this answer."""
        order = list(Met)
        refused = [cls(at, held) for at, held in enumerate(answers) if isinstance(held, Held)]
        return min(refused, key=lambda one: order.index(one.held.met), default=None)


@dataclass(frozen=True, init=False)
class End:
    """What a release does besides, in the same step."""

    publication: str = ""
    """Record that a run of this publication has ended: a copy of it waits until it is
    recorded as completed, or `ENDED_FOR` is over."""
    remember: float = 0.0
    """Seconds for which: longer than a copy may be on its way, some 200 bytes each. `MET_FOR` at
    least where a copy was seen, or may have been: the lease was lost."""
    if_met: bool = False
    """Record it only where a copy was seen, or may have been."""
    heir: str = ""
    """The holder that the key is left to, instead of being free: one `for_retry` of its task."""
    heir_ttl: float = 0.0
    """Seconds that the heir has to come."""
    heir_publication: str = ""
    """What the heir shows as its publication meanwhile: by that a publisher knows whose it is. No
    message is of a publication of this name."""
    floor: float = 0.0
    """Seconds that other tasks are kept out, from the acquire on: an `at_least` that counts only
    now that the run has come to a good end. Also where the lease had lapsed and nobody came."""

    def __init__(
        self,
        publication: str = "",
        remember: float = 0.0,
        if_met: bool = False,
        heir: str = "",
        heir_ttl: float = 0.0,
        heir_publication: str = "",
        floor: float = 0.0,
    ) -> None:
        if not (
            0.0 <= remember <= LONGEST and 0.0 <= heir_ttl <= LONGEST and 0.0 <= floor <= LONGEST
        ):
            checked(remember, "remember")
            checked(heir_ttl, "heir_ttl")
            checked(floor, "floor")
        # most runs make one: see `Claim`
        self.__dict__.update(
            publication=publication,
            remember=remember,
            if_met=if_met,
            heir=heir,
            heir_ttl=heir_ttl,
            heir_publication=heir_publication,
            floor=floor,
        )


@dataclass(frozen=True)
class Completion:
    """The news that a publication was completed: all that follows its run is out."""

    key: str
    publication: str
    remember: float
    """Seconds for which a copy is refused; `MET_FOR` at least where one was seen."""

    def __post_init__(self) -> None:
        checked(self.remember, "remember")
