"""How a hold gets its key: what it asks for, whom it meets, and what is raised then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..app.bound import refuse_lack, refuse_long
from ..app.locks import AppLocks
from ..engine.locker import Ask, Locker
from ..engine.stay import Stay, grant_here, new_holder
from ..errors import LockConfigurationError, LockConflict, LockWaitTimeout
from ..events import Conflicted, Subject
from ..model import Claim, Decision, Feature, Held, Holder, Lease
from ..policies import fail, wait
from .which_app import locks_for

__all__ = ["Entry", "Terms"]


@dataclass(frozen=True)
class Terms:
    """What a hold asks for, whatever its key. Times are in seconds."""

    max_wait: float
    ttl: float | None
    at_most: float | None
    limit: int
    app: Any


class Entry:
    """One entry of a block or of a function: with a stay of its own, or within another's."""

    __slots__ = ("_key", "_stay", "_subject", "_terms", "_who", "place")

    def __init__(self, who: str, template: str, terms: Terms) -> None:
        self._who = who
        self._terms = terms
        self._subject = Subject("", "", template)
        self._stay: Stay | None = None
        self.place: object = None

    def enter(self, key: str) -> Lease:
        """Return the lease of `key`: the one that is held here already, or a new one.

        Raises `LockConflict` or `LockWaitTimeout` where somebody else has it, `StoreError` where
        the store gives no answer, `LockConfigurationError` where it is held here with a higher
        limit than this entry's.
        """
        locks = locks_for(self._who, self._terms.app)
        locker = locks.locker
        around = grant_here(key, locker)
        if around is not None:
            self._refuse_wider(around.ask.claim)
            return around.lease
        if self._terms.limit > 1:
            refuse_lack(
                locker.store, Feature.PERMITS, f"{self._who} with limit={self._terms.limit}"
            )
        ask = self._ask(key, locks)
        refuse_long(locker.store, ask.claim.ttl, self._who)
        self._stay = stay = Stay(locker, ask)
        met = stay.claim()
        if met is not None:
            self._wait(locker, stay, met)
        assert stay.lease is not None
        return stay.lease

    def leave(self, *, later: bool = False) -> None:
        """Give back what this entry took. May be called again when something fell into it."""
        if self._stay is not None:
            self._stay.leave(later=later)

    def _refuse_wider(self, around: Claim) -> None:
        """Refuse to enter where more may have the key than this entry lets beside it."""
        if self._terms.limit < around.limit:
            raise LockConfigurationError(
                f"{self._who} with limit={self._terms.limit} stands within a body or a block that"
                f" has the key {around.key!r} with limit={around.limit}, so others may have it too;"
                f" write limit={around.limit}, or a key of its own"
            )

    def _ask(self, key: str, locks: AppLocks) -> Ask:
        terms = self._terms
        ttl = locks.settings.ttl if terms.ttl is None else terms.ttl
        claim = Claim(key, new_holder(), ttl, limit=terms.limit)
        return Ask(claim, self._subject, terms.at_most)

    def _wait(self, locker: Locker, stay: Stay, met: Held) -> None:
        max_wait = self._terms.max_wait
        if not max_wait:
            locker.observers.notify(self._conflicted(met, fail()))
            raise _error(LockConflict, met)
        locker.observers.notify(self._conflicted(met, wait(max_wait)))
        still = stay.wait(max_wait)
        if still is not None:
            locker.observers.notify(self._conflicted(still, fail(), waited_out=True))
            raise _error(LockWaitTimeout, still)

    def _conflicted(
        self, held: Held, decision: Decision, *, waited_out: bool = False
    ) -> Conflicted:
        return Conflicted(
            key=held.key,
            subject=self._subject,
            holder=Holder.parse(held.holder, held.since),
            attempt=1,
            decision=decision,
            expires_in=held.expires_in,
            live=held.live,
            waited_out=waited_out,
            holders=tuple(Holder.parse(one.holder, one.since) for one in held.holders),
        )


def _error(kind: type[LockConflict], held: Held) -> LockConflict:
    holder = Holder.parse(held.holder)
    all_of_them = [Holder.parse(one.holder).who for one in held.holders]
    return kind(held.key, holder.who, held.expires_in, held.state, all_of_them)
