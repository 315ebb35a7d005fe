"""Which delivery of which publication a request is."""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from functools import lru_cache
from hashlib import sha256
from itertools import count
from typing import Any

from ..model import Holder
from ..model.per_process import PerProcess
from ..model.publication import short
from .header import Header
from .parts import Parts, parts_of
from .transports import Transport

__all__ = [
    "are_siblings",
    "holder_of",
    "in_canvas",
    "in_queue",
    "named_by_contents",
    "new_nonce",
    "publication_of",
]


NONCE_OF_A_PROCESS = 6
"""Letters in which the names of all deliveries of a process begin alike."""


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
        self.nonce = urlsafe_b64encode(os.urandom(5)).decode()[:NONCE_OF_A_PROCESS]
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
    """Name the act of publishing into one queue; a redelivered copy has the same name.

    A nonce that was written as Celery published the message, or else the transport's own name of
    it. Where that has none, it is what tells messages of one id apart as far as anything does.
    And the queue, since an exchange may put one message into several, to be run from each.
    """
    name = header.publication or transport.name_of(request) or named_by_contents(request)
    parts = parts_of(request)
    return short(name) if parts is None else in_queue(name, parts.queue or _stand_in(parts))


def _stand_in(parts: Parts) -> str:
    """Return what stands for a queue that nobody can name, of a broadcast: the worker's start."""
    return f"*{parts.nonce[:NONCE_OF_A_PROCESS]}"


@lru_cache(maxsize=1024)
def _digest(text: str) -> str:
    return urlsafe_b64encode(sha256(text.encode("utf-8", "surrogatepass")).digest()).decode()


def in_queue(name: str, queue: str) -> str:
    """Return a name in one queue; names in two queues have the beginning in common, before `@`.

    No longer than a UUID. Where it would be, a digest stands for the queue, and for a name that
    is long itself.
    """
    if len(name) + len(queue) < _LONGEST and (name + queue).isascii() and "@" not in name:
        return f"{name}@{queue}"
    if len(name) > _LONGEST_NONCE or not name.isascii() or "@" in name:
        name = _digest(name)[:22]
    return f"{name}@{_digest(queue)[:12]}"


def are_siblings(one: str, other: str) -> bool:
    """Two publications are one message that an exchange has put into two queues."""
    name, at, queue = one.partition("@")
    its, its_at, its_queue = other.partition("@")
    return bool(at and its_at) and name == its and queue != its_queue


_LONGEST = 36
_LONGEST_NONCE = _LONGEST - 13


def named_by_contents(request: Any) -> str:
    """Return what tells messages apart that nobody has named; two that are equal are one to it."""
    name = f"{request.id}.{request.replaced_task_nesting or 0}.{request.retries or 0}"
    parts = parts_of(request)
    if parts is None:
        return name
    body = parts.body
    contents = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)
    return f"{name}.{sha256(contents).hexdigest()[:24]}"


def in_canvas(request: Any) -> bool:
    """Somebody waits for this task: it is part of a canvas, or has a callback."""
    return bool(request.chain or request.chord or request.group or request.callbacks)
