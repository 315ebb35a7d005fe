"""The due times of a schedule, at a given moment: the latest one, and the one after it.

A due time is a moment at which the schedule is due. Only intervals and crontabs have a grid on
which two beats agree; the times of the sun differ by a tenth of a second with the run that they
are reckoned from, and other people's schedules may do anything. So a due time is the label of a
tick and never what tells two ticks apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone, tzinfo
from typing import Any

from celery import schedules

__all__ = ["CLOCK", "DueTimes", "moment_like", "set_clock"]

CLOCK = ("nowfun", "now")
"""Where a schedule's time comes from; a class of one's own may override its `now()`."""

_MOST = 10_000
"""Due times that are stepped over at most to find the latest: a schedule with more in its last
dense stretch gets a label that is older than its latest due time, and nothing worse."""

_FIRST_LOOK = 60.0
"""Seconds of the first look back."""


class DueTimes:
    """The due times of a schedule whose clock is stopped at `now`: seconds since 1970.

    `schedule` is a copy whose clock may be set; `zone` the time zone that it gets its moments in.
    """

    def __init__(self, schedule: Any, now: float, zone: tzinfo | None) -> None:
        self._schedule = schedule
        # as exact as a datetime is: else the same due time is another one for every beat
        self._now = now = round(now, 6)
        self._zone = zone
        # of a class of one's own nothing is known but what it answers
        celerys = type(schedule) is schedules.schedule
        self.interval = float(schedule.seconds) if celerys else 0.0
        """The seconds of an interval, 0 for all other schedules."""
        self.every = self.interval if celerys and not schedule.relative else 0.0
        """The seconds of an interval with a grid; a relative one has none, and this is 0."""
        set_clock(schedule, lambda: moment_like(now, zone))

    def latest(self, last: float, start: float | None = None) -> float:
        """Return the latest due time after `last` that is not in the future; now, if none is.

        `start`: nothing was due before; an interval counts from there.
        """
        every = self.every
        if every:
            if start is not None and last < start <= self._now:
                last = start - every
            k = math.floor((self._now - last) / every + 1e-9)
            return min(round(last + k * every, 6), self._now) if k >= 1 else self._now
        found = self._stepped(last)
        return self._now if found is None else found

    def next_base(self, due: float, last: float) -> float:
        """Return the moment that the schedule is to count on from, after a tick for `due`.

        On a grid that is the due time itself, else the schedule would drift; and now for all
        other schedules, which may find the same due time again when they start from it.
        """
        on_a_grid = self.every or isinstance(self._schedule, schedules.crontab)
        if on_a_grid and due > last and not self._is_due_after(due):
            return due
        return max(self._now, due)

    def after(self, base: float) -> float | None:
        """Return the due time after `base`; `None` if the schedule does not say."""
        return round(base + self.every, 6) if self.every else self._following(base)

    def left_in_repeated_hour(self, last: float) -> float | None:
        """Return the seconds until a crontab is due that says it is due now and is not.

        That is after a run in the second of the two hours that a clock shows when it is put back:
        Celery counts from the first one, whose due times are past, so the crontab would be due all
        the time. `None`: it is as it says.
        """
        if not isinstance(self._schedule, schedules.crontab):
            return None
        named, following = self._named(last), self._following(last)
        if named is None or following is None or named > last or following <= self._now:
            return None
        return following - self._now

    def ignores_last_run(self) -> bool:
        """Whether the schedule is due even right after a run.

        Such a schedule paces itself by the delay that it answers with.
        """
        return self._is_due_after(self._now)

    def _stepped(self, last: float) -> float | None:
        back = _FIRST_LOOK
        while True:  # looking back twice as far each time finds an hour or a year as soon
            start = max(last, self._now - back)
            due = self._following(start)
            if due is not None and due <= self._now:
                break
            if due is None or start <= last:
                return None
            back *= 2
        for _ in range(_MOST):
            following = self._following(due)
            if following is None or not due < following <= self._now:
                break
            due = following
        return due

    def _following(self, moment: float) -> float | None:
        following = self._named(moment)
        if isinstance(self._schedule, schedules.crontab):
            while following is not None and following <= moment:  # of the first of two hours
                named = self._named(following)
                if named is None or named <= following:
                    break
                following = named
        return following

    def _named(self, moment: float) -> float | None:
        try:
            left = self._schedule.remaining_estimate(moment_like(moment, self._zone))
            return self._now + float(left.total_seconds())
        except Exception:  # a schedule need not have this at all, and may fail in a way of its own
            return None

    def _is_due_after(self, moment: float) -> bool:
        if isinstance(self._schedule, schedules.crontab):
            # before 5.7 its is_due() counts up to the due time in steps of what it is late, which
            # takes for ever on a clock that stands still
            following = self._following(moment)
            return following is not None and following <= self._now
        try:
            return bool(self._schedule.is_due(moment_like(moment, self._zone))[0])
        except Exception:  # the same
            return False


def set_clock(schedule: Any, now: Callable[[], datetime]) -> None:
    """Let a schedule ask `now` for the time: by the way that Celery offers, and by its method."""
    for name in CLOCK:
        with suppress(AttributeError):  # a schedule with __slots__ goes by its own clock
            setattr(schedule, name, now)


def moment_like(seconds: float, zone: tzinfo | None) -> datetime:
    """Return seconds since 1970 as a datetime in `zone`; a naive one in UTC if that is `None`."""
    moment = datetime.fromtimestamp(seconds, zone or timezone.utc)
    return moment if zone is not None else moment.replace(tzinfo=None)
