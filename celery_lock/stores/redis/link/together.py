"""One round trip with each of several servers, at the same time: none waits for another one."""

from __future__ import annotations

import selectors
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ....errors import StoreError
from ....model.clock import monotonic
from ...link.deadline_socket import ConnectionLost
from ...link.selecting import selector
from .begun import Begun
from .linking import Call
from .nodes import Node

__all__ = ["run_together"]

CONNECTING = 0.5
"""The part of the time in which all connections are made that are missing. More leaves less for the
answers; less gives up sooner on a server that is far away."""


def run_together(
    asked: Mapping[Node, Sequence[Call]], ends: float, seconds: float
) -> dict[Node, list[Any]]:
    """Run the scripts of each node; return for each its answer, or its own `StoreError`.

    All is sent before an answer is waited for, to the nodes first that there is a connection to.
    A node that hangs, or to which no connection comes about, costs the others nothing but time.
    `seconds` is what the whole call has, which ends at `ends`.
    """
    answers: dict[Node, list[Any]] = {}
    begun: dict[Node, Begun] = {}
    try:
        for node, calls in asked.items():
            one = node.server.begin_each(calls, ends, seconds)
            if one is not None:
                begun[node] = one
        _connect([node for node in asked if node not in begun], asked, begun, answers, ends)
        for node in _as_they_come(dict(begun), ends):
            answers[node] = begun.pop(node).finish()
            _once_more(node, asked[node], answers[node], ends)
    finally:
        for one in begun.values():
            one.give_up()
    return answers


def _once_more(node: Node, calls: Sequence[Call], answers: list[Any], ends: float) -> None:
    """Run what was lost with its connection: that was older than the server, most likely.

    It has half of the time that is left, since others are still to be read.
    """
    lost = [at for at, answer in enumerate(answers) if _is_lost(answer)]
    left = ends - monotonic()
    if lost and left > 0:
        again = node.server.run_each([calls[at] for at in lost], left / 2)
        for at, answer in zip(lost, again, strict=True):
            answers[at] = answer


def _connect(
    nodes: Sequence[Node],
    asked: Mapping[Node, Sequence[Call]],
    begun: dict[Node, Begun],
    answers: dict[Node, list[Any]],
    ends: float,
) -> None:
    """Begin with these nodes over new connections, those first that have answered of late."""
    by = monotonic() + CONNECTING * (ends - monotonic())
    for number, node in enumerate(sorted(nodes, key=lambda node: node.doubted)):
        share = max(by - monotonic(), 0.001) / (len(nodes) - number)
        try:
            one = node.server.begin_each(asked[node], ends, share, monotonic() + share)
        except StoreError as error:
            answers[node] = [error] * len(asked[node])
        else:
            if one is not None:
                begun[node] = one


def _as_they_come(begun: Mapping[Node, Begun], ends: float) -> Iterator[Node]:
    """Yield each node when all its answers have come; at the end those that still owe some."""
    waiting = dict(begun)
    if len(waiting) > 1:
        with selector() as sockets:
            for node, one in begun.items():
                if one.poll():
                    del waiting[node]
                    yield node
                else:
                    sockets.register(one.fileno(), selectors.EVENT_READ, node)
            while waiting and (left := ends - monotonic()) > 0:
                for key, _ in sockets.select(left):
                    if begun[key.data].poll():
                        sockets.unregister(key.fileobj)
                        del waiting[key.data]
                        yield key.data
    yield from waiting


def _is_lost(answer: Any) -> bool:
    return isinstance(answer, StoreError) and isinstance(answer.__cause__, ConnectionLost)
