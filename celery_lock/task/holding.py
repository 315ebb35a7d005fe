"""The holding of a delivery's key: claimed, waited for, held while the body runs, given back.

How many keys that are is nobody else's business: a task with several would claim, wait for and
give back each of them here, in sorted order, so that no two tasks wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from celery._state import _task_stack  # type: ignore[attr-defined]  # not in the stubs

from ..app import notes
from ..app.locks import AppLocks
from ..engine.interrupt import Interrupt
from ..engine.locker import Ask, Grant, Locker
from ..errors import LockError
from ..message import holder_of
from ..model import Claim, End, Held, Holder, Lease, Met
from ..model.per_process import this_process
from .delivery import Delivery

__all__ = ["Holding"]

_ELSEWHERE = ""
"""What is noted for the publication of a message that may have been sent again: none."""

_entered: dict[int, Holding] = {}
"""The holdings whose bodies are entered, by the numbers of their requests and of what these say of
their delivery: a body that calls its own task gets a copy of its request, with the same objects in
it. The holding has both for as long as it is here, so a number is nobody else's. Nothing of it
hangs on the request: a body may look at that, copy it, log it, pickle it."""


def _around() -> list[Holding]:
    """The holdings of the bodies around this place, in this thread."""
    requests = [request for task in _task_stack.stack for request in task.request_stack.stack]
    return [here for request in requests if (here := Holding.of(request)) is not None]


class Holding:
    """What one delivery has of its key."""

    __slots__ = (
        "_ask",
        "_borrowed",
        "_claims",
        "_delivery",
        "_grant",
        "_holder",
        "_home",
        "_info",
        "_interrupt",
        "_lends",
        "_locker",
        "_locks",
        "_noted",
        "_without",
    )

    def __init__(self, delivery: Delivery, locks: AppLocks) -> None:
        self._delivery = delivery
        self._locks = locks
        self._interrupt = Interrupt(delivery.key) if delivery.bound.interrupts else None
        self._locker: Locker | None = None
        self._ask: Ask | None = None
        self._grant: Grant | None = None
        self._without = ""
        self._holder = ""
        self._claims = 0
        self._noted: str | None = None
        self._home = this_process.value
        self._info: Any = None
        self._lends = False
        self._borrowed: Holding | None = None

    @classmethod
    def of(cls, request: Any) -> Holding | None:
        """Return the holding of a request whose body is entered, `None` otherwise."""
        if not _entered:
            return None
        return _entered.get(id(request)) or _entered.get(id(request.delivery_info))

    @classmethod
    def key_of(cls, request: Any) -> str | None:
        """Return the key of a request whose body is entered with its lock, `None` otherwise."""
        holding = cls.of(request)
        if holding is None or holding._delivery.is_unlocked:
            return None
        return holding._delivery.key

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

    @staticmethod
    def is_around(held: Held) -> bool:
        """Bodies around this one, in this thread, have the key: they cannot end while we wait.

        With several permits they have all of them.
        """
        around = {here._grant.lease.holder for here in _around() if here._grant is not None}
        return around.issuperset(held.in_the_way)

    @property
    def lease(self) -> Lease:
        """The lease. Raises `LockError` when the body runs without one."""
        if self._borrowed is not None:
            return self._borrowed.lease
        if self._grant is None:
            raise LockError(
                f"task {self._delivery.task.name} runs without its lock {self._delivery.key!r}:"
                f" {self._without}"
            )
        return self._grant.lease

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
        """Run within the lease of a body around this one, if that lends its key, and it is ours."""
        key = self._delivery.key
        self._borrowed = next(
            (here for here in _around() if here._lends and here._delivery.key == key), None
        )
        return self._borrowed is not None

    # -- getting it --------------------------------------------------------------------------

    def take(self, *, publication: str, copy_since: str | None) -> Held | None:
        """Claim the key once; `None`: the key is held now.

        `publication`: the message's, which has another name once that was sent again. `copy_since`:
        the claimant may be a copy of a message that was completed since then.
        """
        delivery, bound = self._delivery, self._delivery.bound
        if not self._claims:
            self._holder = holder_of(delivery.request)
        if publication != self._noted and self._noted != _ELSEWHERE:
            self._note(publication)
        self._claims += 1
        claim = Claim(
            key=delivery.key,
            holder=f"{self._holder}{self._claims:x}",
            ttl=bound.ttl,
            at_least=bound.at_least,
            publication=publication,
            copy_since=copy_since,
            heir_of=delivery.heir_of,
            limit=bound.limit,
        )
        self._locker = self._locks.locker
        self._ask = Ask(
            claim,
            delivery.subject,
            bound.ceiling_of(delivery.task, delivery.request, self._locks.time_limit),
            delivery.on_store_error,
            None if self._interrupt is None else self._interrupt.lost,
        )
        got = self._locker.claim(self._ask)
        dead = isinstance(got, Held) and self._dead_run(got)
        if dead:
            self._locker.free_now(delivery.key, dead, delivery.subject)
            return self.take(publication=publication, copy_since=copy_since)
        return self._hold(got)

    def _dead_run(self, held: Held) -> str:
        """Return whose key it is, if that is a run of this very delivery in a process that is dead.

        Where a process dies before Celery's main process has heard that it began, that gives the
        message to the next one, and tells nobody of a death.
        """
        if held.met not in (Met.PUBLICATION, Met.TASK):
            return ""
        it, own = Holder.parse(held.holder), Holder.parse(self._holder)
        delivery, dot, _ = it.nonce.rpartition(".")
        if f"{delivery}{dot}" != own.nonce or it.pid == own.pid or not notes.is_gone(it.pid):
            return ""
        return str(replace(it, nonce=own.nonce))

    def wait(self, seconds: float) -> Held | None:
        """Wait for the key that was claimed, for so long at most; `None`: the key is held now.

        Not for one that is kept for a retry: that needs this very place.
        """
        assert self._locker is not None
        assert self._ask is not None
        got = self._locker.wait(self._ask, seconds, but_for=self._delivery.lets_a_retry_pass)
        return self._hold(got)

    def _hold(self, got: Grant | Held) -> Held | None:
        if isinstance(got, Held):
            return got
        self._grant = got
        return None

    def go_without(self, why: str) -> None:
        """Let the body run without the key."""
        self._without = why

    # -- the body ----------------------------------------------------------------------------

    def _note(self, publication: str) -> None:
        notes.note(self._delivery.task.name, self._holder, self._delivery.key, publication)
        self._noted = publication

    def sends(self) -> None:
        """Note that the message may be on its way again from now on.

        If this process dies, before or after it has the broker's answer, the work of the message
        is still to be done: nobody may say that it was completed.
        """
        if self._noted is not None:
            self._note(_ELSEWHERE)

    def attach(self, publication: str) -> None:
        """Let the request be known as one with this holding: the body is entered now."""
        request = self._delivery.request
        if self._noted == _ELSEWHERE:  # it was not taken, or is a copy of what runs here
            self._note(publication)
        self._info = info = request.delivery_info
        _entered[id(request)] = self
        if info is not None:
            _entered[id(info)] = self

    def run(self, body: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the body, so that it can be interrupted where the lock says so."""
        if self._interrupt is None:
            return body(*args, **kwargs)
        return self._interrupt.run(body, args, kwargs)

    # -- the end of it -----------------------------------------------------------------------

    @property
    def is_held(self) -> bool:
        """There is a key to give back."""
        return self._grant is not None

    def give_back(self, end: End | None) -> Callable[[], None] | None:
        """Give the key back, and leave the request. Never raises of its own.

        Returns what tells the completion, once all that follows the run is out; `None` where no
        release has recorded the end of the run. May be called again when a time limit fell into
        the first call.
        """
        request = self._delivery.request
        _entered.pop(id(request), None)
        _entered.pop(id(self._info), None)
        locker, grant = self._locker, self._grant
        if locker is None:
            return None
        if grant is not None:
            locker.release(grant, end)
            self._grant = None
        elif self._ask is not None:  # something may have fallen in between the grant and us
            locker.abandon(self._ask.claim)
        notes.given_back(self._holder)
        if grant is None or end is None or not end.publication or grant.recorded is False:
            return None
        return partial(locker.told, grant)
