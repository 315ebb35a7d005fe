"""The random id of a store, by which a worker knows that a lease lies in another one."""

from __future__ import annotations

from contextlib import suppress
from secrets import token_hex

from ..errors import StoreError
from ..model import Change, Feature, LockStore
from ..model.clock import Clock, steady
from ..model.durations import LONGEST
from ..model.per_process import PerProcess

__all__ = ["StoreId"]

_SPACE, _NAME = "store", "id"

AGAIN = 60.0
"""Seconds after which the id is asked for anew: who was emptied has another one."""
_MOST = 8
"""How many ids of one store a process knows."""


class StoreId:
    """The random id of one store: made once for all processes, and asked for once a minute."""

    def __init__(self, store: LockStore, clock: Clock = steady) -> None:
        self._store = store
        self._clock = clock
        self._own = PerProcess(_Own)

    def get(self) -> str:
        """Return the id; empty where the store has no records. Raises `StoreError`.

        One that was emptied has another id from then on, which is known a minute later.
        """
        own = self._own.value
        if not own.seen:
            self._look(own)
        elif self._clock() >= own.again:
            own.again = self._clock() + AGAIN
            with suppress(StoreError):  # the one that is known is as good as before
                self._look(own)
        return own.seen[-1]

    def is_of_another(self, said: str) -> bool:
        """Return whether an id is that of another store, now and as long as this process knows.

        Raises `StoreError`.
        """
        own = self._own.value
        if said in own.seen:
            return False
        self._look(own)
        return own.seen[-1] not in ("", said)

    def _look(self, own: _Own) -> None:
        found = self._ask()
        before = [one for one in own.seen if one != found]
        own.seen = (*before[1 - _MOST :], found)
        own.again = self._clock() + AGAIN

    def _ask(self) -> str:
        if Feature.RECORDS not in self._store.features:
            return ""
        made = token_hex(8)
        record = self._store.change(Change(_SPACE, _NAME, None, made, made, LONGEST)).record
        return "" if record is None else record.value


class _Own:
    """What one process knows."""

    def __init__(self) -> None:
        self.seen: tuple[str, ...] = ()
        """The ids that the store has had, the last one last."""
        self.again = 0.0
        """When it is asked for anew."""
