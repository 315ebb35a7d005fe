"""Has Redis's unacknowledged messages delivered again as soon as their time is up."""

from __future__ import annotations

import contextlib
from typing import Any

import celery

from tests.faults.background import Background

__all__ = ["Sweeper"]

EVERY = 0.5


class Sweeper(Background):
    """Does, twice a second, what each consumer does once in a while.

    kombu before 5.7 looks every 100 seconds, and cannot be told otherwise. Nothing but the time
    of the look is another one.
    """

    def __init__(self, app: celery.Celery) -> None:
        super().__init__("sweeper")
        self._app = app

    def _run(self) -> None:
        with self._app.connection_for_read() as connection:
            while not self._over.wait(EVERY):
                with contextlib.suppress(OSError):
                    channel: Any = connection.channel()  # one that has not looked yet
                    channel.qos.restore_visible(interval=1)
                    channel.close()
