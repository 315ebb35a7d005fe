"""The fields of a log record: what a line says in words, for programs that filter and count."""

from __future__ import annotations

import logging
from typing import Any

from .facts import Fact, Subject
from .task_events import event_fields

__all__ = ["fields_of", "log_fields"]

_NAMES = {"uuid": "task_id", "name": "task_name"}
"""What Celery's own formatters call the two; a record's `name` is its logger's."""


def log_fields(fact: Fact) -> dict[str, Any]:
    """Return the fields of the record of a fact: those of its event."""
    return _free({_NAMES.get(name, name): value for name, value in event_fields(fact).items()})


def fields_of(key: str, subject: Subject) -> dict[str, Any]:
    """Return the fields of a record that is about a task and its key, and about no fact."""
    task, task_id, template = subject
    return _free({"task_name": task, "task_id": task_id, "template": template, "key": key})


def _free(fields: dict[str, Any]) -> dict[str, Any]:
    """Leave out what a record of this process has already: `logging` refuses to overwrite it.

    A user's own factory of records may add fields such as `task_id`.
    """
    taken = vars(logging.makeLogRecord({}))
    return {name: value for name, value in fields.items() if name not in taken}
