"""What a message asks of the locks of its task: one key of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ..app.bound import BoundLock
from ..errors import LockError
from ..message import HEADER, Header, Transport, of_request
from ..model import Scope
from ..model.made import made

__all__ = ["Want", "asked_of", "each_name_once", "header_of", "home_of", "wants_of"]


class Want(NamedTuple):
    """One lock of a task, and the key that a message asks of it."""

    bound: BoundLock
    key: str
    name: str
    """What the key is called in the store."""


def wants_of(
    task: str,
    bounds: tuple[BoundLock, ...],
    header: Header,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[Want, ...]:
    """Return what a message asks for, in the order in which its task declares its locks.

    Raises `LockError` where its sender names other keys than the task has locks.
    """
    bound = bounds[0]
    if len(bounds) == 1 and header.keys is None:
        key = bound.key_of(header, args, kwargs)
        usual = bound.scope is Scope.WHILE_RUNNING
        return (made(Want, (bound, key, key if usual else bound.scope.name_of(key))),)
    asks = []
    keys = _keys_in(task, bounds, header)
    for number, bound in enumerate(bounds):
        said = replace(header, key=None if keys is None else keys[number])
        key = bound.key_of(said, args, kwargs)
        asks.append(Want(bound, key, bound.scope.name_of(key)))
    return tuple(asks)


def header_of(bounds: tuple[BoundLock, ...], request: Any, now: Callable[[], float]) -> Header:
    """Return the header of a request that is to run; an eager one is published by its call."""
    header = Header.of(request)
    for bound in bounds:
        if bound.key.shows_sender and header.others is None:
            header = of_request(request, header)
        if bound.key.timed and request.is_eager and header.first_published is None:
            header = replace(header, first_published=now())
    return header


def asked_of(
    wants: tuple[Want, ...], header: Header, request: Any, transport: Transport
) -> tuple[Want, ...]:
    """Return what is claimed before the body, each name once and in the order of the names.

    A queue place is not, where the publisher was given it, or where the body may have begun before:
    it keeps duplicates out of the queue, and nobody from running.
    """
    if header.had or _may_have_started(header, request, transport):
        wants = tuple(want for want in wants if want.bound.scope is not Scope.UNTIL_STARTED)
    return each_name_once(wants)


def home_of(wants: tuple[Want, ...]) -> str:
    """Return the name beside which the record of a message's publication lies: that of the first
    lock, but no queue place, which may be free before the body is entered."""
    keys = [want for want in wants if want.bound.scope is not Scope.UNTIL_STARTED]
    return (keys or wants)[0].name


def _may_have_started(header: Header, request: Any, transport: Transport) -> bool:
    """It is a retry, took the place of its task, or was delivered before."""
    anew = request.retries or request.replaced_task_nesting
    return bool(anew or header.deliveries or transport.redelivered(request))


def each_name_once(wants: Iterable[Want]) -> tuple[Want, ...]:
    """Return each name of these once, in the order of the names: all claim them in that order.

    Two locks may spell one key. Then one lease does what both of them say.
    """
    found: dict[str, Want] = {}
    for want in wants:
        first = found.get(want.name)
        if first is None:
            found[want.name] = want
        elif first.bound is not want.bound:
            found[want.name] = first._replace(bound=_both(first.bound, want.bound))
    return tuple(found[name] for name in sorted(found))


def _both(one: BoundLock, other: BoundLock) -> BoundLock:
    ceilings = [each.at_most for each in (one, other) if each.at_most is not None]
    return replace(
        one,
        ttl=max(one.ttl, other.ttl),
        at_least=max(one.at_least, other.at_least),
        floor=max(one.floor, other.floor),
        at_most=min(ceilings, default=None),
        queue_ttl=max(one.queue_ttl, other.queue_ttl),
        interrupts=one.interrupts or other.interrupts,
        limit=min(one.limit, other.limit),
    )


def _keys_in(task: str, bounds: Sequence[BoundLock], header: Header) -> Sequence[str] | None:
    """Return the keys that a message carries; `None`: its arguments spell them.

    What we have written ourselves, as the task had other locks, counts no more.
    """
    keys = header.keys if header.key is None else [header.key]
    if keys is None or len(keys) == len(bounds):
        return keys
    if not header.given or header.was_sent_again or header.retries or header.nesting:
        return None
    if header.unlocked:
        return None
    locks = ", ".join(repr(bound.key.template) for bound in bounds)
    names = f"one key, {keys[0]!r}" if len(keys) == 1 else f"{len(keys)} keys"
    if len(bounds) == 1:
        has, write = f"one lock, {locks}", '{"v": 1, "key": "..."}'
    else:
        write = '{"v": 1, "keys": ["...", ...]} with a key for each, in this order'
        has = f"{len(bounds)} locks: {locks}"
    raise LockError(
        f"the message header {HEADER} names {names}, and task {task} has {has}; send {write}"
    )
