"""What a Lock has become for one task: every default filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import LockConfigurationError, LockError, UnsupportedFeature
from ..keys import UNKNOWN, KeySource, check_key
from ..message import Header
from ..model import Decision, Feature, Lock, LockStore, OnConflict, OnStoreError, Scope
from ..policies import outcomes
from ..stores import stores_with

__all__ = [
    "BoundLock",
    "BoundLocks",
    "each_lock",
    "has_publishers",
    "lacks_of",
    "refuse_lack",
    "refuse_long",
    "refuse_what_lacks",
]


@dataclass(frozen=True)
class BoundLock:
    """A Lock that has met its task, and what it says of the task's messages.

    Times are in seconds.
    """

    lock: Lock
    key: KeySource
    ttl: float
    at_least: float
    """The floor that a claim sets; 0 where only the release of a success does."""
    at_most: float | None
    on_conflict: OnConflict
    on_store_error: OnStoreError
    across_retries: bool
    """The key is kept from the task to its retry."""
    queue_ttl: float
    interrupts: bool
    """A body whose lease is lost is interrupted."""
    scope: Scope
    """Between which moments the lease is held."""
    limit: int = 1
    """How many may hold the key at once."""
    floor: float = 0.0
    """The floor that the release of a success sets, from the acquire on; 0: none."""

    @property
    def needs(self) -> frozenset[Feature]:
        """What the lock asks of its store, beyond claims, renewals and releases.

        What a policy function will answer is not known, and left out.
        """
        asked = {
            Feature.FLOORS: bool(self.at_least or self.floor),
            Feature.HEIRS: self.scope.queues,
            Feature.PERMITS: self.limit > 1,
        }
        policy = self.on_conflict
        decisions = outcomes(policy) if isinstance(policy, Decision) else ()
        return frozenset(feature for feature, needed in asked.items() if needed).union(
            *(decision.needs for decision in decisions)
        )

    @property
    def may_end_a_task(self) -> bool:
        """A conflict may end the task without its body; what a function answers is not known."""
        policy = self.on_conflict
        return not isinstance(policy, Decision) or any(
            not (decision.sends or decision.blocks) for decision in outcomes(policy)
        )

    @property
    def has_functions(self) -> bool:
        """The lock's key or its policy is made by a function of its author's."""
        return callable(self.lock.key) or not isinstance(self.on_conflict, Decision)

    def key_of(self, header: Header, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Return the key of a message: the one it carries, else the one its arguments spell."""
        if header.unlocked:
            return self._key_shown(header, args, kwargs)
        if header.key is None:
            shows = self.key.shows_message
            return self.key.render(args, kwargs, header.context if shows else UNKNOWN)
        check_key(header.key)
        return header.key

    def _key_shown(self, header: Header, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Return the key that a run without the lock would have taken; its template where that is
        not known. Never raises: it is shown alone."""
        if header.key is not None or callable(self.lock.key):
            return header.key or self.key.template
        try:
            return self.key.render(args, kwargs, header.context)
        except LockError:
            return self.key.template

    def ceiling_of(
        self, task: Any, request: Any, workers: float | None, *, enforced: bool
    ) -> float | None:
        """Return the ceiling of a run: the lock's own, else the hard limit and what a kill takes.

        `workers`: the limit that the worker has for tasks without one. `enforced`: whether a body
        ends at its limit; one that goes on needs its lease for as long.
        """
        if self.at_most is not None or not enforced:
            return self.at_most
        limits = request.timelimit or (None, None)
        hard = limits[0] or task.time_limit or workers
        return None if not hard else float(hard) + 10.0


BoundLocks = Mapping[str, tuple[BoundLock, ...]]
"""The locks of each locked task, in the order in which it declares them, by the task's name."""


def each_lock(bound: BoundLocks) -> Iterator[tuple[str, BoundLock]]:
    """Go through all locks, each with the name of its task, in the order of these names."""
    for task in sorted(bound):
        for lock in bound[task]:
            yield task, lock


def has_publishers(bound: tuple[BoundLock, ...]) -> bool:
    """Whether one of a task's locks is taken by its publisher."""
    return any(lock.scope.is_publishers for lock in bound)


def refuse_what_lacks(store: LockStore, bound: BoundLocks) -> None:
    """Raise `UnsupportedFeature` if the store lacks what one of these locks, by task, needs.

    A store that cannot take the keys of a list in one step takes one after another, and undoes
    them when one is busy. Somebody who met one of these meanwhile must not have been ended for it.
    """
    several = Feature.SEVERAL
    for task, locks in sorted(bound.items()):
        ends = len(locks) > 1 and any(lock.may_end_a_task for lock in locks)
        if ends and several not in store.features:
            what = f"the list of locks of task {task}, which a policy of its own may end,"
            raise UnsupportedFeature(several.value, what, store.url, stores_with(several))
    for task, lock in each_lock(bound):
        for feature in sorted(lock.needs - store.features):
            refuse_lack(store, feature, f"the lock of task {task}")
        if lock.scope is not Scope.UNTIL_STARTED:  # no body runs under that one
            refuse_long(store, lock.ttl, f"the lock of task {task}")


def refuse_long(store: LockStore, ttl: float, asked_by: str) -> None:
    """Raise `LockConfigurationError` for a lease that could outlive what the store waits for.

    A store that may have forgotten who holds a key gives none until the longest lease has ended.
    """
    longest = getattr(store, "longest_ttl", None)
    if longest is not None and ttl > longest:
        raise LockConfigurationError(
            f"{asked_by} has a ttl of {ttl:g} s, and {store.url} allows no more than"
            f" {longest:g} s (longest_ttl), for so long it gives no keys after a restart: write a"
            " shorter ttl, or set longest_ttl in lock_store_options to the longest that there is"
        )


def refuse_lack(store: LockStore, feature: Feature, needed_by: str) -> None:
    """Raise `UnsupportedFeature`, which names the stores that can, if the store lacks a feature."""
    if feature not in store.features:
        raise UnsupportedFeature(feature.value, needed_by, store.url, stores_with(feature))


def lacks_of(store: LockStore) -> dict[Feature, tuple[str, ...]]:
    """Return what a store lacks, each with the beginnings of the URLs of those that have it."""
    return {each: stores_with(each) for each in Feature if each not in store.features}
