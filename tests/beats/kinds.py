"""The schedulers that can be played: whose class it is, and what it needs."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KINDS", "Kind"]


@dataclass(frozen=True)
class Kind:
    """One scheduler."""

    name: str
    scheduler: str
    """What `celery beat -S` takes."""
    database: bool = False
    """Its entries are rows of a database, for which Django is needed."""
    labelled: bool = True
    """Its messages say when they were due. Of others that is known by the time of sending."""


_OURS = "celery_lock.beat:"
_TESTS = "tests.beats.schedulers:"

KINDS = {
    kind.name: kind
    for kind in (
        Kind("locked", _OURS + "LockedScheduler"),
        Kind("locked-persistent", _TESTS + "LockedPersistent"),
        Kind("locked-own", _TESTS + "LockedOwn"),
        Kind("database", _OURS + "LockedDatabaseScheduler", database=True),
        Kind("persistent", "celery.beat:PersistentScheduler", labelled=False),
        Kind("own", "tests.beats.own_scheduler:OwnScheduler", labelled=False),
        Kind(
            "plain-database",
            "django_celery_beat.schedulers:DatabaseScheduler",
            database=True,
            labelled=False,
        ),
        Kind("redbeat", "redbeat.RedBeatScheduler", labelled=False),
    )
}
