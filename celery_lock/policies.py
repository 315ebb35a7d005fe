"""What to do when the key is taken: frozen values, and pure functions of a `Conflict`.

Nothing here acts. A policy is one of these values, or any function of the `Conflict` that
returns one: `lambda c: skip() if c.attempt > 3 else requeue()`. Each says of itself what others
have to know of it (see `Decision`), and `KINDS` is the one list of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from .backoff import Backoff, Duration, exponential, seconds
from .declaring import answers_wrong_calls
from .errors import LockConfigurationError, LockError, duration
from .model import Conflict, Decision, OnConflict, Scope, written

__all__ = [
    "KINDS",
    "decide",
    "default_for",
    "fail",
    "is_skipped",
    "outcomes",
    "requeue",
    "skip",
    "wait",
]


class _Nothing:
    """No result was given."""

    def __repr__(self) -> str:
        return "..."

    def __reduce__(self) -> str:
        return "_NOTHING"  # a copy, and what another process unpickles, is this very one


_NOTHING: Any = _Nothing()

_ELSEWHERE = {
    "countdown": "here it is requeue(constant(5))",
    "delay": "here it is requeue(constant(5))",
    "max_retries": "here it is requeue(max_attempts=3)",
    "retries": "here it is requeue(max_attempts=3)",
    "timeout": "here it is wait(10), or requeue(max_wait=60)",
    "blocking_timeout": "here it is wait(10)",
    "seconds": "here it is wait(10)",
    "on_timeout": "here it is then",
    "otherwise": "here it is then",
    "value": "here it is skip(result=...)",
    "ttl": "it belongs to the lock: Lock(ttl=...)",
}


@answers_wrong_calls("fail()", elsewhere=_ELSEWHERE)
@dataclass(frozen=True)
class fail(Decision):
    """The task fails with `LockConflict`, which names the key and its holder."""

    word = "fail"
    written = "fail()"

    @property
    def says(self) -> str:
        return "fails with LockConflict"

    @property
    def says_at_last(self) -> str:
        return "fails with LockWaitTimeout"


@answers_wrong_calls("skip(), or skip(result=...)", elsewhere=_ELSEWHERE)
@dataclass(frozen=True)
class skip(Decision):
    """The task completes without running, so that `get()`, chords, chains and links go on.

    Its result is `{"skipped": key, "held_by": task id}`, or `result` if one is given. The next
    task of a chain gets that as its argument; `is_skipped()` tells the first form from others.
    """

    word = "skip"
    written = "skip()"

    _: KW_ONLY
    result: Any = _NOTHING

    @property
    def says(self) -> str:
        return "skipped, will not run"

    def outcome(self, conflict: Conflict) -> Any:
        """What the task returns."""
        if self.result is _NOTHING:
            return {"skipped": conflict.key, "held_by": conflict.holder.task_id}
        return self.result


@answers_wrong_calls("wait(10)", elsewhere=_ELSEWHERE)
@dataclass(frozen=True)
class wait(Decision):
    """Block the pool process for at most `max_wait` seconds, then do `then` (default `fail()`).

    There is no default for `max_wait`: a longer one loses fewer tasks to `then` and keeps the
    process from other work for longer. Above 30 s, or in the solo pool, a warning is given.
    """

    word = "wait"
    written = "wait(seconds)"
    repeats = True

    max_wait: Duration
    _: KW_ONLY
    then: Decision = field(default_factory=fail)

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_wait", seconds(self.max_wait, "wait(max_wait)"))
        _check_then(self)

    @property
    def says(self) -> str:
        return f"waits here for up to {duration(self.blocks)}"

    @property
    def blocks(self) -> float:
        return seconds(self.max_wait, "max_wait")


@answers_wrong_calls(
    "requeue(), or requeue(exponential(first=1, cap=15), max_attempts=3)", elsewhere=_ELSEWHERE
)
@dataclass(frozen=True)
class requeue(Decision):
    """Send the same message again, after a pause; its task id, retries and canvas are untouched.

    There is no order among those who wait, and one message can starve while others pass.
    `max_attempts` bounds how often it is sent again (default: no bound), `max_wait` for how many
    seconds since its first conflict (default: no bound); after that `then` (default `fail()`).
    """

    word = "requeue"
    written = "requeue()"
    repeats = True
    sends = True

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
        _check_then(self)

    @property
    def says(self) -> str:
        return "sent again to run later"

    @property
    def bounded(self) -> bool:
        return self.max_attempts is not None or self.max_wait is not None

    def spent(self, conflict: Conflict) -> bool:
        if self.max_attempts is not None and conflict.attempt > self.max_attempts:
            return True
        if self.max_wait is None:
            return False
        return conflict.waited >= seconds(self.max_wait, "max_wait")


KINDS: tuple[type[Decision], ...] = (skip, requeue, wait, fail)
"""All kinds of decision. One more is a class above, its place here, and its branch in the run."""

Decision.kinds = KINDS  # a Lock that is given no policy names them, and cannot import this file


def _check_then(decision: Decision) -> None:
    """Refuse what cannot follow: only a decision of another kind leads on."""
    others = [kind for kind in KINDS if not isinstance(decision, kind)]
    if isinstance(decision.after, tuple(others)):
        return
    others.sort(key=lambda kind: kind is not fail)  # the default comes first
    then: object = decision.after
    why = ""
    if isinstance(then, type) and issubclass(then, Decision):
        why = f": {then.__name__} is the name of a policy, not a policy"
    elif callable(then):
        why = ": what comes then is one decision, and no function decides it"
    raise LockConfigurationError(
        f"{decision.word}(then={then!r}) is not possible{why};"
        f" write one of {', '.join(kind.written for kind in others)}"
    )


def default_for(scope: Scope, setting: OnConflict | None) -> OnConflict:
    """Return the policy of a lock that declares none; `setting`: that of the app, if there is one.

    The setting is for scopes that a worker takes. Where the publisher takes the lease a duplicate
    is not even queued, and nothing waits for the key by way of a setting.
    """
    return skip() if scope.is_publishers else setting or requeue()


def outcomes(policy: OnConflict) -> Iterator[Decision]:
    """Yield all decisions that a policy can come to, in turn; none where a function decides."""
    decision = policy if isinstance(policy, Decision) else None
    while decision is not None:
        yield decision
        decision = decision.after if decision.bounded else None


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
    if isinstance(decision, KINDS):
        return decision
    raise LockError(
        f"the on_conflict function {name} answered {decision!r} for lock {conflict.key!r};"
        f" it must return {written(KINDS)}"
    )


def is_skipped(result: object) -> bool:
    """True for the result of a task that `skip()` completed without running it."""
    return isinstance(result, Mapping) and set(result) == {"skipped", "held_by"}
