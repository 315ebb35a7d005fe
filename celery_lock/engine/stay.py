"""A stay of code with a key: outside a task, from the entry of a block to its end."""

from __future__ import annotations

import os
import socket
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from itertools import count
from secrets import token_urlsafe
from typing import NamedTuple

from ..model import Held, Holder, Lease
from ..model.per_process import PerProcess, look_for_fork
from .locker import Ask, Grant, Locker
from .place import Place, here

__all__ = ["Bodies", "Stay", "grant_here", "new_holder", "stay_here", "stays_around"]

_entered: ContextVar[tuple[weakref.ref[Stay], ...]] = ContextVar("celery_lock_stays", default=())
"""The stays around this place, outermost first. Whoever has entered one keeps it, and nobody else:
what nobody keeps has been left in a way that did not let it say so."""


class _Names:
    """What the holders of this process are named by: 36 random bits, and a number for each."""

    def __init__(self) -> None:
        self.node = socket.gethostname()
        self.beginning = token_urlsafe(5)[:6]
        self.numbers = count()


_names = PerProcess(_Names)


def new_holder() -> str:
    """Return who holds a key in one more stay; it is nobody else, here and elsewhere."""
    look_for_fork()  # a server that forks in C: the names of its parent are not a child's
    names = _names.value
    nonce = f"{names.beginning}{next(names.numbers):x}"
    return str(Holder.outside(names.node, os.getpid(), nonce))


class Bodies(NamedTuple):
    """What runs here with a key of its own, though it is no stay: the bodies of locked tasks."""

    here: Callable[[], object] = lambda: None
    """Return what stands for the innermost of them; `None`: there is none."""
    grant_of: Callable[[str, Locker], Grant | None] = lambda key, locker: None
    """Return the grant of a key that one of them has."""


bodies = Bodies()
"""Put here by the room of the tasks."""


class Stay:
    """One stay: claims its key, has it, gives it back.

    The one who makes it is the only one who keeps it. When it is gone without having been left,
    since something fell in between its grant and the block, or an abandoned generator was in
    that block, the keeper gives the key back.
    """

    __slots__ = ("__weakref__", "_ask", "_grant", "_locker", "around", "place")

    def __init__(self, locker: Locker, ask: Ask) -> None:
        self._locker = locker
        self._ask: Ask | None = ask
        self._grant: Grant | None = None
        self.around = bodies.here()
        """The body that runs further out."""
        self.place: Place = here()

    @property
    def lease(self) -> Lease | None:
        """The lease; `None`: it has none yet, or no more."""
        grant = self._grant
        return None if grant is None else grant.lease

    def has(self, key: str, locker: Locker) -> Grant | None:
        """Return its grant of this key, if it has that at this moment and in this process."""
        grant = self._grant
        lease = None if grant is None else grant.lease
        held = (
            lease is not None
            and lease.key == key
            and self._locker.store is locker.store
            and lease.is_at_home
            and lease.reason is None
        )
        return grant if held else None

    def claim(self) -> Held | None:
        """Claim the key once; `None`: it is held now."""
        assert self._ask is not None
        return self._enter(self._locker.claim(self._ask))

    def wait(self, seconds: float) -> Held | None:
        """Claim it until it is given, for so long at most; `None`: it is held now."""
        assert self._ask is not None
        return self._enter(self._locker.wait(self._ask, seconds))

    def _enter(self, got: Grant | Held) -> Held | None:
        if isinstance(got, Held):
            return got
        self._grant = got
        got.user = weakref.ref(self, self._locker.keeper.look_soon)
        _entered.set((*_alive(), weakref.ref(self)))
        return None

    def leave(self, *, later: bool = False) -> None:
        """Give the key back. Never raises of its own; may be called again when something fell in.

        `later`: the keeper does it, and nobody waits for that here.
        """
        _entered.set(tuple(ref for ref in _alive() if ref() is not self))
        grant, ask = self._grant, self._ask
        if grant is not None and later:
            grant.user = _nobody
            self._locker.keeper.look_soon()
        elif grant is not None:
            self._locker.release(grant)
        elif ask is not None:  # something may have fallen in between the grant and us
            self._locker.abandon(ask.claim)
        self._grant = self._ask = None

    @property
    def ends_with_process(self) -> bool:
        """Nothing more of its block can run once the main thread leaves."""
        return self.place.is_of_main_thread


def _nobody() -> None:
    """Be the reference to a stay that is gone."""


def _alive() -> list[weakref.ref[Stay]]:
    return [ref for ref in _entered.get() if (stay := ref()) is not None and stay.lease is not None]


def stay_here() -> Stay | None:
    """Return the innermost stay around this place, in whichever thread it was entered."""
    alive = _alive()
    return alive[-1]() if alive else None


def stays_around() -> list[Stay]:
    """Return the stays that code of this very place has entered, innermost first."""
    stays = [ref() for ref in reversed(_alive())]
    place = here() if stays else None
    return [stay for stay in stays if stay is not None and stay.place == place]


def grant_here(key: str, locker: Locker) -> Grant | None:
    """Return the grant of `key` that code of this very place has already; `None`: it has none."""
    for stay in stays_around():
        grant = stay.has(key, locker)
        if grant is not None:
            return grant
    return bodies.grant_of(key, locker)
