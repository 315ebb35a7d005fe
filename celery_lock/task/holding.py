"""The holding of a delivery's keys: claimed, waited for, held while the body runs, given back.

How many keys that are is nobody else's business: all of them are claimed in one step, or none is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import Any

from celery._state import _task_stack  # type: ignore[attr-defined]  # not in the stubs

from ..app import notes
from ..app.locks import AppLocks
from ..engine.interrupt import Interrupt
from ..engine.locker import Ask, Grant, Locker
from ..engine.place import running_task
from ..message import holder_of
from ..model import End, Held, Lease
from ..model.per_process import this_process
from .claiming import ask_for, but_for_places, dead_run, met, note_claims
from .delivery import Delivery
from .heirs import kept_for_retry
from .no_lease import no_lease

__all__ = ["Holding", "around"]

_ELSEWHERE = ""
"""What is noted for the publication of a message that may have been sent again: none."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})

_entered: dict[int, Holding] = {}
"""The holdings whose bodies are entered, by the numbers of their requests and of what these say of
their delivery: a body that calls its own task gets a copy of its request, with the same objects in
it. The holding has both for as long as it is here, so a number is nobody else's. Nothing of it
hangs on the request: a body may look at that, copy it, log it, pickle it."""


def around() -> list[Holding]:
    """The holdings of the bodies around this place, in this thread."""
    requests = [request for task in _task_stack.stack for request in task.request_stack.stack]
    return [here for request in requests if (here := Holding.of(request)) is not None]


class Holding:
    """What one delivery has of its keys."""

    __slots__ = (
        "_asks",
        "_borrowed",
        "_claims",
        "_delivery",
        "_grants",
        "_holder",
        "_home",
        "_info",
        "_interrupt",
        "_lends",
        "_locker",
        "_locks",
        "_noted",
        "_within",
        "_without",
        "replacement",
    )

    def __init__(self, delivery: Delivery, locks: AppLocks) -> None:
        self._delivery = delivery
        self._locks = locks
        self._interrupt: Interrupt | None = None
        for want in delivery.wants:
            if want.bound.interrupts:
                self._interrupt = Interrupt(delivery.key)
        self._locker: Locker | None = None
        self._asks: Sequence[Ask] = ()
        self._grants: Sequence[Grant] = ()
        self._without = ""
        self._holder = ""
        self._claims = 0
        self._noted: str | None = None
        self._home = this_process.value
        self._info: Any = None
        self._within: Any = None
        self._lends = False
        self.replacement: Any = None  # the signature of what takes the place of the task
        self._borrowed: Mapping[str, Holding] = _NOTHING

    @classmethod
    def of(cls, request: Any) -> Holding | None:
        """Return the holding of a request whose body is entered, `None` otherwise."""
        if not _entered:
            return None
        return _entered.get(id(request)) or _entered.get(id(request.delivery_info))

    @classmethod
    def kept_by(cls, request: Any) -> str | list[str] | None:
        """Return what a request whose body is entered leaves to its retry; `None`: nothing."""
        holding = cls.of(request)
        return None if holding is None else kept_for_retry(holding._delivery)

    @staticmethod
    def entered() -> list[Holding]:
        """Return the holdings of all bodies that run in this process, or ran as it was forked."""
        return list(_entered.values())

    @property
    def is_here(self) -> bool:
        """Its body runs in this process, and not in the one that this was forked from."""
        return self._home is this_process.value

    @property
    def task(self) -> str:
        """The name of the task."""
        name: str = self._delivery.task.name
        return name

    def has(self, key: str, locker: Locker) -> Grant | None:
        """Return its grant of `key` if that lives, and its body runs in this very place.

        Coroutines that a body runs at once are other places than the body, and each other's.
        """
        is_place = self.is_here and self._within is running_task()
        if not is_place or self._locker is None or self._locker.store is not locker.store:
            return None
        alive = (one for one in self._grants if one.lease.reason is None)
        return next((one for one in alive if one.lease.key == key), None)

    @property
    def holders(self) -> list[str]:
        """Who has its keys in the store."""
        return [grant.lease.holder for grant in self._grants]

    @property
    def leases(self) -> list[Lease]:
        """The leases, in the order in which the task declares its locks; two locks that spell one
        key have one. Raises `LockError` when the body runs without them."""
        held = {grant.lease.key: grant.lease for grant in self._grants}
        for name, holding in self._borrowed.items():
            held[name] = next(lease for lease in holding.leases if lease.key == name)
        leases = [held[want.name] for want in self._delivery.wants if want.name in held]
        if not leases:
            names = [want.name for want in self._delivery.asked]
            raise no_lease(self._delivery.task.name, names, self._without)
        return leases

    # -- lending it --------------------------------------------------------------------------

    @contextmanager
    def lent(self) -> Iterator[None]:
        """What runs eagerly within may have the same key: the body around only waits for it."""
        self._lends = True
        try:
            yield
        finally:
            self._lends = False

    def borrow(self) -> bool:
        """Run within the leases of bodies around this one that lend them; `False`: more keys are
        to be claimed."""
        lent = {grant.lease.key: here for here in around() if here._lends for grant in here._grants}
        names = [want.name for want in self._delivery.asked]
        self._borrowed = {name: lent[name] for name in names if name in lent}
        return len(self._borrowed) == len(names)

    # -- getting it --------------------------------------------------------------------------

    def take(self, delivery: Delivery) -> Held | None:
        """Claim all keys once; `None`: they are held now.

        `delivery`: as it is by now. Once its message was sent again, it has another name, and may
        have a copy.
        """
        if not self._claims:
            self._holder = holder_of(delivery.request)
        if delivery.publication != self._noted and self._noted != _ELSEWHERE:
            self._noted = note_claims(delivery, self._holder, delivery.publication)
        self._claims += 1
        self._locker = locker = self._locks.locker
        holder = f"{self._holder}{self._claims:x}"
        self._asks = asks = []
        for want in delivery.asked:
            if want.name not in self._borrowed:
                asks.append(ask_for(want, delivery, holder, self._locks, self._interrupt))
        got: Grant | list[Grant] | Held
        got = locker.claim(asks[0]) if len(asks) == 1 else met(locker.claim_all(asks))
        if not isinstance(got, Held):
            self._grants = [got] if isinstance(got, Grant) else got
            return None
        dead = dead_run(got, self._holder, delivery.request)
        if not dead:
            return got
        for ask in asks:
            locker.free_now(ask.claim.key, dead, ask.subject)
        return self.take(delivery)

    def wait(self, seconds: float, name: str | None = None) -> Held | None:
        """Wait for the keys that were claimed, for so long at most; `None`: they are held now.

        Not for one that is kept for a retry: that needs this very place. `name`: for no other one,
        whose lock may have another policy.
        """
        assert self._locker is not None

        def returns(held: Held) -> bool:
            is_another = name is not None and held.key != name
            return is_another or self._delivery.lets_a_retry_pass(held)

        got = met(self._locker.wait_all(self._asks, seconds, but_for=returns))
        if isinstance(got, Held):
            return got
        self._grants = got
        return None

    def go_without(self, why: str) -> None:
        """Let the body run without the key."""
        self._without = why

    # -- the body ----------------------------------------------------------------------------

    def sends(self) -> None:
        """Note that the message may be on its way again from now on.

        If this process dies, before or after it has the broker's answer, the work of the message
        is still to be done: nobody may say that it was completed.
        """
        if self._noted is not None:
            self._noted = note_claims(self._delivery, self._holder, _ELSEWHERE)

    def attach(self, publication: str) -> None:
        """Let the request be known as one with this holding: the body is entered now."""
        request = self._delivery.request
        if self._noted == _ELSEWHERE:  # it was not taken, or is a copy of what runs here
            self._noted = note_claims(self._delivery, self._holder, publication)
        self._info = info = request.delivery_info
        self._within = running_task()
        _entered[id(request)] = self
        if info is not None:
            _entered[id(info)] = self

    def leave_the_queue(self) -> None:
        """Give the queue places back that were claimed here: the body starts now."""
        if self._locker is not None:
            self._grants = but_for_places(self._grants, self._locker)

    def run(self, body: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the body, so that it can be interrupted where the lock says so."""
        if self._interrupt is None:
            return body(*args, **kwargs)
        return self._interrupt.run(body, args, kwargs)

    # -- the end of it -----------------------------------------------------------------------

    @property
    def is_held(self) -> bool:
        """There is a key to give back."""
        return bool(self._grants)

    def give_back(self, ends: Mapping[str, End]) -> Callable[[], None] | None:
        """Give all keys back, and leave the request. Never raises of its own.

        `ends`: what the releases do besides, by name.

        Returns what tells the completion, once all that follows the run is out; `None` where no
        release has recorded the end of the run. May be called again when a time limit fell into
        the first call.
        """
        request = self._delivery.request
        _entered.pop(id(request), None)
        _entered.pop(id(self._info), None)
        locker, grants = self._locker, self._grants
        if locker is None:
            return None
        if len(grants) == 1:
            locker.release(grants[0], ends.get(grants[0].lease.key))
        elif grants:
            locker.release_all([(grant, ends.get(grant.lease.key)) for grant in grants])
        else:
            # something may have fallen in between the grants and us
            locker.abandon(*(ask.claim for ask in self._asks))
        self._grants = ()
        notes.given_back(self._holder)
        for grant in grants:
            end = ends.get(grant.lease.key)
            if end is not None and end.publication and grant.recorded is not False:
                return partial(locker.told, grant)
        return None
