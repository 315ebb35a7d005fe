"""Sending the message of a run again, and keeping it in its process while no broker takes it."""

from __future__ import annotations

import logging
import time

from ..app.locks import AppLocks
from ..events.log_fields import fields_of
from ..message import Homeless, Unsent, note_published, raw_of
from ..model.clock import steady
from .delivery import Delivery
from .holding import Holding
from .steps import Resend

__all__ = ["Sends"]

logger = logging.getLogger("celery_lock")


class Sends:
    """What a run does about a message that is to be sent again."""

    __slots__ = (
        "_holding",
        "_locks",
        "_stays_until",
        "delivery",
        "is_only_copy",
        "is_sent",
        "unsent",
    )

    def __init__(self, delivery: Delivery, locks: AppLocks) -> None:
        self.delivery = delivery
        self.unsent = 0
        """How often sending the message has been tried."""
        self.is_sent = False
        """The broker has taken it."""
        self.is_only_copy = not delivery.task.acks_late
        """The broker does not have the message any more: it is this process's alone."""
        self._locks = locks
        self._holding = Holding(delivery, locks)
        self._stays_until: float | None = None

    def send(self, step: Resend) -> None:
        """Send the message again. Raises `Unsent` when the broker does not take it."""
        self.unsent += 1
        if self._stays_until is None:
            stays_for = self.delivery.stays_for(self._locks.time_limit)
            self._stays_until = steady() + stays_for
        self._holding.sends()
        try:
            request = self.delivery.request
            raw = raw_of(request)
            header = note_published(step.header, request, raw.queue)
            self._locks.sender.send(raw, header, delay=step.delay)
            self.is_sent = True
        except Unsent as error:
            self.is_only_copy |= isinstance(error, Homeless)
            if self.unsent == 1:
                subject = self.delivery.subject
                logger.warning(
                    "task %s[%s]: %s; it stays in its process and is tried again",
                    subject.task,
                    subject.task_id,
                    error,
                    extra=fields_of(self.delivery.key, subject),
                )
            raise

    @property
    def has_stayed(self) -> bool:
        """The message has been kept in this process for as long as it may be."""
        return self._stays_until is not None and steady() >= self._stays_until

    def pause(self, seconds: float) -> None:
        """Keep the message in this process for a while."""
        time.sleep(seconds)
