"""Where a cluster sends a call that it does not answer: to another node, or to a later moment."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from ....errors import StoreError, StoreUnavailable
from ...link.deadline_socket import ConnectionLost, DeadlineExceeded
from ...link.dialling import Unreachable
from .resp import ErrorReply
from .slots import Place

__all__ = ["Redirection", "Why", "redirection_of"]


class Why(Enum):
    """Why a call has no answer that counts."""

    MOVED = "moved"
    """Another node keeps the slot."""
    ASK = "ask"
    """The slot is on its way to another node, and this key has gone ahead."""
    LATER = "later"
    """The slot is on its way, and some of the keys of the call have gone ahead."""
    DOWN = "down"
    """The node takes no calls for this slot now: a fail-over is to come, or has come."""
    GONE = "gone"
    """Nobody answers where the node should be."""
    SILENT = "silent"
    """The node did not answer in time."""


_CODES = {
    "ASK": Why.ASK,
    "CLUSTERDOWN": Why.DOWN,
    "LOADING": Why.DOWN,
    "MASTERDOWN": Why.DOWN,
    "MOVED": Why.MOVED,
    "READONLY": Why.DOWN,
    "TRYAGAIN": Why.LATER,
    "UNBLOCKED": Why.DOWN,
}


class Redirection(NamedTuple):
    """Why a call has to go elsewhere, and where that is, if the node has said so."""

    why: Why
    place: Place | None = None


def redirection_of(error: StoreError, asked: str) -> Redirection | None:
    """Read an error of a node; `None`: the call has failed for good.

    `asked`: the host of the node, which is meant where another one is named by its port alone.
    """
    cause = error.__cause__
    if isinstance(cause, ErrorReply):
        why = _CODES.get(cause.code)
        if why is None:
            return None
        return Redirection(why, _place(str(cause), asked) if why in _NAMED else None)
    if not isinstance(error, StoreUnavailable):  # a certificate, a login: it stays wrong
        return None
    if isinstance(cause, DeadlineExceeded):
        return Redirection(Why.SILENT)
    if isinstance(cause, (ConnectionLost, Unreachable)):
        return Redirection(Why.GONE)
    return None


_NAMED = (Why.MOVED, Why.ASK)


def _place(text: str, asked: str) -> Place:
    """Read `MOVED 3999 127.0.0.1:6381`; an address of IPv6 has colons of its own."""
    host, _, port = text.split()[2].rpartition(":")
    return host.strip("[]?") or asked, int(port)
