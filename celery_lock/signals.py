"""The Celery signals that tell what happened to a lock.

    from celery_lock.signals import lock_lost

    @lock_lost.connect
    def page_somebody(sender, fact, **_):
        ...

Each is sent with `sender`, the task, and `fact`, a frozen dataclass of `celery_lock.events`;
connect with `sender=my_task` to hear of that task alone. A receiver runs where the fact is made:
in the process of the body, and on the thread that renews for `lock_lost` and for the failure of a
renewal, where a slow one delays the renewals of every other lock. One that raises is logged by
Celery, and nothing else happens.
"""

from __future__ import annotations

from collections.abc import Callable

from celery.utils.dispatch import Signal

from .events import Fact, Observer
from .events.table import TABLE

__all__ = [
    "lock_acquired",
    "lock_conflicted",
    "lock_copy_dropped",
    "lock_lost",
    "lock_released",
    "lock_store_failed",
    "lock_switched_off",
    "signal_observer",
]

lock_acquired = Signal(name="lock_acquired", providing_args=["fact"])
"""A claim was granted; `fact` is an `Acquired`."""
lock_conflicted = Signal(name="lock_conflicted", providing_args=["fact"])
"""A claim met a holder, and the policy has decided; `fact` is a `Conflicted`."""
lock_copy_dropped = Signal(name="lock_copy_dropped", providing_args=["fact"])
"""A message was not run: it is a copy of one that was completed; `fact` is a `CopyDropped`."""
lock_lost = Signal(name="lock_lost", providing_args=["fact"])
"""A lease ended under its running body; `fact` is a `Lost`."""
lock_released = Signal(name="lock_released", providing_args=["fact"])
"""A key was given back; `fact` is a `Released`."""
lock_store_failed = Signal(name="lock_store_failed", providing_args=["fact"])
"""The store gave no answer, or refused; `fact` is a `StoreFailed`."""
lock_switched_off = Signal(name="lock_switched_off", providing_args=["fact"])
"""A run went on without its lock: its call said `lock=None`; `fact` is a `SwitchedOff`."""

_SIGNALS: dict[type[Fact], Signal] = {row.fact: globals()[row.signal] for row in TABLE}


def _task_name(fact: Fact) -> object:
    return fact.task


def signal_observer(sender_of: Callable[[Fact], object] = _task_name) -> Observer:
    """Return an observer that sends the signal of each fact.

    `sender_of` finds the sender: the task itself where there is an app to ask, else its name.
    It is not called while nobody is connected.
    """
    return _Signals(sender_of)


class _Signals:
    """An observer that sends the signal of each fact to the receivers that it has by then."""

    def __init__(self, sender_of: Callable[[Fact], object]) -> None:
        self._sender_of = sender_of

    def __call__(self, fact: Fact) -> None:
        signal = _SIGNALS[type(fact)]
        if signal.receivers:
            signal.send(sender=self._sender_of(fact), fact=fact)

    def wants(self, kind: type[Fact]) -> bool:
        """Whether anybody is connected."""
        return bool(_SIGNALS[kind].receivers)
