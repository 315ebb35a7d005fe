"""What becomes of a conflict: the policy's decision, and what follows it when that is spent."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import LockConflict, LockWaitTimeout
from ..events import Conflicted, Subject
from ..model import Conflict, Decision, Held, Holder
from ..policies import decide, fail, requeue, skip
from .delivery import Delivery

__all__ = ["Resolution", "resolve", "turn_fact", "verdict_of"]

_TURN = requeue()


@dataclass(frozen=True)
class Resolution:
    """What is to be done about one conflict."""

    decision: Decision
    conflict: Conflict
    waited_out: bool
    """Another decision came to its end before this one, and without the key."""

    def fact(self, subject: Subject) -> Conflicted:
        """Return what observers are told of the resolution."""
        conflict = self.conflict
        return Conflicted(
            key=conflict.key,
            subject=subject,
            holder=conflict.holder,
            attempt=conflict.attempt,
            decision=self.decision,
            expires_in=conflict.expires_in,
            live=conflict.live,
            waited_out=self.waited_out,
            holders=conflict.holders,
        )

    def error(self) -> LockConflict:
        """Return what the task fails with, where that is the decision."""
        conflict = self.conflict
        kind = LockWaitTimeout if self.waited_out else LockConflict
        holders = [one.who for one in conflict.holders]
        holder, expires_in = conflict.holder.who, conflict.expires_in
        return kind(conflict.key, holder, expires_in, conflict.state, holders)

    def failing(self) -> Resolution:
        """Return the resolution for a message for which the decision is not possible."""
        return replace(self, decision=fail())


def resolve(delivery: Delivery, held: Held, *, after: Resolution | None = None) -> Resolution:
    """Return what is to be done about the holder `held`, whom a delivery has met.

    `after`: the resolution of the conflict before. Its decision was carried out in vain, and what
    follows that one comes now. The policy is asked once.
    """
    conflict = delivery.conflict(held)
    if after is None:
        decision: Decision = decide(delivery.bound.on_conflict, conflict)
    else:
        decision = after.decision.after or fail()
    waited_out = after is not None
    while decision.spent(conflict):
        decision, waited_out = decision.after or fail(), True
    return Resolution(decision, conflict, waited_out)


def verdict_of(delivery: Delivery) -> Resolution:
    """Return what the publisher of a delivery's message has found about whom it met.

    The policy is not asked once more: who had the key then has it no longer perhaps.
    """
    header, policy = delivery.header, delivery.bound.on_conflict
    met = header.met or {}
    decision = policy if isinstance(policy, skip) else skip()
    conflict = Conflict(
        key=met.get("key") or delivery.key,
        task=delivery.task.name,
        task_id=delivery.subject.task_id,
        holder=Holder.parse(met.get("by") or ""),
        attempt=1,
        waited=0.0,
        expires_in=met.get("expires_in", 0.0),
        redelivered=False,
        in_canvas=True,
        live=met.get("live", True),
    )
    return Resolution(fail() if header.verdict == "fail" else decision, conflict, waited_out=False)


def turn_fact(delivery: Delivery, held: Held) -> Conflicted:
    """Return what observers are told where a delivery waits its turn: no policy was asked."""
    return Conflicted(
        key=delivery.key,
        subject=delivery.subject,
        holder=Holder.parse(held.holder, held.since),
        attempt=delivery.header.attempt + delivery.header.turns,
        decision=_TURN,
        expires_in=held.expires_in,
        live=held.live,
    )
