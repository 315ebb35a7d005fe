"""Counters: what is counted, under which labels, and that their number is bounded."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from celery_lock import metrics
from celery_lock.events import Subject
from celery_lock.events.table import TABLE
from celery_lock.metrics import LABELS, OTHER, Counters
from celery_lock.policies import fail, requeue, skip, wait

from .facts import ONE_OF_EACH, acquired, conflicted, lost, store_failed
from .forking import holds_in_a_child

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "events.md"


def counted(*facts: Any) -> dict[tuple[str, ...], int]:
    counters = Counters()
    for fact in facts:
        counters(fact)
    return counters.snapshot()


def test_each_kind_of_fact_is_counted_by_task_and_template() -> None:
    assert counted(*ONE_OF_EACH, acquired()) == {
        ("celery_lock_acquired_total", "shop.charge", "user:{user_id}"): 2,
        ("celery_lock_conflicted_total", "shop.charge", "user:{user_id}", "skip"): 1,
        ("celery_lock_copy_dropped_total", "shop.charge", "user:{user_id}"): 1,
        ("celery_lock_lost_total", "shop.charge", "user:{user_id}", "expired"): 1,
        ("celery_lock_released_total", "shop.charge", "user:{user_id}"): 1,
        (
            "celery_lock_store_failed_total",
            "shop.charge",
            "user:{user_id}",
            "acquire",
            "requeue",
        ): 1,
        ("celery_lock_switched_off_total", "shop.charge", "user:{user_id}"): 1,
    }


def test_a_series_has_a_value_for_each_label_of_its_name() -> None:
    for name, *values in counted(*ONE_OF_EACH):
        assert len(values) == len(LABELS[name])
        assert LABELS[name][:2] == ("task", "template")

    assert set(LABELS) == {row.counter for row in TABLE}


def test_decisions_reasons_and_answers_are_told_apart() -> None:
    facts = [
        *(conflicted(decision) for decision in (skip(), requeue(), wait(1), fail(), fail())),
        lost(reason="taken"),
        store_failed(call="renew", answer="retry"),
    ]

    assert {(series[0], *series[3:]): n for series, n in counted(*facts).items()} == {
        ("celery_lock_conflicted_total", "skip"): 1,
        ("celery_lock_conflicted_total", "requeue"): 1,
        ("celery_lock_conflicted_total", "wait"): 1,
        ("celery_lock_conflicted_total", "fail"): 2,
        ("celery_lock_lost_total", "taken"): 1,
        ("celery_lock_store_failed_total", "renew", "retry"): 1,
    }


def test_ten_thousand_keys_are_one_series() -> None:
    facts = [acquired(key=f"user:{n}") for n in range(10_000)]

    assert list(counted(*facts).values()) == [10_000]


def test_more_series_than_allowed_are_counted_as_other() -> None:
    counters = Counters(most=3)

    for n in range(10):
        counters(acquired(Subject(task="t", task_id="i", template=f"template-{n}")))
    counters(acquired(Subject(task="t", task_id="i", template="template-0")))

    name = "celery_lock_acquired_total"
    assert counters.snapshot() == {
        (name, "t", "template-0"): 2,
        (name, "t", "template-1"): 1,
        (name, "t", "template-2"): 1,
        (name, OTHER, OTHER): 7,
    }


def test_a_snapshot_stays_as_it_was() -> None:
    counters = Counters()
    counters(acquired())

    before = counters.snapshot()
    counters(acquired())

    assert list(before.values()) == [1]
    assert list(counters.snapshot().values()) == [2]


def test_threads_lose_no_count() -> None:
    counters = Counters()
    fact = acquired()

    def count() -> None:
        for _ in range(2_000):
            counters(fact)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert list(counters.snapshot().values()) == [8_000]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_starts_at_zero_though_the_mutex_was_taken() -> None:
    counters = Counters()
    counters(acquired())

    def starts_at_zero() -> bool:
        empty = counters.snapshot() == {}
        counters(acquired())
        return empty and list(counters.snapshot().values()) == [1]

    with counters._own.value.mutex:
        fresh = holds_in_a_child(starts_at_zero)

    assert fresh
    assert list(counters.snapshot().values()) == [1]


def test_the_lines_for_prometheus_work_as_they_are_written() -> None:
    registry = pytest.importorskip("prometheus_client.core").REGISTRY
    text = (metrics.__doc__ or "").split("prometheus_client:\n", 1)[1]
    code = "\n".join(line[4:] for line in text.splitlines() if line.startswith("    ") or not line)
    code = code.strip()
    names: dict[str, Any] = {}
    before = set(registry._collector_to_names)
    try:
        exec(code, names)
        subject = Subject(task="shop.prometheus", task_id="i", template="t")
        metrics.counters(conflicted(subject=subject))

        value = registry.get_sample_value(
            "celery_lock_conflicted_total",
            {"task": "shop.prometheus", "template": "t", "decision": "skip"},
        )
    finally:
        for collector in set(registry._collector_to_names) - before:
            registry.unregister(collector)

    assert value == 1
    assert f"```python\n{code}\n```" in PAGE.read_text("ascii")
