"""A fact as a Celery event: what Flower, `celery events` and exporters receive.

Our events form a group of their own, `lock-*`: a monitor that follows Celery's own rule takes the
last `task-*` event of a task for its state, and a task that holds its lock is `STARTED`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from ..model import Decision, Holder
from .facts import Fact
from .observers import Observer
from .table import as_label, row_of

__all__ = ["event_fields", "event_observer"]


def event_fields(fact: Fact) -> dict[str, Any]:
    """Return what the event of `fact` carries, all of it fit for JSON.

    `uuid` is the task's id and comes from the fact: on the thread that renews, Celery's current
    request is empty.
    """
    carried: dict[str, Any] = {
        "uuid": fact.task_id,
        "name": fact.task,
        "template": fact.subject.template,
    }
    for field in fields(fact):
        value = getattr(fact, field.name)
        if field.name == "subject":
            continue
        if isinstance(value, Holder):
            carried[field.name] = str(value)
            # `pid` and `hostname` are taken: there Celery says who sent the event
            carried["holder_task"] = value.task_id
            carried["holder_node"] = value.node
            carried["holder_pid"] = value.pid
            carried["holder_since"] = value.since
        elif isinstance(value, tuple):
            carried[field.name] = [str(one) for one in value]
        elif isinstance(value, Decision):
            carried[field.name] = as_label(value)
        elif isinstance(value, float) and not math.isfinite(value):
            carried[field.name] = None  # JSON knows no infinity
        else:
            carried[field.name] = value
    return carried


def event_observer(send: Callable[[str, dict[str, Any]], None]) -> Observer:
    """Return an observer that gives `send` the type and the fields of each event."""

    def observe(fact: Fact) -> None:
        send(row_of(fact).event, event_fields(fact))

    return observe
