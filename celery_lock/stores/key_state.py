"""What is known of one key: its permits, what was given back, and which claims were undone."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.holder import task_id_of

__all__ = [
    "FREE",
    "Interval",
    "KeyState",
    "Permit",
    "micro",
    "taken_until",
]

Interval = tuple[int, int]
"""Between which two microseconds since 1970 the present moment lies."""


@dataclass(frozen=True)
class Permit:
    """One permit of a key, and its last holder. Times are in microseconds since 1970."""

    slot: int
    holder: str
    token: int
    since: int
    expiry: int
    """When the lease ends; 0: it was given back, freed or undone."""
    publication: str = ""
    limit: int = 1
    """How many leases of the key its holder allows to live at once."""
    floor: int = 0
    """Until when other tasks are kept out by `at_least`."""
    floor_before: int = 0
    """The floor that stood before this claim, should the claim be undone."""
    took_over: tuple[str, int, str] = ("", 0, "")
    """The heir whose lease this claim took over, its expiry, and what it showed as its publication,
    should the claim be undone."""
    released_at: int = 0
    """When the holder gave it back; 0: it did not."""
    released_before: tuple[str, int] = ("", 0)
    """Holder and token of the release before, should that one be sent again."""
    unconfirmed: bool = False
    """A publisher's lease whose message may never have been sent."""

    @property
    def task_id(self) -> str:
        """The task of the holder."""
        return task_id_of(self.holder)

    def free_at(self, lo: int, task_id: str | None = None) -> int:
        """When it is free; not later than `lo`: it is free now. Its own task passes a floor."""
        floor = 0 if task_id == self.task_id else self.floor
        return max(self.expiry if self.expiry > lo else 0, floor if floor > lo else 0)


@dataclass(frozen=True)
class KeyState:
    """All that is known of one key."""

    permits: tuple[Permit, ...] = ()
    """Those that were ever given, in the order of their slots, without gaps."""
    undone: tuple[tuple[str, int], ...] = ()
    """Holders whose claim was undone, each until when it is refused should it still arrive."""

    @property
    def last_token(self) -> int:
        """The highest token that was ever given.

        The permit that has it is forgotten only as a higher one is given.
        """
        return max((permit.token for permit in self.permits), default=0)


FREE = KeyState()
"""Of a key that nobody has ever asked for."""


def taken_until(state: KeyState) -> int:
    """When nothing of the state is of use any more, but for the marks of what was."""
    ends = [max(permit.expiry, permit.floor) for permit in state.permits]
    return max([*ends, *(until for _, until in state.undone)], default=0)


def micro(seconds: float) -> int:
    """Return microseconds."""
    return round(seconds * 1e6)
