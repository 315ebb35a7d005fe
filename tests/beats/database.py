"""Entries as rows of a database, written by a process of their own as an admin page would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.apps import AppConfig

from tests.beats.entries import Entry
from tests.services.worker import CHECKOUT

__all__ = ["DATABASE", "SETTINGS", "WriteAhead", "env_of", "make_database", "writer"]

DATABASE = "TEST_DATABASE"
SETTINGS = "tests.beats.django_settings"
WRITTEN = "written\n"


class WriteAhead(AppConfig):
    """SQLite in WAL mode: a beat that is stopped while it reads keeps no other from writing."""

    name = "tests.beats"
    label = "write_ahead"

    def ready(self) -> None:
        """Set the journal of every connection to come."""
        from django.db.backends.signals import connection_created

        connection_created.connect(_write_ahead, dispatch_uid="tests.beats")


def _write_ahead(connection: Any, **_: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode=WAL")


def env_of(file: Path) -> dict[str, str]:
    """What a process needs to find the database."""
    return {"DJANGO_SETTINGS_MODULE": SETTINGS, DATABASE: str(file)}


def make_database(file: Path, entries: Sequence[Entry]) -> None:
    """Make the tables, and a row for each entry."""
    rows = [
        {
            "name": entry.name,
            "task": entry.task,
            "minutes" if entry.by_the_clock else "every": entry.every,
        }
        for entry in entries
    ]
    with writer(file) as write:
        write(rows)


@contextmanager
def writer(file: Path) -> Iterator[Callable[[Sequence[Mapping[str, Any]]], None]]:
    """Make the tables, and yield what creates or changes rows, by name.

    A row has `every` (seconds), `minutes` (each minute) or `clocked` (a time), and any field of
    a periodic task.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "tests.beats.database"],
        cwd=CHECKOUT,
        env={**os.environ, **env_of(file)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        out, back = process.stdin, process.stdout
        assert out is not None
        assert back is not None

        def write(rows: Sequence[Mapping[str, Any]]) -> None:
            out.write(json.dumps(rows) + "\n")
            out.flush()
            assert back.readline() == WRITTEN, "the process that writes rows has died"

        write([])  # it is ready
        yield write


def _write(row: dict[str, Any]) -> None:
    from django.utils.dateparse import parse_datetime
    from django_celery_beat import models

    name = row.pop("name")
    fields: dict[str, Any] = {}
    if "every" in row:
        every = int(row.pop("every"))
        kind = models.IntervalSchedule.objects
        fields["interval"] = kind.get_or_create(every=every, period="seconds")[0]
    elif row.pop("minutes", None):
        fields["crontab"] = models.CrontabSchedule.objects.get_or_create(minute="*")[0]
    elif "clocked" in row:
        at = parse_datetime(row.pop("clocked"))
        fields["clocked"] = models.ClockedSchedule.objects.get_or_create(clocked_time=at)[0]
    for time in ("start_time", "expires"):
        if time in row:
            row[time] = parse_datetime(row[time])
    task = models.PeriodicTask.objects.filter(name=name).first()
    if task is None:
        task = models.PeriodicTask(name=name, task="beats.plain", args=json.dumps([name]))
    for field, value in {**fields, **row}.items():
        setattr(task, field, value)
    task.save()


def main() -> None:
    """Make the tables, then write the rows of each line that comes."""
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    for line in sys.stdin:
        for row in json.loads(line):
            _write(row)
        print(WRITTEN, end="", flush=True)


if __name__ == "__main__":
    main()
