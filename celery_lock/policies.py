"""What to do when the key is taken: frozen values, and pure functions of a `Conflict`.

Nothing here acts. A policy is one of these values, or any function of the `Conflict` that
returns one: `lambda c: skip() if c.attempt > 3 else requeue()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from .backoff import Backoff, Duration, exponential, seconds
from .errors import LockConfigurationError, LockError
from .model import Conflict, Decision, OnConflict

__all__ = ["decide", "fail", "is_skipped", "requeue", "skip", "spent", "wait"]


class _Nothing:
    """No result was given."""

    def __repr__(self) -> str:
        return "..."

    def __reduce__(self) -> str:
        return "_NOTHING"  # a copy, and what another process unpickles, is this very one


_NOTHING: Any = _Nothing()


@dataclass(frozen=True)
class fail(Decision):
    """The task fails with `LockConflict`, which names the key and its holder."""


@dataclass(frozen=True)
class skip(Decision):
    """The task completes without running, so that `get()`, chords, chains and links go on.

    Its result is `{"skipped": key, "held_by": task id}`, or `result` if one is given. The next
    task of a chain gets that as its argument; `is_skipped()` tells the first form from others.
    """

    _: KW_ONLY
    result: Any = _NOTHING

    def outcome(self, conflict: Conflict) -> Any:
        """What the task returns."""
        if self.result is _NOTHING:
            return {"skipped": conflict.key, "held_by": conflict.holder.task_id}
        return self.result


@dataclass(frozen=True)
class wait(Decision):
    """Block the pool process for at most `max_wait` seconds, then do `then` (default `fail()`).

    There is no default for `max_wait`: a longer one loses fewer tasks to `then` and keeps the
    process from other work for longer. Above 30 s, or in the solo pool, a warning is given.
    """

    max_wait: Duration
    _: KW_ONLY
    then: Decision = field(default_factory=fail)

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_wait", seconds(self.max_wait, "wait(max_wait)"))
        _check_then(self.then, "wait", (fail, skip, requeue))

    @property
    def limit(self) -> float:
        """`max_wait` in seconds."""
        return seconds(self.max_wait, "max_wait")


@dataclass(frozen=True)
class requeue(Decision):
    """Send the same message again, after a pause; its task id, retries and canvas are untouched.

    There is no order among those who wait, and one message can starve while others pass.
    `max_attempts` bounds how often it is sent again (default: no bound), `max_wait` for how many
    seconds since its first conflict (default: no bound); after that `then` (default `fail()`).
    """

    backoff: Backoff = field(default_factory=exponential)
    _: KW_ONLY
    max_attempts: int | None = None
    max_wait: Duration | None = None
    then: Decision = field(default_factory=fail)

    def __post_init__(self) -> None:
        if not isinstance(self.backoff, Backoff):
            raise LockConfigurationError(
                f"requeue(backoff={self.backoff!r}) is no backoff;"
                " write exponential(first=1, cap=15) or constant(5)"
            )
        attempts = self.max_attempts
        if attempts is not None and (type(attempts) is not int or attempts < 1):
            raise LockConfigurationError(
                f"requeue(max_attempts={attempts!r}) must be a whole number of 1 or more"
            )
        if self.max_wait is not None:
            object.__setattr__(self, "max_wait", seconds(self.max_wait, "requeue(max_wait)"))
        _check_then(self.then, "requeue", (fail, skip, wait))


def _check_then(then: object, of: str, known: tuple[type[Decision], ...]) -> None:
    if isinstance(then, known):
        return
    names = ", ".join(f"{k.__name__}()" for k in known)
    raise LockConfigurationError(f"{of}(then={then!r}) is not possible; write one of {names}")


def spent(decision: requeue, conflict: Conflict) -> bool:
    """True when this conflict may not send the message again any more."""
    if decision.max_attempts is not None and conflict.attempt > decision.max_attempts:
        return True
    if decision.max_wait is None:
        return False
    return conflict.waited >= seconds(decision.max_wait, "max_wait")


def decide(policy: OnConflict, conflict: Conflict) -> Decision:
    """Return the policy's decision; a function that raises or answers nonsense is a `LockError`."""
    if isinstance(policy, Decision):
        return policy
    name = getattr(policy, "__qualname__", repr(policy))
    try:
        decision: object = policy(conflict)
    except Exception as exc:
        raise LockError(
            f"the on_conflict function {name} raised {type(exc).__name__}: {exc}"
            f" for lock {conflict.key!r}"
        ) from exc
    if isinstance(decision, (fail, skip, wait, requeue)):
        return decision
    raise LockError(
        f"the on_conflict function {name} answered {decision!r} for lock {conflict.key!r};"
        " it must return skip(), requeue(), wait(seconds) or fail()"
    )


def is_skipped(result: object) -> bool:
    """True for the result of a task that `skip()` completed without running it."""
    return isinstance(result, Mapping) and set(result) == {"skipped", "held_by"}
