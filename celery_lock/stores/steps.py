"""A store of leases and records over entries that are read and written in one step.

What a lock needs of a place is little: read a few entries by name, look at the time, write some of
them back, and all of that at once, as if nobody else were there. `SteppedStore` makes a whole store
of it. A table of a database, a document store, a register of ZooKeeper is a driver of a hundred
lines on it: `how-to/write-a-store.md` builds one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import StoreUnavailable
from ..model import (
    Claim,
    Completion,
    End,
    Feature,
    Held,
    Lease,
    Outcome,
    Release,
)
from ..model.durations import checked
from ..model.per_process import look_for_fork
from . import entries, tombstones, transitions
from .key_state import Interval, micro
from .stepped_several import OF_A_COPY, SteppedSeveral, record_entry
from .stepping import Entry, Move

__all__ = ["FEATURES", "Entry", "Move", "SteppedStore"]

FEATURES = frozenset(Feature) - {Feature.WATCH, Feature.LISTING}
"""What every store of this kind promises."""


class SteppedStore(SteppedSeveral):
    """A store whose every call is one `step`. A subclass says what a step is.

    It has every feature but `Feature.WATCH` and `Feature.LISTING`: a subclass that can wait, or
    can name its entries, overrides `watch` or `keys`, and says so in its `features`.

    Args:
        url: where it is; nobody is shown more of it than the server.
        deadline: seconds that one step may take at most.
        prefix: what the names of all entries begin with.
    """

    @property
    def features(self) -> frozenset[Feature]:
        """What it promises."""
        return FEATURES

    @property
    def coarse(self) -> float:
        """Seconds by which a lease may outlive its time."""
        return 0.0

    def check(self) -> list[str]:
        """Try the store once."""
        self.peek("celery-lock check")
        return []

    def close(self) -> None:
        """Give up connections: none, unless a subclass has some."""
        return

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    # -- leases ------------------------------------------------------------------------------

    def acquire(self, claim: Claim) -> Lease | Held:
        """Give the key, or say who has it."""
        look_for_fork()  # before a subclass looks for its connection
        names = [self._names.state(claim.key)]
        if claim.copy_since is not None:
            names.append(self._names.tombstone(claim.key, claim.publication))

        def move(
            texts: Sequence[str | None], clock: Interval
        ) -> tuple[Lease | Held, Mapping[str, Entry]]:
            state = entries.read_state(texts[0])
            tombstone = entries.read_tombstone(texts[1], clock) if len(texts) > 1 else None
            after, answer = transitions.acquire(
                state, claim, tombstone, clock, micro(self.deadline)
            )
            writes = self._changed(claim.key, state, after, clock)
            if len(names) > 1 and isinstance(answer, Held) and answer.met in OF_A_COPY:
                writes[names[1]] = record_entry(tombstones.met(tombstone, clock))
            return answer, writes

        return self.step(names, move, self.deadline)

    def renew(
        self, renewals: Sequence[tuple[Lease, float]], *, within: float | None = None
    ) -> list[Outcome]:
        """Let each lease live for so many more seconds, all in one step."""
        if not renewals:
            return []
        for _, ttl in renewals:
            checked(ttl, "ttl")
        keys = list(dict.fromkeys(lease.key for lease, _ in renewals))

        def move(
            texts: Sequence[str | None], clock: Interval
        ) -> tuple[list[Outcome], Mapping[str, Entry]]:
            before = dict(zip(keys, map(entries.read_state, texts), strict=True))
            states, outcomes = dict(before), []
            for lease, ttl in renewals:
                states[lease.key], renewed = transitions.renew(states[lease.key], lease, ttl, clock)
                outcomes.append(Outcome.RENEWED if renewed else Outcome.LOST)
            writes: dict[str, Entry] = {}
            for key in keys:
                writes.update(self._changed(key, before[key], states[key], clock))
            return outcomes, writes

        seconds = self.deadline if within is None else min(within, self.deadline)
        if seconds <= 0:
            raise StoreUnavailable(self.url, "there was no time left to ask it")
        return self.step([self._names.state(key) for key in keys], move, seconds)

    def release(self, lease: Lease, end: End | None = None) -> Release:
        """Give the key back, and record what is to be recorded."""
        names = [self._names.state(lease.key)]
        if end is not None and end.publication:
            names.append(self._names.tombstone(lease.key, end.publication))

        def move(
            texts: Sequence[str | None], clock: Interval
        ) -> tuple[Release, Mapping[str, Entry]]:
            return self._released(lease, end, dict(zip(names, texts, strict=True)), clock)

        return self.step(names, move, self.deadline)

    def complete(self, completions: Sequence[Completion]) -> None:
        """Let these publications be completed from now on, all in one step."""
        lives: dict[str, float] = {}
        for one in completions:
            name = self._names.tombstone(one.key, one.publication)
            lives[name] = max(one.remember, lives.get(name, 0.0))

        def move(texts: Sequence[str | None], clock: Interval) -> tuple[None, Mapping[str, Entry]]:
            writes = {}
            for (name, remember), text in zip(lives.items(), texts, strict=True):
                before = entries.read_tombstone(text, clock)
                writes[name] = record_entry(tombstones.completed(before, remember, clock))
            return None, writes

        if lives:
            self.step(list(lives), move, self.deadline)

    def free(self, key: str, holder: str, *, floor: bool = False) -> Held | None:
        """End the lease of a holder that cannot give it back any more."""

        def move(
            texts: Sequence[str | None], clock: Interval
        ) -> tuple[Held | None, Mapping[str, Entry]]:
            state = entries.read_state(texts[0])
            after, had = transitions.free(state, key, holder, clock, floor=floor)
            return had, self._changed(key, state, after, clock)

        return self.step([self._names.state(key)], move, self.deadline)

    def undo(self, claim: Claim) -> None:
        """Take back a claim whose answer is not known."""

        def move(texts: Sequence[str | None], clock: Interval) -> tuple[None, Mapping[str, Entry]]:
            state = entries.read_state(texts[0])
            after = transitions.undo(state, claim, clock, micro(self.deadline))
            return None, self._changed(claim.key, state, after, clock)

        self.step([self._names.state(claim.key)], move, self.deadline)

    def peek(self, key: str) -> Held | None:
        """Who has the key; `None`: it is free."""
        return self.step(
            [self._names.state(key)],
            lambda texts, clock: (
                transitions.peek(entries.read_state(texts[0]), key, clock),
                {},
            ),
            self.deadline,
        )

    def watch(self, key: str, timeout: float) -> None:
        """Only with `Feature.WATCH`."""
        raise NotImplementedError(f"{self.url} does not promise {Feature.WATCH.value}")

    def keys(self, beginning: str) -> list[str]:
        """Only with `Feature.LISTING`."""
        raise NotImplementedError(f"{self.url} does not promise {Feature.LISTING.value}")
