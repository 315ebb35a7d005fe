"""Several keys of one claimant: claimed together or not at all, waited for, and given back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import count

from ..errors import StoreError, StoreUnavailable
from ..events import Acquired, Observers, Subject
from ..model import Claim, End, Feature, Held, Lease, Met, Refused, Release
from ..model.clock import Clock
from .breaker import Breaker
from .grant import Ask, Grant, Reports
from .keeper import Keeper
from .pending_calls import PendingCalls

__all__ = ["AGAIN", "LOOK_AGAIN", "Several"]

LOOK_AGAIN = 1.0
"""Seconds after which a waiter asks again though nobody woke it."""

AGAIN = "-"
"""What stands behind a holder, before the number of a claim that was made once more."""

_POLLS = tuple(min(0.5, 0.02 * 1.5**number) for number in range(9))
"""Seconds between the polls of a waiter whose store has no watch; the last one for ever."""


class Several(ABC):
    """What a locker does with several keys at once; it has the same for one."""

    store: Breaker
    observers: Observers
    keeper: Keeper
    pending: PendingCalls
    _reports: Reports
    _clock: Clock
    _pause: Callable[[float], None]

    # -- claiming ----------------------------------------------------------------------------

    def claim_all(self, asks: Sequence[Ask], *, waited: float = 0.0) -> list[Grant] | Refused:
        """Claim all these keys once, each of which is named once. Granted leases are renewed.

        Nobody can tell that a key was claimed where another one was refused.
        """
        if len(asks) == 1:
            got = self.claim(asks[0], waited=waited)
            return Refused(0, got) if isinstance(got, Held) else [got]
        asked, claims = [], []  # each run comes by: loops take fewer steps than lists of each
        for ask in asks:
            asked.append(capped := ask if ask.at_most is None else self._capped(ask))
            claims.append(capped.claim)
        sent = self._clock()
        try:
            answer = self.acquire_all(claims)
            if not isinstance(answer, Refused):
                now = self._clock()
                grants = []
                for at, lease in enumerate(answer):
                    ask = asked[at]
                    if now >= lease.arm(self._clock, sent, ask.claim.ttl, ask.at_most):
                        self._refuse_late(lease, ask.claim, now)
                    grants.append(Grant(self._reports, lease, ask, asks[at].claim.ttl, sent))
                for grant in grants:
                    self.keeper.keep(grant, now)
                    if not self.observers.only_counted(Acquired, grant.ask.subject):
                        self._notify_grant(grant, waited)
                return grants
        except StoreError as error:
            # they may have been granted all the same: a key that nobody knows of is given back
            if error.asked:
                self._undo(*claims)
            first = asks[0]
            self._reports.failed(claims[0].key, first.subject, "acquire", error, first.on_error)
            raise
        except BaseException:
            # a time limit, a shutdown or Ctrl-C fell into the call
            self._undo(*claims)
            raise
        self._leave_heirs(asks, answer)
        return answer

    def acquire_all(self, claims: Sequence[Claim]) -> list[Lease] | Refused:
        """Make these claims, all or none, without anything around it. Raises `StoreError`."""
        if len(claims) > 1 and Feature.SEVERAL in self.store.features:
            return self.store.acquire_all(claims)
        leases: list[Lease] = []
        for at, claim in enumerate(claims):
            began = self._clock()
            try:
                got = self.store.acquire(claim)
            except StoreError as error:
                self.store.failed(error, claim.key, began)
                error.asked = error.asked or bool(leases)
                raise
            if isinstance(got, Held):
                for earlier in claims[:at]:
                    self.store.undo(earlier)
                return Refused(at, got)
            leases.append(got)
        return leases

    def _leave_heirs(self, asks: Sequence[Ask], refused: Refused) -> None:
        """Give up what is kept for this message where one of its leases has lapsed.

        It claims all keys anew from now on. If it went on keeping some, two messages of which each
        has lapsed elsewhere would keep each other out.
        """
        lapsed = asks[refused.index].claim.heir_of
        if not lapsed or refused.held.met not in (Met.OTHER, Met.UNCONFIRMED):
            return
        for at, ask in enumerate(asks):
            claim = ask.claim
            if at == refused.index or not claim.heir_of:
                continue
            try:
                self.free_now(claim.key, claim.heir_of, ask.subject)
            except StoreError:
                free = partial(self.free_now, claim.key, claim.heir_of, ask.subject)
                self.pending.add(free, for_=claim.ttl)

    def wait_all(
        self,
        asks: Sequence[Ask],
        max_wait: float,
        *,
        but_for: Callable[[Held], bool] = lambda held: False,
    ) -> list[Grant] | Refused:
        """Claim until all keys are given, for at most `max_wait` seconds; blocks the caller.

        `but_for`: tells of a holder for whom the caller does not wait here.

        Woken by the store where it has a watch. Claims again when the holder's lease would run
        out, and once a second: a wake-up is a hint that may be lost, and so is a watch.
        """
        began = self._clock()
        watches = Feature.WATCH in self.store.features
        asks = [ask._replace(claim=replace(ask.claim, watching=watches)) for ask in asks]
        undone = len(asks) > 1 and Feature.SEVERAL not in self.store.features
        for number in count(1):
            asked = [_again(ask, number) for ask in asks] if undone else asks
            got = self.claim_all(asked, waited=self._clock() - began)
            if isinstance(got, list):
                return got
            held, left = got.held, began + max_wait - self._clock()
            if held.done or left <= 0 or but_for(held):
                return got
            nap = min(left, max(held.expires_in, 0.001), LOOK_AGAIN)
            if not (watches and self._is_watched(held.key, nap)):
                self._pause(min(nap, _POLLS[min(number, len(_POLLS)) - 1]))
        raise AssertionError("count() does not end")

    def _is_watched(self, key: str, seconds: float) -> bool:
        """Watch a key; `False`: its connection broke, and the next claim says what is wrong."""
        try:
            self.store.watch(key, seconds)
        except StoreUnavailable:
            return False
        return True

    # -- giving back -------------------------------------------------------------------------

    def release_all(self, releases: Sequence[tuple[Grant, End | None]]) -> None:
        """Give keys back, in one round trip where the store can. Never raises, as `release`."""
        if len(releases) == 1:
            self.release(*releases[0])
            return
        now = self._clock()
        left, gives = [], []
        for grant, end in releases:
            held_on = self._leave(grant, end, now)
            if held_on is not None:
                left.append((grant, held_on))
                gives.append((grant.lease, end))
        try:
            answers = self.give_back_all(gives)
        except BaseException:  # a time limit or a shutdown fell into the call
            for grant, _ in left:
                self.pending.add(partial(self._give_back, grant), for_=grant.ask.claim.ttl)
            raise
        unanswered = ""
        for (grant, held_on), answer in zip(left, answers, strict=True):
            if isinstance(answer, StoreError):
                # one call is one fact
                self._try_again(grant, answer, notify=not unanswered)
                unanswered = grant.lease.key
            else:
                self._answered(grant, answer)
                self._notify_release(grant, now, answer.in_time and held_on)

    def give_back_all(
        self, releases: Sequence[tuple[Lease, End | None]]
    ) -> list[Release | StoreError]:
        if len(releases) > 1 and Feature.SEVERAL in self.store.features:
            return self.store.release_all(releases)
        answers: list[Release | StoreError] = []
        for lease, end in releases:
            began = self._clock()
            try:
                answers.append(self.store.release(lease, end))
            except StoreError as error:
                self.store.failed(error, lease.key, began)
                answers.append(error)
        return answers

    # -- what a locker does with one ---------------------------------------------------------

    @abstractmethod
    def claim(self, ask: Ask, *, waited: float = 0.0) -> Grant | Held:
        """Claim one key once."""

    @abstractmethod
    def release(self, grant: Grant, end: End | None = None) -> None:
        """Give one key back."""

    @abstractmethod
    def free_now(self, key: str, holder: str, subject: Subject) -> None:
        """End the lease of a holder that is dead, or of a message that claims anew."""

    @abstractmethod
    def _capped(self, ask: Ask) -> Ask: ...

    @abstractmethod
    def _refuse_late(self, lease: Lease, claim: Claim, now: float) -> None: ...

    @abstractmethod
    def _notify_grant(self, grant: Grant, waited: float) -> None: ...

    @abstractmethod
    def _undo(self, *claims: Claim) -> None: ...

    @abstractmethod
    def _leave(self, grant: Grant, end: End | None, now: float) -> bool | None: ...

    @abstractmethod
    def _give_back(self, grant: Grant) -> bool: ...

    @abstractmethod
    def _answered(self, grant: Grant, answer: Release) -> None: ...

    @abstractmethod
    def _try_again(self, grant: Grant, error: StoreError, *, notify: bool = True) -> None: ...

    @abstractmethod
    def _notify_release(self, grant: Grant, now: float, in_time: bool) -> None: ...


def _again(ask: Ask, number: int) -> Ask:
    """Return an ask as a claim of its own: where the one before was undone its holder gets nothing
    any more."""
    claim = ask.claim
    return ask._replace(claim=replace(claim, holder=f"{claim.holder}{AGAIN}{number:x}"))
