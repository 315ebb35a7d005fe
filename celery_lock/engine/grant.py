"""A claim with all that is to happen around it, and the lease that was given for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..errors import StoreError
from ..events import Lost, Observers, StoreFailed, Subject
from ..model import Claim, Completion, End, Lease, LossReason
from .keeper import Kept

__all__ = ["Ask", "Grant", "Reports"]

OnLost = Callable[[LossReason, str | None], None]


class Ask(NamedTuple):
    """A claim, for whom it is made, and what is to happen around it.

    A tuple, since each run makes one: a frozen dataclass takes three times as long to make.
    """

    claim: Claim
    subject: Subject
    at_most: float | None = None
    """Seconds for which a granted lease is renewed; `None`: for as long as it is held."""
    on_error: str = "fail"
    """What the claimant will do about a `StoreError`, for those who are told of it."""
    on_lost: OnLost | None = None
    """Called once if the lease is lost, before anybody else is told: an observer may be slow."""


class Reports:
    """What the observers hear of one store."""

    def __init__(self, observers: Observers, url: str) -> None:
        self.observers = observers
        self._url = url

    def failed(
        self, key: str, subject: Subject, call: str, error: StoreError, on_error: str
    ) -> None:
        """Let the observers know of a call that got no answer, and what is done about it."""
        self.observers.notify(
            StoreFailed(
                key=key,
                subject=subject,
                url=self._url,
                call=call,
                error=str(error),
                answer=on_error,
            )
        )


class Grant(Kept):
    """A lease, and the ask that it answers."""

    __slots__ = ("ask", "end", "is_told", "recorded", "reports", "sent")

    def __init__(self, reports: Reports, lease: Lease, ask: Ask, ttl: float, sent: float) -> None:
        super().__init__(lease, ttl)
        self.reports = reports
        self.ask = ask
        self.sent = sent
        """When the claim was sent, by the locker's clock."""
        self.end: End | None = None
        """What the release does besides, once there was one."""
        self.recorded: bool | None = None
        """The release has recorded the end of the run; `None`: it has had no answer yet."""
        self.is_told = False
        """All that follows the run is out."""

    def lost(self, reason: LossReason) -> None:
        """Let the claimant know, and then the observers."""
        lease, ask = self.lease, self.ask
        try:
            if ask.on_lost is not None:
                ask.on_lost(reason, lease.by)
        finally:  # where a test moves the keeper on in the body's own thread, that has raised
            self.reports.observers.notify(
                Lost(
                    key=lease.key,
                    subject=ask.subject,
                    holder=lease.holder,
                    token=lease.known_token,
                    reason=reason,
                    by=lease.by,
                    slot=self.slot,
                )
            )

    def failed(self, error: StoreError) -> None:
        """Let the observers know."""
        self.reports.failed(self.ask.claim.key, self.ask.subject, "renew", error, "retry")

    @property
    def slot(self) -> int | None:
        """Which permit of the key it is; `None`: its lock has one."""
        return self.lease.slot if self.ask.claim.limit > 1 else None

    @property
    def completion(self) -> Completion | None:
        """The completion that is to be told by now; `None`: there is none, or not yet.

        While the release has no answer there may be a record. Where there is one in any case it
        is told now: what is told stays so, whatever comes of the release.
        """
        end = self.end
        if end is None or not end.publication or not self.is_told:
            return None
        if (self.recorded is None and end.if_met) or self.recorded is False:
            return None
        return Completion(self.lease.key, end.publication, end.remember)
