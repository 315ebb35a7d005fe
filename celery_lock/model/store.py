"""The waist: what a place must offer in which leases can live.

A store never sleeps, never retries past its deadline, never decides. Each call is one atomic
step, judged by the store's own clock. Driver errors do not leak: they become `StoreError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from ..errors import StoreError
from .claim import Claim, Completion, End, Held, Refused
from .lease import Lease
from .records import Change, Changed, Record

__all__ = [
    "Feature",
    "LeaseStore",
    "ListingStore",
    "LockStore",
    "Outcome",
    "RecordStore",
    "Release",
    "SeveralStore",
]


class Feature(str, Enum):
    """What a store promises beyond claims, renewals and releases.

    Asked of every store, and so no feature: an acquire, an undo and a release that are sent again
    have the effect of one.
    """

    FENCING = "fencing"
    """Tokens of a key only grow, over all its holders; with permits those of each slot."""
    PERMITS = "permits"
    """Claims have a `limit`: so many leases of one key live at once, each with its slot."""
    FLOORS = "floors"
    """Claims have `at_least`: the key stays taken for others, however its holder ends. A release
    has a `floor`: the same, where that is to depend on the end."""
    HEIRS = "heirs"
    """A release leaves the key to a holder that is still to come, and a publisher's lease is
    `unconfirmed` until it is left so to the message that was sent."""
    COPIES = "copies"
    """A release records the end of a publication's run, `complete()` its completion, and a late
    copy of it is refused."""
    SEVERAL = "several"
    """`acquire_all()` and `release_all()`: several keys are given together or not at all."""
    WATCH = "watch"
    """`watch()` returns early when a key becomes free."""
    LISTING = "listing"
    """`keys()`: all keys of one beginning are named."""
    RECORDS = "records"
    """`change()`, `records()` and `names()`: a small record is compared and set in one step."""
    CLOCK = "clock"
    """The times in answers, and `Change.not_before`, are of the store's own clock and not of the
    clock of whoever asks."""


class Outcome(Enum):
    """The store's answer to one renewal. No answer to any is a `StoreError`."""

    RENEWED = "renewed"
    LOST = "lost"
    """Not yours: expired, deleted, or somebody else's."""
    UNKNOWN = "unknown"
    """This one of the batch had no answer, though others had: it is neither renewed nor lost."""


@dataclass(frozen=True)
class Release:
    """The store's answer to a release; true if that was in time."""

    in_time: bool
    """This call, or an earlier one whose answer was lost, freed the permit in time. `False`: it
    was no longer held."""
    recorded: bool
    """The record of the publication says that its run has ended: a completion is to follow."""

    def __bool__(self) -> bool:
        return self.in_time

    @staticmethod
    def of(in_time: bool, recorded: bool) -> Release:
        """Return one of the four that there are: each run of a task asks for one."""
        return _RELEASES[2 * recorded + in_time]


_RELEASES = tuple(
    Release(in_time, recorded) for recorded in (False, True) for in_time in (False, True)
)


class LeaseStore(Protocol):
    """Where leases live."""

    @property
    def url(self) -> str:
        """Where it is, without a password: for messages and logs."""
        ...

    @property
    def features(self) -> frozenset[Feature]:
        """What it promises."""
        ...

    @property
    def coarse(self) -> float:
        """Seconds by which a lease may outlive its time; also the shortest ttl that makes sense.

        0 for a store that measures in milliseconds or finer. Nobody loses a lease early for it.
        """
        ...

    def acquire(self, claim: Claim) -> Lease | Held:
        """Give the key, or say who has it.

        The same holder asking again gets the same lease with the same token (its first answer
        was lost), prolonged. A holder whose claim was undone gets nothing. A copy of a
        publication that was completed is refused as `done`, or as `Met.ENDED` before it is
        completed, also when the key is free. A lease that was left to `heir_of` goes over to the
        claimant, and so does an unconfirmed one of the same task.
        """
        ...

    def renew(
        self, renewals: Sequence[tuple[Lease, float]], *, within: float | None = None
    ) -> list[Outcome]:
        """Let each lease live for so many more seconds, all in one round trip.

        An expired lease is not revived. `within`: give up after so many seconds if that is
        sooner than the store's own deadline.
        """
        ...

    def release(self, lease: Lease, end: End | None = None) -> Release:
        """Give the key back. Needs the proof: a stranger's lease frees nothing.

        `end`: what is recorded in the same step, and to whom the key is left. The end of a run
        is recorded though the lease was lost before: the body has run all the same. Then also
        with `if_met`, since a copy may have met whoever has the key now. The floor (`at_least`)
        goes on keeping others out.
        """
        ...

    def complete(self, completions: Sequence[Completion]) -> None:
        """Let these publications be completed from now on, all in one round trip.

        Only with `Feature.COPIES`. What is completed stays so, also if a release comes again after
        it; a record is written where there is none. At most 100 at a time.
        """
        ...

    def free(self, key: str, holder: str, *, floor: bool = False) -> Held | None:
        """End the lease of a holder that cannot give it back: its process is dead.

        `holder`: the whole holder, or its beginning up to a `#` where the rest died with it. An
        heir names an unconfirmed lease of the same task as well.
        `floor`: end its `at_least` as well. Returns who had the key, `None` if it was not him.
        """
        ...

    def undo(self, claim: Claim) -> None:
        """Take back a claim whose answer is not known, as if it had never been made.

        If it was granted the key is free again, without `at_least`; if it is still on its way
        it will be refused.
        """
        ...

    def watch(self, key: str, timeout: float) -> None:
        """Return when `key` may be free, or after `timeout` seconds; only with `Feature.WATCH`.

        A hint: it may return early for nothing, and the claim that follows decides. With several
        permits as many watchers are woken as permits have become free.
        """
        ...

    def peek(self, key: str) -> Held | None:
        """Who has the key; `None`: it is free. Changes nothing."""
        ...

    def check(self) -> list[str]:
        """Try the store once: a list of warnings for the log, empty when all is well.

        Raises `StoreError` when it cannot be used at all.
        """
        ...

    def close(self) -> None:
        """Give up connections. The store works again at the next call."""
        ...


class RecordStore(Protocol):
    """Where small records live: all of a store that a schedule needs."""

    @property
    def url(self) -> str:
        """Where it is, without a password: for messages and logs."""
        ...

    def change(self, change: Change) -> Changed:
        """Write a record if it is as expected, and say how it stands; with `Feature.RECORDS`.

        Done: the record has the stamp `expected` (`None`: there is none), and `not_before` has
        come. It then lives for `ttl` seconds. The same change asked again (its first answer was
        lost) is done, though nothing is written: the record lives on for `ttl` seconds at
        least. Everything else is refused, changes nothing, and the answer has what stands there.
        """
        ...

    def records(self, space: str, names: Sequence[str]) -> tuple[list[Record | None], float]:
        """Return these records in this order, and the store's time; with `Feature.RECORDS`.

        `None`: there is none. All in one round trip, and as they stand at one moment: ask for
        at most 500 at a time.
        """
        ...

    def names(self, space: str) -> list[str]:
        """Name all records of a space that are alive, sorted; with `Feature.RECORDS`."""
        ...


class SeveralStore(Protocol):
    """Where several keys can be claimed in one step; asked only with `Feature.SEVERAL`."""

    def acquire_all(self, claims: Sequence[Claim]) -> list[Lease] | Refused:
        """Give all these keys, or none of them, in one step; no key may be named twice.

        Each claim is judged as `acquire` judges it. Where one is refused nobody can tell that the
        others were made: they have left no floor and no lease, and whoever watches a key that was
        free is woken. Of several that are refused the answer has the one whose `Met` comes first.
        """
        ...

    def release_all(
        self, releases: Sequence[tuple[Lease, End | None]]
    ) -> list[Release | StoreError]:
        """Give keys back, each as `release` does, in one round trip.

        An error is in the place of the answer that is not known; each may have been executed.
        """
        ...


class ListingStore(Protocol):
    """Where one can ask which keys there are; only with `Feature.LISTING`."""

    def keys(self, beginning: str) -> list[str]:
        """Name all keys that begin so and were taken during the whole call, sorted.

        It may name others, which were free again, or became so: `peek` tells. A call takes as many
        steps as the place needs, so that nobody else waits for long, each with its own deadline.
        """
        ...


class LockStore(LeaseStore, RecordStore, SeveralStore, ListingStore, Protocol):
    """Everything that a store may offer. `celery_lock.contract` is the suite that it must pass.

    A store without `Feature.RECORDS`, `Feature.WATCH`, `Feature.COPIES`, `Feature.SEVERAL` or
    `Feature.LISTING` is asked for none of that: its methods may raise `NotImplementedError`.

    A store may also have `release_unheard(lease, end, failed)`, which releases without waiting for
    the answer: a later call of this process reads it, and gives an error to `failed`. Such a store
    has `hear()` too, which reads all of them: a process calls that as it leaves.

    And it may have `longest_ttl`: the longest ttl that a lease may have which is renewed, in
    seconds, since it gives no keys for so long after it may have forgotten some. A longer one is
    refused as a worker starts, at the first publish and in `hold`.

    Two more that a store may have are for `lock check`: `version()` says what its servers run, such
    as `Redis 7.0.15`, and `permissions` what its user needs at least. One more is for the engine:
    `part_of(key)` names the one of several servers that has a key, and asks nobody. Calls to a
    server that hangs are broken off, and those to the others go on. Where to renew a lease that
    nobody has asks no server, `probe(key, within)` asks one: the engine waits for its answer then.
    """
