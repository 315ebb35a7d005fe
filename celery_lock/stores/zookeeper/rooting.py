"""The nodes under which all entries lie: made once, by whoever comes first."""

from __future__ import annotations

from typing import Any

from kazoo.exceptions import NodeExistsError, NoNodeError
from kazoo.protocol.serialization import Exists

from .address import Address
from .link import Link
from .paths import Paths
from .refusals import refused
from .requests import Change, Create, first_error

__all__ = ["make_root"]


def make_root(link: Link, address: Address, paths: Paths, acl: Any, ends: float) -> None:
    """Make the root of a prefix, its clock and its shards at once, and what is missing above."""
    above = paths.above()
    there = link.ask([Exists(path, None) for path in [*above, paths.root]], ends)
    for path, found in zip(above, there, strict=False):
        if found is None:
            [answer] = link.ask([Create(path, b"", acl, 0)], ends)
            _accept(answer, address)
        elif isinstance(found, Exception):
            raise refused(found, address) from found
    nodes = [paths.root, paths.clock, *paths.shards]
    made = [Create(path, b"", acl, 0) for path in nodes]
    if there[-1] is None:  # all at once: whoever sees one of them sees the others
        [answer] = link.ask([Change(made)], ends)
        _accept(first_error(answer), address)
    else:  # somebody was faster; or has removed some by hand
        for answer in link.ask(made, ends):
            _accept(answer, address)


def _accept(answer: Any, address: Address) -> None:
    if isinstance(answer, Exception) and not isinstance(answer, (NodeExistsError, NoNodeError)):
        raise refused(answer, address) from answer
