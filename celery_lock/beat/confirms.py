"""The confirms of published ticks: one that did not come to the store is sent again later."""

from __future__ import annotations

from ..errors import StoreError
from .calls import Calls
from .entry_record import EntryRecord, LastRun
from .ticks import Tick

__all__ = ["Confirms"]

_TRIES = 4
"""How often a confirm that meets another record than it expected is tried with that one."""


class Confirms:
    """One beat's confirms, in the order of their ticks."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._pending: list[Tick] = []

    @property
    def are_pending(self) -> bool:
        """Whether a confirm has not come to the store yet."""
        return bool(self._pending)

    def send(self, tick: Tick) -> LastRun | None:
        """Confirm a tick in the store; return a run that another beat has confirmed instead.

        Never raises: without an answer the confirm is pending.
        """
        try:
            return self._confirm(tick)
        except StoreError:
            self._pending.append(tick)
            return None

    def send_pending(self) -> None:
        """Send the pending confirms, if the store may be asked. Never raises."""
        while self._pending and not self._calls.open_for:
            tick = self._pending[0]
            try:
                self._confirm(tick)
            except StoreError:
                return
            self._pending.remove(tick)

    def _confirm(self, tick: Tick) -> LastRun | None:
        quiet, expected = EntryRecord(tick.run, next_due=tick.next_due), tick.stamp
        for _ in range(_TRIES):
            answer = self._calls.change(tick.name, expected, quiet, ttl=tick.record_ttl)
            if answer.done:
                return None
            if answer.entry is not None and _is_beyond(answer.entry, tick):
                return answer.entry.last
            # a tick is confirmed by its due time, not by who claimed it: it may be taken over
            expected = answer.stamp
        return None


def _is_beyond(record: EntryRecord, tick: Tick) -> bool:
    """Whether an entry has gone on from a tick, or from its successor."""
    if record.last.at >= tick.next_base:
        return True
    return record.claim is not None and record.claim.due > tick.due
