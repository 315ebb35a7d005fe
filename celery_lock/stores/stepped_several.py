"""Several keys that are claimed in one step, and what a step writes of the state of a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import StoreError
from ..model import Claim, End, Lease, Met, Refused, Release
from ..model.claim import checked_together
from ..model.per_process import look_for_fork
from . import entries, tombstones, transitions
from .key_state import Interval, KeyState, micro, taken_until
from .stepped_records import SteppedRecords
from .stepping import Entry
from .tombstones import Tombstone

__all__ = ["OF_A_COPY", "SteppedSeveral", "record_entry"]

OF_A_COPY = (Met.PUBLICATION, Met.ENDED)
"""What shows that a copy is about, which is sent again now and may wait for long."""


class SteppedSeveral(SteppedRecords):
    """All or none of several keys, each of which has two entries: its state, and a tombstone."""

    GRACE = 60.0
    """Seconds that the state of a key outlives its use. Its token is the memory that keeps tokens
    growing when the clock is set back by less than this, and its marks answer a release that is
    sent again. Longer costs space for each key."""

    def acquire_all(self, claims: Sequence[Claim]) -> list[Lease] | Refused:
        """Give all these keys, or none of them."""
        look_for_fork()  # before a subclass looks for its connection
        checked_together(claims)
        names = [self._names.state(claim.key) for claim in claims]
        records = {
            at: self._names.tombstone(claim.key, claim.publication)
            for at, claim in enumerate(claims)
            if claim.copy_since is not None
        }

        def move(
            texts: Sequence[str | None], clock: Interval
        ) -> tuple[list[Lease] | Refused, Mapping[str, Entry]]:
            read = dict(zip([*names, *records.values()], texts, strict=True))
            known = {at: entries.read_tombstone(read[name], clock) for at, name in records.items()}
            questions = [
                (entries.read_state(read[names[at]]), claim, known.get(at))
                for at, claim in enumerate(claims)
            ]
            after, answer = transitions.acquire_all(questions, clock, micro(self.deadline))
            writes: dict[str, Entry] = {}
            for (before, claim, _), state in zip(questions, after, strict=True):
                writes.update(self._changed(claim.key, before, state, clock))
            if isinstance(answer, Refused) and answer.held.met in OF_A_COPY:
                for at, name in records.items():
                    writes[name] = record_entry(tombstones.met(known[at], clock))
            return answer, writes

        return self.step([*names, *records.values()], move, self.deadline)

    def release_all(
        self, releases: Sequence[tuple[Lease, End | None]]
    ) -> list[Release | StoreError]:
        """Give keys back, all in one step."""
        keys = [self._names.state(lease.key) for lease, _ in releases]
        names = list(
            dict.fromkeys(
                [
                    *keys,
                    *(
                        self._names.tombstone(lease.key, end.publication)
                        for lease, end in releases
                        if end is not None and end.publication
                    ),
                ]
            )
        )

        def move(
            texts: Sequence[str | None], clock: Interval
        ) -> tuple[list[Release | StoreError], Mapping[str, Entry]]:
            read = dict(zip(names, texts, strict=True))
            answers: list[Release | StoreError] = []
            writes: dict[str, Entry] = {}
            for lease, end in releases:
                answer, changes = self._released(lease, end, read, clock)
                answers.append(answer)
                writes |= changes
                read |= {name: entry.text for name, entry in changes.items()}
            return answers, writes

        try:
            return self.step(names, move, self.deadline) if names else []
        except StoreError as error:
            return [error] * len(releases)

    def _released(
        self, lease: Lease, end: End | None, read: Mapping[str, str | None], clock: Interval
    ) -> tuple[Release, dict[str, Entry]]:
        """Give one key back; `read` has the texts of its entries."""
        state = entries.read_state(read[self._names.state(lease.key)])
        after, freed = transitions.release(state, lease, end, clock)
        writes = self._changed(lease.key, state, after, clock)
        ended = None
        if end is not None and end.publication:
            name = self._names.tombstone(lease.key, end.publication)
            ended = tombstones.ended(entries.read_tombstone(read[name], clock), end, freed, clock)
            if ended is not None:
                writes[name] = record_entry(ended)
        return Release.of(freed, ended is not None), writes

    def _changed(
        self, key: str, before: KeyState, after: KeyState, clock: Interval
    ) -> dict[str, Entry]:
        if after is before:
            return {}
        until = max(taken_until(after), clock[1]) + micro(self.GRACE)
        return {self._names.state(key): Entry(entries.write_state(after), until)}


def record_entry(record: Tombstone) -> Entry:
    """Return the entry of a tombstone."""
    return Entry(entries.write_tombstone(record), record.until)
