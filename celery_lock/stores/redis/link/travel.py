"""One call on its way through a cluster, until it has an answer or its time is over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import TypeVar

from ....errors import StoreError, StoreUnavailable
from ....model.clock import monotonic
from .nodes import Node, Nodes
from .redirection import Why, redirection_of
from .server import Server

__all__ = ["LOOK", "Ask", "named", "travel"]

T = TypeVar("T")

Ask = Callable[[Server, float, bool], T]
"""Makes the call of a server, within so many seconds; `True`: keys are on their way to it."""

_PAUSES = (0.01, 0.02, 0.04, 0.08, 0.16, 0.25)
"""Seconds between two tries of a call, the last one for ever: so long a slot needs to move, and
nodes to agree on a new master. All of it is within the deadline of the call."""

LOOK = 0.25
"""The part of the time in which others may say who has the slots of a node that gave no answer."""

_DIRECT = 3
"""Redirections that are followed at once; where there are more, nodes do not agree."""


def travel(
    nodes: Nodes,
    slot: int,
    ask: Ask[T],
    ends: float,
    *,
    node: Node | None = None,
    error: StoreError | None = None,
) -> T:
    """Make a call of the node that keeps this slot, and return its answer, before `ends`.

    `node` and `error`: it was tried there already, and this came of it.
    """
    if node is None or error is None:
        node, error = _keeper(nodes, slot, ends), None
    asking = False
    reason: StoreError | None = None
    pauses = count()
    for number in count():
        if error is None:
            left = ends - monotonic()
            if left <= 0 and reason is not None:
                break
            try:
                answer = ask(node.server, max(left, 0.001), asking)
            except StoreError as failure:
                error = failure
            else:
                node.doubted = 0.0
                return answer
        to = redirection_of(error, node.host)
        if to is None:
            raise error
        before, asking = node, to.why is Why.ASK
        if to.place is None:
            if to.why is not Why.LATER:
                nodes.doubt(node)
                with suppress(StoreUnavailable):
                    nodes.draw(ends)
            node = nodes.keepers[slot] or node
        else:
            node = nodes.at(to.place) if asking else nodes.moved(slot, to.place)
        left = ends - monotonic()
        if reason is None or to.why is not Why.SILENT:
            reason = error  # who was asked last had little time
        if left <= 0:
            break
        if node is before or number >= _DIRECT:
            _pause(min(_PAUSES[min(next(pauses), len(_PAUSES) - 1)], left))
        error = None
    assert reason is not None
    raise _said(nodes, reason, node) from reason


def _said(nodes: Nodes, reason: StoreError, node: Node) -> StoreError:
    """Return what a call ends with that has no time left."""
    to = redirection_of(reason, "")
    if to is not None and to.place is not None:
        return StoreUnavailable(
            nodes.shown, f"its nodes do not agree about who has the key ({reason.__cause__})"
        )
    if not isinstance(reason, StoreUnavailable):
        return reason
    return _of_whom(nodes, reason, node)


def _of_whom(nodes: Nodes, error: StoreUnavailable, node: Node) -> StoreUnavailable:
    to, cause = redirection_of(error, ""), f"{error.cause}; it is a node of {nodes.shown}"
    if to is not None and to.why is Why.GONE and not nodes.is_seed(node):
        cause += ", whose nodes announce this address"
    return StoreUnavailable(error.url, cause)


def named(nodes: Nodes, error: StoreUnavailable) -> StoreUnavailable:
    """Return the error of one node, and say of what it is one, and if only the others know it."""
    if isinstance(error.__cause__, StoreUnavailable):  # it was said on the way of a call
        return StoreUnavailable(error.url, error.cause)
    for node in nodes.all():
        if node.server.url == error.url:
            return _of_whom(nodes, error, node)
    return error


def _keeper(nodes: Nodes, slot: int, ends: float) -> Node:
    """Return the node that keeps a slot; where it gave no answer before, others are asked first."""
    node = nodes.keepers[slot]
    if node is None:
        _draw(nodes, ends)
    elif node.doubted:
        with suppress(StoreUnavailable):
            nodes.draw(monotonic() + LOOK * (ends - monotonic()), quickly=True)
    node = nodes.keepers[slot]
    if node is None:
        raise StoreUnavailable(nodes.shown, f"no node of the cluster keeps slot {slot}")
    return node


def _draw(nodes: Nodes, ends: float) -> None:
    try:
        nodes.draw(ends)
    except StoreUnavailable as error:
        said = named(nodes, error)
        if said is error:
            raise
        raise said from error


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)
