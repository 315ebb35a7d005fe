"""Entries of Celery's and of other schedulers: their last run, their clock, a copy to publish.

Entries are other people's objects: an entry of django-celery-beat has a row of a database behind
it, and schedules are of any class, some of a user's own. So they are touched at few places, and
all of these are here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timezone, tzinfo
from functools import lru_cache
from types import MemberDescriptorType
from typing import Any

from celery import schedules

from .due_times import CLOCK, DueTimes, moment_like, set_clock
from .entry_record import LastRun

__all__ = [
    "counts_its_runs",
    "due_times_of",
    "known_run",
    "message_of",
    "on_clock",
    "run_of",
    "set_run",
    "start_of",
]

_LONG_AGO = 30 * 365 * 86_400.0

_NOWS = ("default_now", "_default_now")
"""The methods by which an entry asks for the time: Celery's, and its older name for it."""


def run_of(entry: Any) -> LastRun | None:
    """Return the last run that an entry carries; `None`: the entry has not run."""
    at = entry.last_run_at
    return None if at is None else LastRun(_aware(at).timestamp(), int(entry.total_run_count or 0))


def known_run(entry: Any) -> LastRun | None:
    """Return the last run that an entry knows of.

    A new entry of Celery's begins with its beat's own time, which is no knowledge. An entry with
    a row in a database always knows: at least when the row was changed.
    """
    since = getattr(entry, "blank_since", None)
    if since is not None:
        return LastRun(_aware(since).timestamp(), 0)
    run = run_of(entry)
    if run is None or (not run.count and not hasattr(entry, "model")):
        return None
    return run


def set_run(entry: Any, run: LastRun, *, sure: bool) -> None:
    """Let an entry go on from this run; a `sure` run is written to the row behind it too."""
    zone = _zone(entry)
    for place in (entry, getattr(entry, "model", None) if sure else None):
        if place is not None:
            place.last_run_at = moment_like(run.at, zone)
            place.total_run_count = run.count
    if start_of(entry) is not None and not run.count:
        # as django-celery-beat does: the entry is due as soon as it may start
        entry.last_run_at = moment_like(run.at - _LONG_AGO, zone)


def start_of(entry: Any) -> float | None:
    """Return the moment before which an entry is never due: seconds since 1970, `None`: none."""
    start = getattr(getattr(entry, "model", None), "start_time", None)
    return _aware(start).timestamp() if isinstance(start, datetime) else None


def counts_its_runs(entry: Any) -> bool:
    """Whether an entry is to fire once: the row behind it ends it by its count."""
    return bool(getattr(getattr(entry, "model", None), "one_off", False))


def due_times_of(entry: Any, now: float) -> DueTimes:
    """Return the due times of an entry's schedule, its clock stopped at `now`."""
    return DueTimes(_copied(entry.schedule), now, entry.schedule.now().tzinfo)


@contextmanager
def on_clock(entry: Any, clock: Callable[[], float]) -> Iterator[None]:
    """Let an entry and its schedule read this clock, and no other, meanwhile.

    The entry gets a copy of its schedule: the schedule may be another entry's too, or be written
    to a file. What a class of one's own notes in the copy while it is asked is carried over.
    """
    schedule = entry.schedule
    own, its = _zone(entry), schedule.now().tzinfo  # a crontab may be in another zone than its app

    def now() -> datetime:
        return moment_like(clock(), own)

    entry.schedule = asked = _copied(schedule)
    copied = _attributes(asked)
    set_clock(asked, lambda: moment_like(clock(), its))
    before = {name: vars(entry)[name] for name in _NOWS if name in vars(entry)}
    for name in _NOWS:
        setattr(entry, name, now)
    try:
        yield
    finally:
        entry.schedule = schedule
        _note(schedule, asked, copied)
        for name in _NOWS:
            if name in before:
                setattr(entry, name, before[name])
            else:
                delattr(entry, name)


def message_of(
    entry: Any, options: Mapping[str, Any], argument: Callable[[Any], Any] = lambda value: value
) -> Any:
    """Return a copy of an entry, to be published with these options.

    Celery writes into the options of the entry that it publishes. `argument` returns what is to be
    sent for an argument of the entry.
    """
    published = _copied(entry)
    published.options = dict(options)
    published.args = [argument(value) for value in entry.args or ()]
    published.kwargs = {name: argument(value) for name, value in (entry.kwargs or {}).items()}
    return published


def _aware(moment: datetime) -> datetime:
    """Take a naive moment for UTC, as Celery does."""
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _zone(entry: Any) -> tzinfo | None:
    """Return the time zone of an entry's moments; `None` where they are naive."""
    last = entry.last_run_at
    if last is not None and last.tzinfo is None:
        return None
    app = entry.app or entry.schedule.app  # an entry that was read from a file has lost its app
    zone: tzinfo = app.timezone
    if isinstance(entry.schedule, schedules.schedule) and getattr(entry.schedule, "nowfun", None):
        # a relative interval counts its days on the wall clock of the run before
        zone = entry.schedule.now().tzinfo or zone
    return zone


def _copied(thing: Any) -> Any:
    """Return a copy by its attributes. `copy()` calls `__reduce__`, which was written for a pickle.

    By that, an entry of Celery has lost its app, and a solar schedule its clock; an entry of
    django-celery-beat cannot be copied; a schedule of a user's own class has lost what it adds.
    """
    try:
        copied = object.__new__(type(thing))
    except TypeError:  # the object is made by C
        return copy.copy(thing)
    for name, value in _attributes(thing).items():
        object.__setattr__(copied, name, value)
    return copied


def _note(schedule: Any, asked: Any, copied: Mapping[str, Any]) -> None:
    """Carry over what a copy has noted in itself to its schedule; another copy may note more."""
    for name, value in _attributes(asked).items():
        if name not in CLOCK and (name not in copied or copied[name] is not value):
            object.__setattr__(schedule, name, value)


def _attributes(thing: Any) -> dict[str, Any]:
    """Return all attributes of an object, those of `__slots__` as well."""
    held = dict(getattr(thing, "__dict__", {}))
    for name, member in _members(type(thing)):  # type: ignore[arg-type]  # a class can be hashed
        with suppress(AttributeError):  # the attribute is not set
            held[name] = member.__get__(thing)
    return held


@lru_cache(maxsize=256)  # each tick asks some times, and of few classes
def _members(cls: type) -> list[tuple[str, MemberDescriptorType]]:
    """Return what a class and its bases keep in `__slots__`."""
    return [
        (name, member)
        for kind in cls.__mro__
        for name, member in vars(kind).items()
        if isinstance(member, MemberDescriptorType)
    ]
