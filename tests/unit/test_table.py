"""The one table: whole, one scheme of names, and shown as it is in the reference."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from celery_lock.events import Fact
from celery_lock.events.table import TABLE, LogRule, row_of
from celery_lock.events.task_events import event_fields
from celery_lock.model import Decision
from celery_lock.policies import requeue, wait

from .facts import ONE_OF_EACH, acquired, conflicted, lost, released, store_failed

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "events.md"


def test_every_kind_of_fact_has_one_row_and_a_sample_here() -> None:
    kinds = {
        kind for kind in Fact.__subclasses__() if kind.__module__ == "celery_lock.events.facts"
    }

    assert [row.fact for row in TABLE] == [type(fact) for fact in ONE_OF_EACH]
    assert {row.fact for row in TABLE} == kinds


def test_every_decision_has_a_line() -> None:
    decisions = {
        kind for kind in Decision.__subclasses__() if kind.__module__ == "celery_lock.policies"
    }
    assert len(decisions) == 4

    for kind in decisions:
        decision = kind(max_wait=5) if kind is wait else kind()
        for attempt in (1, 2):
            fact = conflicted(decision, attempt)
            assert f"`{kind.__name__}()`" in row_of(fact).rule(fact).when


def test_one_word_makes_all_the_names_of_a_fact() -> None:
    for row in TABLE:
        word = row.signal.removeprefix("lock_")

        assert row.event == f"lock-{word.replace('_', '-')}"
        assert row.counter == f"celery_lock_{word}_total"
        assert row.fact.__name__.lower() == word.replace("_", "")


@pytest.mark.parametrize(
    ("fact", "level"),
    [
        (acquired(), logging.DEBUG),
        (conflicted(attempt=7), logging.INFO),
        (conflicted(requeue()), logging.INFO),
        (conflicted(requeue(), attempt=2), logging.DEBUG),
        (conflicted(wait(5)), logging.INFO),
        (conflicted(wait(5), attempt=2), logging.DEBUG),
        (lost(), logging.WARNING),
        (released(), logging.DEBUG),
        (released(in_time=False), logging.WARNING),
        (store_failed(), logging.ERROR),
    ],
)
def test_the_level_fits_who_must_act(fact: Fact, level: int) -> None:
    assert row_of(fact).rule(fact).level == level


def test_labels_are_fields_of_the_fact_and_never_its_key() -> None:
    for row, fact in zip(TABLE, ONE_OF_EACH, strict=True):
        assert all(hasattr(fact, label) for label in row.labels)
        assert not {"key", "task_id", "holder"} & set(row.labels)


def test_the_reference_shows_this_table() -> None:
    assert table() in PAGE.read_text("ascii"), f"write into {PAGE}:\n{table()}"


def test_the_reference_shows_the_fields_of_each_event() -> None:
    assert event_table() in PAGE.read_text("ascii"), f"write into {PAGE}:\n{event_table()}"


def table() -> str:
    """The table as the reference has it."""
    lines = [
        "| fact | when | log level | signal | event | counter and its labels |",
        "|---|---|---|---|---|---|",
    ]
    for row in TABLE:
        labels = f" {', '.join(f'`{label}`' for label in row.labels)}" if row.labels else ""
        names = f"`{row.signal}` | `{row.event}` | `{row.counter}`{labels}"
        for rule in row.rules:
            first = rule is row.rules[0]
            lines.append(
                f"| {f'`{row.fact.__name__}`' if first else ''} | {rule.when} | {_level(rule)} |"
                f" {names if first else '| |'} |"
            )
    return "\n".join(lines) + "\n"


def _level(rule: LogRule) -> str:
    level = logging.getLevelName(rule.level)
    if rule.budget is None:
        return level
    each = f" for each {' and '.join(f'`{name}`' for name in rule.budget.each)}"
    return f"{level}, at most {rule.budget.a_minute} a minute{each if rule.budget.each else ''}"


def event_table() -> str:
    """The fields of each event, as the reference has them."""
    lines = ["| event | its own fields |", "|---|---|"]
    for row, fact in zip(TABLE, ONE_OF_EACH, strict=True):
        own = [f for f in event_fields(fact) if f not in ("uuid", "name", "template", "key")]
        lines.append(f"| `{row.event}` | {', '.join(f'`{name}`' for name in own)} |")
    return "\n".join(lines) + "\n"
