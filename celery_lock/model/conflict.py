"""What a policy is shown: the conflict that it is to decide about."""

from __future__ import annotations

from dataclasses import dataclass

from .holder import Holder

__all__ = ["Conflict", "state_of"]


@dataclass(frozen=True)
class Conflict:
    """A claim met a holder. A policy looks at this and answers with a decision."""

    key: str
    """What was asked for."""
    task: str
    """The name of the task that asked."""
    task_id: str
    """The id of the task that asked."""
    holder: Holder
    """Who has the key, or had it last while `at_least` keeps it taken. With several permits the one
    whose permit comes free first."""
    attempt: int
    """How often this message has met a conflict, this one included: 1 at the first."""
    waited: float
    """Seconds since its first conflict, by the store's clock: 0 at the first."""
    expires_in: float
    """Seconds until the key, or its first permit, is free if its holder is never heard of
    again."""
    redelivered: bool
    """The broker says that this message was delivered before."""
    in_canvas: bool
    """The task belongs to a chain, group or chord, or has a callback: somebody waits for it."""
    live: bool = True
    """The holder has a lease, or the key is kept for its retry; `False`: that has ended, and only
    `at_least` keeps the key taken."""
    holders: tuple[Holder, ...] = ()
    """All who have a permit of the key, or had it last while `at_least` keeps it taken, in the
    order of their slots; `holder` is one of them."""

    @property
    def state(self) -> str:
        """What keeps the key taken, in one word: `held`, `at_least`, `queued` or `retry`."""
        return state_of(self.holder, live=self.live)


def state_of(holder: Holder, *, live: bool) -> str:
    """Say what keeps a key taken, in one word; `live`: its holder has a lease."""
    if not live:
        return "at_least"
    return {None: "held", 0: "queued"}.get(holder.retry_no, "retry")
