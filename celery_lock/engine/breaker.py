"""The breaker: a store that has hung is not asked by anybody until it answers again.

A call to a store that hangs costs its caller the whole deadline. One call has to find that out.
From then on the others are refused at once, and the thread of the pending calls asks in their
place, until it gets an answer. Renewals are never refused: a lease lives on them.

A store that fails fast is asked each time, since that costs nobody anything. One that needs long
to refuse, such as etcd with a wrong password, is like one that hangs. And while all is well nothing
stands between a run and its store: the claim and the release are the store's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from ..errors import StoreError, StoreUnavailable
from ..model import (
    Change,
    Changed,
    Claim,
    Completion,
    End,
    Feature,
    Held,
    Lease,
    LockStore,
    Outcome,
    Record,
    Refused,
    Release,
)
from ..model.clock import Clock
from ..model.per_process import this_process
from .probe import COSTLY, NO_KEY, Shut, cause_of, probed

__all__ = ["PAUSE", "Breaker"]

PAUSE = 0.25
"""Seconds between two probes. Longer: claims are refused for longer after the store has come back.
Shorter: more calls to a store that has much to do as it begins."""

_OPTIONAL = ("hear", "longest_ttl", "release_unheard")
"""What a store may have, and need not."""

T = TypeVar("T")


class _Acquire(Protocol):
    def __call__(self, claim: Claim) -> Lease | Held: ...


class _Release(Protocol):
    def __call__(self, lease: Lease, end: End | None = None) -> Release: ...


class Breaker:
    """A store before another one, which it asks as long as that answers in time.

    A store whose keys are kept by several servers may have a method `part_of(key)`, which names
    the one of them that has a key and asks nobody: then each of them has a breaker of its own.
    """

    acquire: _Acquire
    release: _Release

    def __init__(self, store: LockStore, *, deadline: float, clock: Clock) -> None:
        """`deadline`: the seconds that a call to the store may take."""
        self.behind = store
        """The store itself."""
        self.wake: Callable[[float], None] = lambda time: None
        """Sees to it that `probe_due()` is called at a time."""
        self.answers: Callable[[], None] = lambda: None
        """Called when the store has answered again."""
        self._deadline = deadline
        self._clock = clock
        self._part_of: Callable[[str], object] = getattr(store, "part_of", lambda key: None)
        self._shut: dict[object, Shut] = {}
        self._due = 0.0
        """When the next probe is, while something is shut."""
        self._let_all_through()
        for name in _OPTIONAL:
            if hasattr(store, name):
                setattr(self, name, getattr(store, name))

    def __repr__(self) -> str:
        return f"<Breaker before {self.behind!r}>"

    # -- what is known of the store ----------------------------------------------------------

    def now(self) -> float:
        """Return the time, for a call that begins."""
        return self._clock()

    def failed(self, error: StoreError, key: str | None, began: float) -> None:
        """Note how a call about a key failed; its caller has waited since `began`."""
        now = self._clock()
        if not error.asked or now - began < COSTLY * self._deadline:
            return
        part = None if key is None else self._part_of(key)
        known, process = self._shut.get(part), this_process.value
        if known is None or known.process is not process:
            self._due, self._shut[part] = now, Shut(key or NO_KEY, cause_of(error), process)
        self.acquire, self.release = self._acquire, self._release
        self.wake(self._due)

    def _refuse(self, key: str | None) -> None:
        """Raise if the store, or its part that has this key, is known not to answer."""
        shut = self._shut.get(None if key is None else self._part_of(key))
        if shut is None:
            return
        if shut.process is not this_process.value:
            self._shut.clear()
            self._let_all_through()
            return
        self.wake(self._due)  # a stop may have fallen between the finding out and that
        cause = f"{shut.cause}, so it is not asked until it answers again"
        error = StoreUnavailable(self.url, cause)
        error.asked = False
        raise error

    def probe_due(self) -> float:
        """Ask the store whether it answers again, if the time for that has come; return when it
        will have."""
        if self._shut and self._clock() >= self._due:
            self.probe()
        return self._due if self._shut else math.inf

    def probe(self) -> None:
        """Ask the store whether it answers again, if it has hung."""
        asked = dict(self._shut)
        if asked:
            answers = probed(self.behind, list(asked.values()), self._deadline, self._clock)
            for part, answers_again in zip(asked, answers, strict=True):
                if answers_again:
                    self._open(part)
        self._due = self._clock() + PAUSE

    def _open(self, part: object) -> None:
        if self._shut.pop(part, None) is None:
            return
        if not self._shut:
            self._let_all_through()
        self.answers()

    def _let_all_through(self) -> None:
        self.acquire, self.release = self.behind.acquire, self.behind.release
        if self._shut:  # another thread has found out in this moment
            self.acquire, self.release = self._acquire, self._release

    def _ask(self, key: str | None, call: Callable[..., T], *args: Any, **options: Any) -> T:
        if self._shut:
            self._refuse(key)
        began = self._clock()
        try:
            return call(*args, **options)
        except StoreError as error:
            self.failed(error, key, began)
            raise

    # -- the calls of each run: whoever makes them says how they failed ------------------------

    def _acquire(self, claim: Claim) -> Lease | Held:
        self._refuse(claim.key)
        return self.behind.acquire(claim)

    def _release(self, lease: Lease, end: End | None = None) -> Release:
        self._refuse(lease.key)
        return self.behind.release(lease, end)

    # -- all others --------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return self.behind.url

    @property
    def features(self) -> frozenset[Feature]:
        return self.behind.features

    @property
    def coarse(self) -> float:
        return self.behind.coarse

    def renew(
        self, renewals: Sequence[tuple[Lease, float]], *, within: float | None = None
    ) -> list[Outcome]:
        """Never refused. An answer says that the store answers, as that of a probe does."""
        outcomes = self.behind.renew(renewals, within=within)
        if self._shut:
            for (lease, _), outcome in zip(renewals, outcomes, strict=True):
                if outcome is not Outcome.UNKNOWN:
                    self._open(self._part_of(lease.key))
        return outcomes

    def acquire_all(self, claims: Sequence[Claim]) -> list[Lease] | Refused:
        return self._ask(claims[0].key, self.behind.acquire_all, claims)

    def release_all(
        self, releases: Sequence[tuple[Lease, End | None]]
    ) -> list[Release | StoreError]:
        key, began = releases[0][0].key, self._clock()
        try:
            if self._shut:
                self._refuse(key)
        except StoreError as error:
            return [error] * len(releases)
        answers = self.behind.release_all(releases)
        for (lease, _), answer in zip(releases, answers, strict=True):
            if isinstance(answer, StoreError):
                self.failed(answer, lease.key, began)
        return answers

    def complete(self, completions: Sequence[Completion]) -> None:
        """Each part is told of its own, so that one which hangs is known, and waited for once."""
        parts: dict[object, list[Completion]] = {}
        for one in completions:
            parts.setdefault(self._part_of(one.key), []).append(one)
        errors = []
        for ones in parts.values():
            try:
                self._ask(ones[0].key, self.behind.complete, ones)
            except StoreError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def free(self, key: str, holder: str, *, floor: bool = False) -> Held | None:
        return self._ask(key, self.behind.free, key, holder, floor=floor)

    def undo(self, claim: Claim) -> None:
        self._ask(claim.key, self.behind.undo, claim)

    def peek(self, key: str) -> Held | None:
        return self._ask(key, self.behind.peek, key)

    def watch(self, key: str, timeout: float) -> None:
        """Never refused: a claim comes before it and after it."""
        self.behind.watch(key, timeout)

    def keys(self, beginning: str) -> list[str]:
        return self._ask(None, self.behind.keys, beginning)

    def change(self, change: Change) -> Changed:
        return self._ask(None, self.behind.change, change)

    def records(self, space: str, names: Sequence[str]) -> tuple[list[Record | None], float]:
        return self._ask(None, self.behind.records, space, names)

    def names(self, space: str) -> list[str]:
        return self._ask(None, self.behind.names, space)

    def check(self) -> list[str]:
        return self.behind.check()

    def close(self) -> None:
        self.behind.close()
