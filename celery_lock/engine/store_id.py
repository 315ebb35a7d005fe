"""The random id of a store, by which a worker knows that a lease lies in another one."""

from __future__ import annotations

from secrets import token_hex

from ..model import Change, Feature, LockStore
from ..model.durations import LONGEST
from ..model.per_process import PerProcess

__all__ = ["StoreId"]

_SPACE, _NAME = "store", "id"


class StoreId:
    """The random id of one store: made once for all processes, and asked for once in each."""

    def __init__(self, store: LockStore) -> None:
        self._store = store
        self._own: PerProcess[list[str]] = PerProcess(list)

    def get(self) -> str:
        """Return the id; empty where the store has no records. Raises `StoreError`.

        One that was emptied has another id from then on.
        """
        own = self._own.value
        if not own:
            own.append(self._ask())
        return own[0]

    def _ask(self) -> str:
        if Feature.RECORDS not in self._store.features:
            return ""
        made = token_hex(8)
        record = self._store.change(Change(_SPACE, _NAME, None, made, made, LONGEST)).record
        return "" if record is None else record.value
