"""A store of leases and records over entries that are read and written in one step.

What a lock needs of a place is little: read a few entries by name, look at the time, write some of
them back, and all of that at once, as if nobody else were there. `SteppedStore` makes a whole store
of it. A table of a database, a document store, a register of ZooKeeper is a driver of a hundred
lines on it: `how-to/write-a-store.md` builds one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..errors import StoreUnavailable
from ..model import Change, Changed, Claim, End, Feature, Held, Lease, Outcome, Record
from ..model.durations import checked
from . import entries, transitions
from .entry_names import EntryNames
from .key_state import Interval, KeyState, micro, taken_until
from .redacted import redacted

__all__ = ["FEATURES", "Entry", "Move", "SteppedStore"]

T = TypeVar("T")

FEATURES = frozenset(Feature) - {Feature.WATCH}
"""What every store of this kind promises."""


@dataclass(frozen=True)
class Entry:
    """What is to be written under a name."""

    text: str
    until: int
    """Microseconds since 1970: after that the entry may be forgotten, and need not be."""


Move = Callable[[Sequence[str | None], Interval], tuple[T, Mapping[str, Entry]]]
"""What is done in one step: it is shown the entries' texts (`None`: there is none) and the time,
and returns the answer and what to write: some of these entries. It has no side effects, so it may
be called again."""


class SteppedStore(ABC):
    """A store whose every call is one `step`. A subclass says what a step is.

    It has every feature but `Feature.WATCH`: a subclass that can wait overrides `watch`, and says
    so in its `features`.

    Args:
        url: where it is; nobody is shown more of it than the server.
        deadline: seconds that one step may take at most.
        prefix: what the names of all entries begin with.
    """

    GRACE = 60.0
    """Seconds that the state of a key outlives its use. Its token is the memory that keeps tokens
    growing when the clock is set back by less than this, and its marks answer a release that is
    sent again. Longer costs space for each key."""

    def __init__(self, url: str, *, deadline: float, prefix: str) -> None:
        self._url = redacted(url)
        self._names = EntryNames(prefix)
        self.deadline = deadline
        """An undone claim is refused for so long should it still arrive."""

    @abstractmethod
    def step(self, names: Sequence[str], move: Move[T], within: float) -> T:
        """Read the entries of these names, let `move` look at them, write what it returns.

        All at once: nobody else reads or writes one of these entries in between. Raises a
        `StoreError` for whatever goes wrong, and then nothing was written, or it is not known
        whether it was; `StoreUnavailable` when it has taken `within` seconds.

        No name is given twice, and there may be none. Names and texts are ASCII, one line each,
        and a name has at most 1,000 characters.
        """

    @property
    def url(self) -> str:
        """Where it is, without a password."""
        return self._url

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
            return answer, self._changed(claim.key, state, after, clock)

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

    def release(self, lease: Lease, end: End | None = None) -> bool:
        """Give the key back; `False`: it was no longer held."""
        names = [self._names.state(lease.key)]
        if end is not None and end.publication:
            names.append(self._names.tombstone(lease.key, end.publication))

        def move(texts: Sequence[str | None], clock: Interval) -> tuple[bool, Mapping[str, Entry]]:
            state = entries.read_state(texts[0])
            after, freed = transitions.release(state, lease, end, clock)
            writes = self._changed(lease.key, state, after, clock)
            if end is not None and end.publication:
                until = clock[1] + micro(end.remember)
                text = entries.write_tombstone(transitions.complete(end, clock), until)
                writes[names[1]] = Entry(text, until)
            return freed, writes

        return self.step(names, move, self.deadline)

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

    # -- records -----------------------------------------------------------------------------

    def change(self, change: Change) -> Changed:
        """Write a record if it is as expected, and say how it stands."""
        name = self._names.record(change.space, change.name)
        index = self._names.index(change.space, change.name)

        def move(
            texts: Sequence[str | None], clock: Interval
        ) -> tuple[Changed, Mapping[str, Entry]]:
            standing = entries.read_record(texts[0], clock)
            after, answer = entries.change(standing, change, clock)
            if after is None:
                return answer, {}
            known = entries.read_index(texts[1], clock) | {change.name: after.until}
            return answer, {
                name: Entry(entries.write_record(after), after.until),
                index: Entry(entries.write_index(known), max(known.values())),
            }

        return self.step([name, index], move, self.deadline)

    def records(self, space: str, names: Sequence[str]) -> tuple[list[Record | None], float]:
        """Return these records in this order, and the time."""

        def move(
            texts: Sequence[str | None], clock: Interval
        ) -> tuple[tuple[list[Record | None], float], Mapping[str, Entry]]:
            by_name = dict(zip(unique, texts, strict=True))
            standing = [entries.read_record(by_name[name], clock) for name in names]
            found = [None if one is None else one.record for one in standing]
            return (found, clock[1] / 1e6), {}

        unique = list(dict.fromkeys(names))
        entry_names = [self._names.record(space, name) for name in unique]
        return self.step(entry_names, move, self.deadline)

    def names(self, space: str) -> list[str]:
        """Name all records of a space that are alive."""

        def move(
            texts: Sequence[str | None], clock: Interval
        ) -> tuple[list[str], Mapping[str, Entry]]:
            return sorted(name for text in texts for name in entries.read_index(text, clock)), {}

        return self.step(self._names.indexes(space), move, self.deadline)

    # -- words -------------------------------------------------------------------------------

    def _changed(
        self,
        key: str,
        before: KeyState,
        after: KeyState,
        clock: Interval,
    ) -> dict[str, Entry]:
        if after is before:
            return {}
        until = max(taken_until(after), clock[1]) + micro(self.GRACE)
        return {self._names.state(key): Entry(entries.write_state(after), until)}
