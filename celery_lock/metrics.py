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
`lock-*` events with an exporter.
"""

from __future__ import annotations

from .events import Fact, Subject
from .events.table import TABLE, as_label, row_of
from .model.mutex import new_mutex
from .model.per_process import PerProcess

__all__ = ["LABELS", "OTHER", "Counters", "counters"]

LABELS: dict[str, tuple[str, ...]] = {
    row.counter: ("task", "template", *row.labels) for row in TABLE
}
"""The names of the counters, and of the labels of each, in the order of a snapshot."""

_UNLABELLED = {row.fact: row.counter for row in TABLE if not row.labels}

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
        self._own = PerProcess(_Counts)

    def __call__(self, fact: Fact) -> None:
        """Count one fact."""
        row, subject = row_of(fact), fact.subject
        more = [as_label(getattr(fact, label)) for label in row.labels]
        self._add((row.counter, subject.task, subject.template, *more))

    def count(self, kind: type[Fact], subject: Subject) -> None:
        """Count one fact of a kind whose counter has no label of its own."""
        series = (_UNLABELLED[kind], subject.task, subject.template)
        own = self._own.value
        with own.mutex:
            if series in own.counts:  # nearly always: there are few of them
                own.counts[series] += 1
                return
        self._add(series)

    def _add(self, series: tuple[str, ...]) -> None:
        own = self._own.value
        with own.mutex:
            count = own.counts.get(series)
            if count is None and len(own.counts) >= self._most:
                series = (series[0], OTHER, OTHER, *series[3:])
                count = own.counts.get(series)
            own.counts[series] = (count or 0) + 1

    def snapshot(self) -> dict[tuple[str, ...], int]:
        """Return the counts so far: `(name, task, template, other labels ...)` -> number.

        `LABELS[name]` names the labels.
        """
        own = self._own.value
        with own.mutex:
            return dict(own.counts)


class _Counts:
    """What one process has counted, by series, and what guards it."""

    def __init__(self) -> None:
        self.mutex = new_mutex()
        self.counts: dict[tuple[str, ...], int] = {}


counters = Counters()
"""What the locks of this process have counted, of all its apps."""
