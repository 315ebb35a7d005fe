"""Which delivery of which publication a request is."""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from itertools import count
from typing import Any

from ..model import Holder
from ..model.per_process import PerProcess
from ..model.publication import short
from .header import Header
from .parts import parts_of
from .raw import came_from
from .transports import Transport

__all__ = ["holder_of", "in_canvas", "new_nonce", "publication_of"]


def new_nonce() -> str:
    """Return the name of one more delivery: the main process gives it, eager mode its own.

    A copy of the message is another delivery.
    """
    here = _here.value
    return f"{here.nonce}{next(here.deliveries):x}"


def holder_of(request: Any) -> str:
    """Return who holds the claims of this delivery, but for their number, which follows the dot.

    In the form in which `Holder` is written: with the number it is one claim, without it the
    beginning of all of them.
    """
    parts = parts_of(request)
    nonce = new_nonce() if parts is None else parts.nonce
    here, hostname = _here.value, request.hostname
    if hostname != here.hostname:
        here.move(hostname)
    return f"{request.id}{here.between}{nonce}."


class _Here:
    """What all holders of this process have in common, and how many deliveries it has had.

    36 random bits, in 6 letters: a process id and a counter come again. A random number for each
    delivery would cost more than all the rest of a holder.
    """

    def __init__(self) -> None:
        self.deliveries = count()
        self.nonce = urlsafe_b64encode(os.urandom(5)).decode()[:6]
        """The beginning of the name of each delivery that is named here."""
        self.between = ""
        """What stands between the task id and the name of the delivery."""
        self.hostname: Any = None
        self.move(None)

    def move(self, hostname: Any) -> None:
        """Be the node of this name from now on; a process has one, and a test several."""
        self.between = str(Holder("", str(hostname or ""), os.getpid()))
        self.hostname = hostname


_here = PerProcess(_Here)


def publication_of(request: Any, header: Header, transport: Transport) -> str:
    """Name the act of publishing; a redelivered copy has the same one.

    Where the transport has no name for a message, it is the task id with what tells Celery's own
    publications of one id apart, and the queue, since an exchange may put one message into
    several, to be run from each.
    """
    named = header.publication or transport.name_of(request)
    if named:
        return short(named)
    queue = came_from(request)
    return short(
        f"{request.id}.{request.replaced_task_nesting or 0}.{request.retries or 0}"
        f"{'' if queue is None else f'@{queue}'}"
    )


def in_canvas(request: Any) -> bool:
    """Somebody waits for this task: it is part of a canvas, or has a callback."""
    return bool(request.chain or request.chord or request.group or request.callbacks)
