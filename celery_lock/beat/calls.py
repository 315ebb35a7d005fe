"""Calls to the store for the records of one space; after a failed one it is left alone a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from ..errors import StoreError, StoreUnavailable
from ..model import Change, Changed, LockStore, Record
from .clock import StoreClock
from .progress import Progress

__all__ = ["BREAK", "Calls"]

BREAK = 1.0
"""Seconds for which a store that gave no answer is not asked again. Longer: ticks are later when it
is back. Shorter: a beat does little else than wait for it."""

_BATCH = 500

_Answer = TypeVar("_Answer")


class Calls:
    """One beat's calls.

    Args:
        space: where the records are; beats of one space share their ticks.
        clock: learns the store's time from each answer.
        failed: is told of each call that failed.
    """

    def __init__(
        self,
        store: LockStore,
        space: str,
        clock: StoreClock,
        failed: Callable[[StoreError], None],
    ) -> None:
        self.clock = clock
        self._store = store
        self._space = space
        self._failed = failed
        self._silent_until: float | None = None
        self._sure_since = clock.steady()

    @property
    def url(self) -> str:
        """Where the store is, without a password."""
        return self._store.url

    @property
    def patience(self) -> float:
        """Seconds until the store may be asked again; 0 while it answers."""
        if self._silent_until is None:
            return 0.0
        return max(0.0, self._silent_until - self.clock.steady())

    @property
    def sure_for(self) -> float:
        """Seconds since this beat began, or since the store's last silence ended.

        Before that a confirm may have been lost that is said again soon.
        """
        return self.clock.steady() - self._sure_since

    def change(
        self,
        name: str,
        expected: str | None,
        wanted: Progress,
        *,
        keep: float,
        not_before: float = 0.0,
    ) -> Changed:
        """Write a record if it has the stamp that is expected. Raises `StoreError`."""
        change = Change(
            space=self._space,
            name=str(name),  # a schedule may number its entries
            expected=expected,
            stamp=wanted.stamp,
            value=wanted.write(),
            keep=keep,
            not_before=not_before,
        )

        def ask() -> tuple[Changed, float]:
            answer = self._store.change(change)
            return answer, answer.now

        return self._ask(ask)[0]

    def read(self, name: str) -> tuple[Record | None, float]:
        """Return one record, and the store's time. Raises `StoreError`."""
        (record,), now = self._ask(partial(self._store.records, self._space, [str(name)]))
        return record, now

    def read_all(self, names: list[str]) -> Iterator[tuple[str, Record | None]]:
        """Yield the record of each name, some hundred in a call. Raises `StoreError`."""
        for start in range(0, len(names), _BATCH):
            batch = names[start : start + _BATCH]
            records, _ = self._ask(
                partial(self._store.records, self._space, [str(name) for name in batch])
            )
            yield from zip(batch, records, strict=True)

    def _ask(self, ask: Callable[[], tuple[_Answer, float]]) -> tuple[_Answer, float]:
        if self.patience:
            raise StoreUnavailable(
                self.url, f"it failed a moment ago, and is not asked again for {BREAK:g} s"
            )
        sent = self.clock.steady()
        try:
            answer, now = ask()
        except StoreError as error:
            self._silent_until = self.clock.steady() + BREAK
            self._failed(error)
            raise
        received = self.clock.steady()
        self.clock.heard(now, sent, received)
        if self._silent_until is not None:
            self._silent_until, self._sure_since = None, received
        return answer, now
