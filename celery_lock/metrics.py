"""Counters of what happened, for any metrics system; labelled by task and template, never by key.

The counters of this process are `counters`. To hand them to prometheus_client:

    from celery_lock.metrics import LABELS, counters
    from prometheus_client.core import REGISTRY, CounterMetricFamily

    class Locks:
        def collect(self):
            families = {n: CounterMetricFamily(n, n, labels=l) for n, l in LABELS.items()}
            for (name, *values), count in counters.snapshot().items():
                families[name].add_metric(values, count)
            return families.values()

    REGISTRY.register(Locks())

Each process counts for itself and starts at zero: in a prefork pool that is each child, which no
scraper reaches. There, push from the child (`worker_process_shutdown`, or a timer), or count the
`task-lock-*` events with an exporter.
"""

from __future__ import annotations

import os
import threading

from .events import Fact
from .events.table import TABLE, as_label, row_of

__all__ = ["LABELS", "OTHER", "Counters", "counters"]

LABELS: dict[str, tuple[str, ...]] = {
    row.counter: ("task", "template", *row.labels) for row in TABLE
}
"""The names of the counters, and of the labels of each, in the order of a snapshot."""

OTHER = "(other)"
"""The task and the template of what is counted when there are too many series."""


class Counters:
    """An observer that counts facts. Threads may share it; a forked child starts at zero."""

    def __init__(self, most: int = 1000) -> None:
        """`most` bounds how many series are kept: what comes later counts as `OTHER`.

        More keeps more tasks and templates apart; each series costs some 300 bytes here, and
        more in the system that stores it.
        """
        self._most = most
        self._start()

    def __call__(self, fact: Fact) -> None:
        """Count one fact."""
        row, subject = row_of(fact), fact.subject
        more = [as_label(getattr(fact, label)) for label in row.labels] if row.labels else ()
        series = (row.counter, subject.task, subject.template, *more)
        self._only_of_this_process()
        with self._mutex:
            count = self._counts.get(series)
            if count is None and len(self._counts) >= self._most:
                series = (row.counter, OTHER, OTHER, *more)
                count = self._counts.get(series)
            self._counts[series] = (count or 0) + 1

    def snapshot(self) -> dict[tuple[str, ...], int]:
        """Return the counts so far: `(name, task, template, other labels ...)` -> number.

        `LABELS[name]` names the labels.
        """
        self._only_of_this_process()
        with self._mutex:
            return dict(self._counts)

    def _only_of_this_process(self) -> None:
        # not by os.register_at_fork: Windows has none, and it can never be taken back
        if self._pid != os.getpid():
            self._start()

    def _start(self) -> None:
        self._mutex = threading.Lock()  # a fork may have copied one that was taken
        self._counts: dict[tuple[str, ...], int] = {}
        self._pid = os.getpid()


counters = Counters()
"""What the locks of this process have counted, of all its apps."""
