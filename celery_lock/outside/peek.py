"""Who has a key, asked in code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import LockConfigurationError, taken
from ..events.plain_text import moment
from ..keys import FinishedKey, check_key, read_template
from ..model import Holder
from .which_app import locks_for

__all__ = ["Taken", "peek"]


@dataclass(frozen=True)
class Taken:
    """Who had a key at the moment of the question. `str()` of it says so in words."""

    key: str
    """What was asked about."""
    holder: Holder
    """Who has it: `task_id`, `node`, `pid`, `since` and `is_hold`. While `at_least` keeps it taken,
    who had it last; with several permits the one whose permit comes free first."""
    holders: tuple[Holder, ...]
    """All who have a permit, in the order of their slots; `holder` is one of them."""
    state: str
    """What keeps the key taken, in one word: `held`, `at_least`, `queued`, `retry`, or
    `unconfirmed` for a message that is being sent."""
    since: float
    """When the holder took it, in seconds since 1970 by the store's clock."""
    held_for: float
    """Seconds from then to the question."""
    expires_in: float
    """Seconds until the key, or its first permit, is free if its holder is never heard of again."""

    def __str__(self) -> str:
        holders = [one.who for one in self.holders]
        said = taken(self.state, self.holder.who, self.expires_in, holders=holders)
        return f"lock {self.key!r} is {said}, since {moment(self.since)}"


def peek(key: str, app: Any = None) -> Taken | None:
    """Return who has `key` at this moment; `None`: it is free. Changes nothing.

    Args:
        key: a finished key, as `task.key_of(...)`, logs and events show it.
        app: the Celery app whose locks are meant; default: that of the task that runs here, else
            the current one.

    The answer is news of the past as soon as it is here: whoever wants the key claims it.
    Raises `StoreError` where the store gives no answer.
    """
    check_key(key)
    held = locks_for(f"peek({key!r})", app).locker.store.peek(key)
    if held is None:
        _refuse_template(key)
        return None
    holder = Holder.parse(held.holder, held.since)
    holders = tuple(Holder.parse(one.holder, one.since) for one in held.holders) or (holder,)
    held_for = max(0.0, held.now - held.since)
    return Taken(key, holder, holders, held.state, held.since, held_for, held.expires_in)


def _refuse_template(key: str) -> None:
    """Raise `LockConfigurationError` for a template: as a key it would be free for ever."""
    if isinstance(key, FinishedKey) or "{" not in key:
        return
    try:
        fields, _ = read_template(key)
    except LockConfigurationError:
        return
    if fields and all(field.isidentifier() for field in fields):
        raise LockConfigurationError(
            f"peek({key!r}) takes a finished key, and this is a template; write"
            " peek(task.key_of(...)), with the arguments of the call"
        )
