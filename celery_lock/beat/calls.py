"""Calls to the store for the records of one space, behind a circuit breaker."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from ..errors import StoreError, StoreUnavailable
from ..model import Change, Changed, Record, RecordStore
from .clock import StoreClock
from .entry_record import EntryRecord

__all__ = ["OPEN_FOR", "Answer", "Calls"]

logger = logging.getLogger("celery_lock")

OPEN_FOR = 1.0
"""Seconds for which the circuit breaker is open after a failed call: no call is made. Longer: ticks
are later when the store is back. Shorter: a beat does little else than wait for the store."""

_BATCH = 500

_Said = TypeVar("_Said")


@dataclass(frozen=True)
class Answer:
    """What the store has answered about one entry's record."""

    done: bool
    """The change was made; of a read record it is never said."""
    stamp: str | None
    """The stamp of the record that the store has now; `None`: it has none."""
    entry: EntryRecord | None
    """What that record says; `None`: there is no record, or another program has written it."""
    written: float
    now: float
    """When the record was written, and the moment of the answer, by the store's clock."""
    sent: float
    """When the question was sent, by the steady clock."""

    @property
    def age(self) -> float:
        """Seconds since the record was written."""
        return self.now - self.written


class Calls:
    """One beat's calls.

    Args:
        store: asked for records alone, whatever else it offers.
        space: the space of the records; beats of one space share their ticks.
        clock: learns the store's time from each answer.
        failed: is called with the error of each call that failed.
    """

    def __init__(
        self,
        store: RecordStore,
        space: str,
        clock: StoreClock,
        failed: Callable[[StoreError], None],
    ) -> None:
        self.clock = clock
        self._store = store
        self._space = space
        self._failed = failed
        self._open_until: float | None = None
        self._sure_since = clock.steady()

    @property
    def url(self) -> str:
        """The store's address, without a password."""
        return self._store.url

    @property
    def open_for(self) -> float:
        """Seconds for which the circuit breaker is still open; 0: the store may be asked."""
        if self._open_until is None:
            return 0.0
        return max(0.0, self._open_until - self.clock.steady())

    @property
    def sure_for(self) -> float:
        """Seconds since this beat began, or since the store's last silence ended.

        Another beat's confirm that was lost before may only now be sent again.
        """
        return self.clock.steady() - self._sure_since

    def change(
        self,
        name: str,
        expected: str | None,
        wanted: EntryRecord,
        *,
        ttl: float,
        not_before: float = 0.0,
    ) -> Answer:
        """Write a record if its stamp is the expected one. Raises `StoreError`."""
        change = Change(
            space=self._space,
            name=str(name),  # a schedule may number its entries
            expected=expected,
            stamp=wanted.stamp,
            value=wanted.write(),
            ttl=ttl,
            not_before=not_before,
        )

        def ask() -> tuple[Changed, float]:
            changed = self._store.change(change)
            return changed, changed.now

        changed, now, sent = self._ask(ask)
        if changed.done:
            # the same change may have been made before, and its answer lost
            written = now if changed.record is None else changed.record.written
            return Answer(True, wanted.stamp, wanted, written, now, sent)
        return _answer(name, changed.record, now, sent)

    def read(self, name: str) -> Answer:
        """Read one record. Raises `StoreError`."""
        ask = partial(self._store.records, self._space, [str(name)])
        (record,), now, sent = self._ask(ask)
        return _answer(name, record, now, sent)

    def read_all(self, names: list[str]) -> Iterator[tuple[str, Answer]]:
        """Yield the record of each name, some hundred in a call. Raises `StoreError`."""
        for start in range(0, len(names), _BATCH):
            batch = names[start : start + _BATCH]
            ask = partial(self._store.records, self._space, [str(name) for name in batch])
            records, now, sent = self._ask(ask)
            for name, record in zip(batch, records, strict=True):
                yield name, _answer(name, record, now, sent)

    def _ask(self, ask: Callable[[], tuple[_Said, float]]) -> tuple[_Said, float, float]:
        if self.open_for:
            raise StoreUnavailable(
                self.url, f"it failed a moment ago, and is not asked again for {OPEN_FOR:g} s"
            )
        sent = self.clock.steady()
        try:
            said, now = ask()
        except StoreError as error:
            self._open_until = self.clock.steady() + OPEN_FOR
            self._failed(error)
            raise
        received = self.clock.steady()
        self.clock.heard(now, sent, received)
        if self._open_until is not None:
            self._open_until, self._sure_since = None, received
        return said, now, sent


def _answer(name: str, record: Record | None, now: float, sent: float) -> Answer:
    if record is None:
        return Answer(False, None, None, now, now, sent)
    entry = EntryRecord.read(record)
    if entry is None:
        logger.warning("beat: the record of the entry %r cannot be read, and is replaced", name)
    return Answer(False, record.stamp, entry, record.written, now, sent)
