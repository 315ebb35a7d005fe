"""A beat begins: its store is looked at once, and it gets its place in the common ledger."""

from __future__ import annotations

from typing import Any

from ..app.locks import AppLocks, locks_of
from ..app.refusing import refusing, typed
from ..app.start_checks import warn_of_piling, warn_of_store
from ..errors import StoreError, UnsupportedFeature
from ..events import StoreFailed, Subject
from ..model import Feature, LockStore
from ..stores import stores_with
from .beat_id import beat_id
from .calls import Calls
from .clock import StoreClock
from .ledger import Ledger

__all__ = ["begin", "refuse_early", "space_of", "store_for_ticks"]


def space_of(app: Any) -> str:
    """Return the space of the records of an app's entries: beats of one app share their ticks."""
    return f"beat:{app.main or ''}"


def store_for_ticks(app: Any) -> LockStore:
    """Return the store of an app. Raises `UnsupportedFeature` if it cannot keep records."""
    store = locks_of(app).open_store()
    if Feature.RECORDS not in store.features:
        raise UnsupportedFeature(
            Feature.RECORDS.value, "a beat", store.url, stores_with(Feature.RECORDS)
        )
    return store


def refuse_early(app: Any) -> None:
    """End a beat that somebody has typed, and that has no store for its ticks, with one line.

    Celery's loop would write a traceback of the error in which it ends otherwise.
    """
    if typed():
        with refusing():
            store_for_ticks(app).close()


def begin(app: Any) -> tuple[Ledger, LockStore]:
    """Return the ledger of a beat that starts, and its store. A silent store is only warned of."""
    locks = locks_of(app)
    store = store_for_ticks(app)
    by = beat_id()
    clock = StoreClock(app.now().timestamp())
    warn_of_piling(app)
    on_error = locks.settings.beat_on_store_error
    warn_of_store(
        store,
        then="the beat starts all the same, and"
        f" lock_beat_on_store_error={on_error!r} says what it does",
    )
    calls = Calls(store, space_of(app), clock, _notifier(locks, store.url, by))
    return Ledger(calls, by), store


def _notifier(locks: AppLocks, url: str, by: str) -> Any:
    """Return what notifies the app's observers of a call that failed."""

    def failed(error: StoreError) -> None:
        locks.observers.notify(
            StoreFailed(
                key="",
                subject=Subject("celery beat", by, ""),
                url=url,
                call="tick",
                error=str(error),
                answer=locks.settings.beat_on_store_error,
            )
        )

    return failed
