"""Try the nodes once, as a worker starts: can they be used, and what should their owner know?"""

from __future__ import annotations

from ...errors import StoreError
from ...model import LockStore
from ..own_key import try_own_key
from ..redis.checkup import look_at
from ..redis.link.discovery import FixedAddress
from ..redis.link.server import Server
from ..redis.scripts import PEEK
from .answers import SILENT, is_failure
from .node import Node
from .nodes import Nodes

__all__ = ["checkup"]


def checkup(store: LockStore, nodes: Nodes, name: str) -> list[str]:
    """Return warnings; raise `StoreError` where no majority can be used."""
    answers = nodes.ask((PEEK, [name], ()), nodes.is_hopeless, votes=True)
    if not nodes.enough(answers) or nodes.is_hopeless(answers):
        raise nodes.unavailable(answers)
    try_own_key(store, "are they real servers?")
    warnings, away = list[str](), 0
    for node, answer in zip(nodes.nodes, answers, strict=True):
        if answer is SILENT:
            warnings.append(f"{node.shown} gave no answer within {nodes.deadline:.3g} s")
        elif isinstance(answer, StoreError):
            warnings.append(str(answer))
        else:
            continue
        away += 1
    for node, answer in zip(nodes.nodes, answers, strict=True):
        if not is_failure(answer):
            warnings += _look(node, nodes.deadline)
    if away:
        spare = nodes.count - away - nodes.majority
        warnings.append(
            f"{nodes.url} can do without {spare} more of its nodes: get those back that are away"
        )
    if nodes.count < 3 or nodes.count % 2 == 0:
        spare = nodes.count - nodes.majority
        better = sorted({max(nodes.count - 1, 3), (nodes.count + 1) | 1})
        warnings.append(
            f"{nodes.url} has {nodes.count} node{'s' if nodes.count > 1 else ''} and can do"
            f" without {spare} of them: {' or '.join(map(str, better))} would do better"
        )
    return warnings


def _look(node: Node, deadline: float) -> list[str]:
    """Return what a node that has answered says of itself."""
    server = Server(FixedAddress(node.address), deadline=deadline, connections=1, watchers=0)
    try:
        return look_at(server, False)
    except StoreError as error:
        return [str(error)]
    finally:
        server.close()
