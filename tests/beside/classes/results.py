"""django-celery-results: what a row says of a task that waited, was skipped, retried or failed."""

from __future__ import annotations

import json
import os
from typing import Any

import django
from django.conf import settings

from tests.beside.classes.notes import URL, noted, overlaps, running, until

settings.configure(
    SECRET_KEY="not one",
    INSTALLED_APPS=["django.contrib.contenttypes", "django_celery_results"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["TEST_DATABASE"],
            "OPTIONS": {"timeout": 20},
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    USE_TZ=True,
)
django.setup()

from celery import Celery  # noqa: E402

from celery_lock import Lock, LockedTask, constant, fail, requeue, skip  # noqa: E402

app = Celery("results", broker=URL, backend="django-db")
app.conf.update(
    broker_connection_retry_on_startup=True, result_extended=True, task_track_started=True
)


def locked(name: str, policy: Any, **options: Any) -> Any:
    """A locked task of its own key."""
    lock = Lock(name, on_conflict=policy)
    return app.task(name=name, base=LockedTask, bind=True, lock=lock, shared=False, **options)


@locked("waits", requeue(constant(0.1)))
def waits(self: Any) -> str:
    with running("waits"):
        return "ran"


@locked("skips", skip())
def skips(self: Any) -> str:
    with running("skips", 1.0):
        return "ran"


@locked("fails", fail())
def fails(self: Any) -> str:
    with running("fails", 1.0):
        return "ran"


@locked("retries", requeue(constant(0.1)))
def retries(self: Any) -> int:
    if self.request.retries == 0:
        raise self.retry(countdown=0.1)
    return int(self.request.retries)


def facts() -> dict[str, Any]:
    """Send, and say what the rows are."""
    from django_celery_results.models import TaskResult

    sent = [waits.delay() for _ in range(3)]
    sent += [skips.delay(), skips.delay(), fails.delay(), fails.delay(), retries.delay()]
    ends = ("SUCCESS", "FAILURE")
    until(lambda: TaskResult.objects.filter(status__in=ends).count() == len(sent))
    rows = [
        (row.task_name, row.status, _short(row.result))
        for row in TaskResult.objects.filter(task_id__in=[each.id for each in sent])
    ]
    return {
        "rows": sorted([list(row) for row in rows]),
        "overlaps": overlaps("waits"),
        "runs": [len(noted(name)) for name in ("waits", "skips", "fails")],
    }


def _short(result: str) -> str:
    said = json.loads(result)
    if not isinstance(said, dict):
        return str(said)
    return "skipped" if said.get("skipped") == "skips" else str(said.get("exc_type"))


EXPECTED = {
    "rows": [
        ["fails", "FAILURE", "LockConflict"],
        ["fails", "SUCCESS", "ran"],
        ["retries", "SUCCESS", "1"],
        ["skips", "SUCCESS", "ran"],
        ["skips", "SUCCESS", "skipped"],
        *[["waits", "SUCCESS", "ran"]] * 3,
    ],
    "overlaps": 0,
    "runs": [3, 1, 1],
}
