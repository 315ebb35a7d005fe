"""The leases of a publisher: taken before a message is sent, left to the message, or undone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ..errors import StoreError
from ..events import Subject
from ..model import Claim, End, Held, Lease, Met, Refused, Release
from .grant import Reports
from .locker import Locker

__all__ = ["PublishersLeases"]


class PublishersLeases:
    """What one publish has of its keys, until the message has it.

    Nothing renews it: a send that takes longer than the ttl leaves the key free, and the message
    asks for it on its worker.
    """

    __slots__ = ("_claims", "_leases", "_locker", "_subject", "store")

    def __init__(self, locker: Locker, subject: Subject, claims: Sequence[Claim]) -> None:
        """`claims`: one for each name, in the order of the names."""
        self._locker = locker
        self._subject = subject
        self._claims = claims
        self._leases: Sequence[Lease] = ()
        self.store = ""
        """The random id of the store that was asked."""

    def take(self, on_error: str) -> tuple[Claim, Held] | None:
        """Claim all, or say which claim met whom; `None`: all are held now.

        `on_error`: what is done where the store gives no answer, for those who are told. Raises
        `StoreError` then; what may have been granted is given back.
        """
        is_asked = False
        try:
            self.store = self._locker.store_id.get()
            is_asked = True
            met = self._claim()
            if met is not None and self._may_be_on_its_way(met[1]):
                return self._claim()
            return met
        except StoreError as error:
            if is_asked and error.asked:
                self._undo_soon()
            self._failed("acquire", error, on_error)
            raise
        except BaseException:  # a time limit, a shutdown or Ctrl-C fell into the call
            self._undo_soon()
            raise

    def _claim(self) -> tuple[Claim, Held] | None:
        answer = self._locker.acquire_all(self._claims)
        if isinstance(answer, Refused):
            return self._claims[answer.index], answer.held
        self._leases = answer
        return None

    def _may_be_on_its_way(self, held: Held) -> bool:
        """Who was met has not confirmed; or has, on another connection, and the store comes to it
        only now: nobody waits for that. A claim that is made once more finds it."""
        if not hasattr(self._locker.store, "release_unheard"):
            return False
        return held.met is Met.UNCONFIRMED or any(one.unconfirmed for one in held.holders)

    def leave(self, ends: Sequence[End]) -> None:
        """Leave all to the message, which is sent. Raises nothing of its own.

        `ends`: what is said of each of them. Where the store gives no answer it is asked again in
        the background, for as long as a lease lives that nobody renews.

        A store that need not be waited for is not: its answer changes nothing for the caller.
        """
        left = list(zip(self._leases, ends, strict=True))
        try:
            answers = self._release(left)
        except BaseException:  # it is sent all the same
            self._leave_soon(left)
            raise
        if not answers:  # nobody waits for them
            return
        unknown = [at for at, answer in enumerate(answers) if isinstance(answer, StoreError)]
        if unknown:
            self._leave_soon([left[at] for at in unknown])
            error = answers[unknown[0]]
            assert isinstance(error, StoreError)
            self._failed("confirm", error, "retry")

    def _release(self, left: Sequence[tuple[Lease, End | None]]) -> Sequence[Release | StoreError]:
        store = self._locker.store
        unheard = getattr(store, "release_unheard", None) if len(left) == 1 else None
        if unheard is None:
            return self._locker.give_back_all(left)
        [(lease, end)], began = left, store.now()
        try:
            unheard(lease, end, partial(self._heard, left))
        except StoreError as error:
            store.failed(error, lease.key, began)
            return [error]
        return ()

    def _heard(self, left: Sequence[tuple[Lease, End | None]], error: StoreError) -> None:
        """Leave them once more. Who hears of it is about to make another call: so observers, which
        may be slow, are told on the way of that."""
        fail = partial(self._failed, "confirm", error, "retry")
        self._locker.pending.add(fail, for_=self._claims[0].ttl)
        self._leave_soon(left)

    def _leave_soon(self, left: Sequence[tuple[Lease, End | None]]) -> None:
        for lease, end in left:
            leave = partial(self._locker.store.release, lease, end)
            self._locker.pending.add(leave, for_=self._claims[0].ttl)

    def undo(self) -> None:
        """Give all back as if they had never been claimed: nothing is sent. Raises nothing of its
        own."""
        try:
            for claim in self._claims:
                self._undo(claim)
        except BaseException:
            self._undo_soon()
            raise

    def _undo(self, claim: Claim) -> None:
        try:
            self._locker.store.undo(claim)
        except StoreError:
            self._locker.pending.add(partial(self._locker.store.undo, claim), for_=claim.ttl)

    def _undo_soon(self) -> None:
        for claim in self._claims:
            self._locker.pending.add(partial(self._locker.store.undo, claim), for_=claim.ttl)

    def _failed(self, call: str, error: StoreError, answer: str) -> None:
        reports = Reports(self._locker.observers, self._locker.store.url)
        reports.failed(self._claims[0].key, self._subject, call, error, answer)
