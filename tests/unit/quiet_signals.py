"""Keeps the receivers of other tests away from the signals of a test, and back again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from celery_lock import signals
from celery_lock.events.table import TABLE


@contextmanager
def nobody_else_connected() -> Iterator[None]:
    """While it is open, who connects is alone; after it, the receivers are those of before."""
    ours = [getattr(signals, row.signal) for row in TABLE]
    before = [list(signal.receivers) for signal in ours]
    for signal in ours:
        signal.receivers[:] = []  # the apps of other tests have some
        signal.sender_receivers_cache.clear()
    yield
    for signal, receivers in zip(ours, before, strict=True):
        signal.receivers[:] = receivers
        signal.sender_receivers_cache.clear()
