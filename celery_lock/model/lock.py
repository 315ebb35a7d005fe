"""The declaration that a task's author writes: frozen, checked once, does nothing itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, get_args

from ..backoff import Duration, seconds
from ..declaring import Declared, WrongCall, answers_wrong_calls
from ..errors import LockConfigurationError
from ..keys import check_declared_key
from .decision import OnConflict, checked_policy
from .limit import checked_limit
from .scope import Scope, checked_scope

__all__ = ["Lock", "OnStoreError", "Scope", "checked_on_store_error"]

OnStoreError = Literal["requeue", "run", "fail"]
"""What is done when the store gives no answer: the message is sent again, the body runs without a
lock, or the task fails."""
Key = str | Callable[..., str] | None
"""A template such as `"order:{order_id}"`, a function of the task's own parameters that returns a
string, or `None`: the task's name and all its arguments."""


_ELSEWHERE = {
    "timeout": "which other libraries use for the lifetime: here ttl is how long an"
    " unrenewed lease lives, and wait(max_wait) how long somebody waits",
    "expire": "here it is ttl",
    "expires": "here it is ttl",
    "expiry": "here it is ttl",
    "lock_expiry": "here a lease is renewed while its task runs; queue_ttl is how long the key is"
    " kept for a message that nobody runs yet",
    "lock_ttl": "here it is ttl",
    "lifetime": "here it is ttl",
    "name": "here it is key",
    "keys": "here it is a template: key='order:{order_id}'",
    "unique_on": "here it is a template: key='order:{order_id}'",
    "fields": "here they stand in the template: key='order:{order_id}'",
    "blocking": "here it is on_conflict=wait(max_wait)",
    "blocking_timeout": "here it is on_conflict=wait(max_wait)",
    "max_wait": "here it is on_conflict=wait(max_wait)",
    "raise_on_duplicate": "here it is on_conflict=fail()",
    "graceful": "here it is on_conflict=skip()",
    "policy": "here it is on_conflict",
    "permits": "here it is limit",
    "slots": "here it is limit",
    "concurrency": "here it is limit",
    "max_concurrency": "here it is limit",
    "max_concurrent": "here it is limit",
    "max_leases": "here it is limit",
    "auto_renewal": "a lease is renewed in any case; at_most bounds it",
    "store": "it belongs to the app: app.conf.lock_store",
    "redis": "the store belongs to the app: app.conf.lock_store",
    "deadline": "it belongs to the app: app.conf.lock_store_deadline",
}
"""What words of other libraries are called here."""


@answers_wrong_calls('Lock("order:{order_id}", ttl=30, on_conflict=skip())', elsewhere=_ELSEWHERE)
@dataclass(frozen=True)
class Lock(Declared):
    """At most one task at a time for the same key, or `limit`, over all workers on all machines.

    Raises `LockConfigurationError` where it is written if a value makes no sense.

    A lease is not a guarantee against a holder that was paused past it (see `Lease.token`), and
    it does not make a body run exactly once: one that dies half-way runs again.
    """

    key: Key = None
    """What is protected. `None`: the task's name and all its arguments. A template such as
    `"order:{order_id}"`, with the task's own parameters as fields; or a function with the
    task's parameters that returns a string. A narrower key lets more run side by side."""
    _: KW_ONLY
    scope: Scope | str = Scope.WHILE_RUNNING
    """Between which moments the lease is held."""
    ttl: Duration | None = None
    """Seconds that a lease lives when nobody renews it; default: the setting `lock_ttl` (30).
    Renewed every third of it while the body runs, so it does not bound the body. Longer: a lost
    machine blocks the key for longer. Shorter: a slow network loses leases; below 5 s is unsafe."""
    at_least: Duration | None = None
    """Seconds from the acquire on during which no other task gets the key, however quick the
    body is. Default 0. Absorbs schedules that fire the same job a little apart; longer delays
    the next real run."""
    at_least_on_failure: bool = True
    """Whether `at_least` counts for a run that has failed too, or was killed. `False`: only a
    success keeps the key taken, so that the next task may try again at once after a failure: "one
    successful run an hour"."""
    at_most: Duration | None = None
    """Seconds from the acquire on after which the lease is no longer renewed and so is lost,
    though the body may go on. Default: the task's hard time limit and 10 s, where it has one.
    Shorter frees the key of a hung body sooner, and cuts the protection of a slow one."""
    limit: int = 1
    """How many may hold the key at once, from 1 to 256. Each has a permit with a number of its own,
    `lease.slot`. With claims of several limits the smallest one of all that hold the key counts."""
    on_conflict: OnConflict | None = None
    """What is done when the key is taken: `requeue()`, `skip()`, `wait(10)`, `fail()`, or a
    function of the `Conflict` that returns one of them. Default: the setting
    `lock_on_conflict`, else `requeue()`; with `UNTIL_STARTED` and `UNTIL_FINISHED` it is `skip()`,
    so that a duplicate is not even queued."""
    on_store_error: OnStoreError | None = None
    """What is done when the store gives no answer: `"requeue"` sends the message again,
    `"run"` runs without a lock, `"fail"` fails the task. Default: the setting
    `lock_on_store_error`, else `"requeue"`."""
    queue_ttl: Duration | None = None
    """Seconds that the key is kept at most for a message that nobody runs yet: a retry with
    `ACROSS_RETRIES`, and each message with `UNTIL_STARTED` and `UNTIL_FINISHED`, counted from its
    eta where it has one. Default: a day, or until the task expires. It has to be longer than a
    pause before a retry and the wait in the queue. Longer still: a message that is lost (a purged
    queue) blocks the key for longer. Shorter: another task may come in between."""
    on_lost: Literal["flag", "interrupt"] = "flag"
    """What is done to the body when its lease is lost, besides the event and the log line.
    `"flag"` sets `lease.lost` and makes `lease.check()` raise: nothing is cut in two, and a body
    that does not ask goes on without its key. `"interrupt"` raises `LeaseLost` in the body as
    well, once, at any point of it: it stops sooner, and must bear to be stopped anywhere."""

    def _instead(self) -> str:
        key = repr(self.key) if isinstance(self.key, str) else "'user:{user_id}'"
        fields = ", fields={...}" if "{" in key else ""
        return (
            "write @app.task(base=LockedTask, lock=Lock(...)), and the worker takes it around the"
            f" body; outside a task write with hold({key}{fields}, max_wait=2), or"
            f" @hold({key}, max_wait=2) above a function"
        )

    def __getattr__(self, name: str) -> Any:
        if name in _OF_A_LOCK_OBJECT:
            raise _NoSuchMethod(str(self._refused(f"a Lock has no {name}()")))
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __set_name__(self, owner: type, name: str) -> None:
        _warn_if_unread(owner)

    def __post_init__(self) -> None:
        put = object.__setattr__
        if isinstance(self.key, Declared):
            raise LockConfigurationError(
                f"key={self.key!r} is a Lock and no key; write Lock('order:{{order_id}}')"
            )
        check_declared_key(self.key)
        scope = checked_scope(self.scope)
        put(self, "scope", scope)
        for name in ("ttl", "at_least", "at_most", "queue_ttl"):
            value = getattr(self, name)
            if value is not None:
                put(self, name, seconds(value, f"Lock({name})"))
        put(self, "limit", checked_limit(self.limit, "Lock(limit)"))
        _check_floor(self.at_least, self.at_least_on_failure)
        if self.queue_ttl is not None and not scope.queues:
            raise LockConfigurationError(
                f"Lock(queue_ttl={self.queue_ttl:g}) is how long a key is kept for a message that"
                f" nobody runs yet, but with Scope.{scope.name} nothing is kept then; write"
                f" {_QUEUEING}, or leave queue_ttl out"
            )
        if scope is Scope.UNTIL_STARTED:
            self._refuse_times_of_a_body()
        if self.at_least is not None and self.at_most is not None:
            floor, ceiling = seconds(self.at_least, "at_least"), seconds(self.at_most, "at_most")
            if ceiling < floor:
                raise LockConfigurationError(
                    f"Lock(at_most={ceiling:g}) is below at_least={floor:g}:"
                    " the ceiling of the time a key stays taken must not be under its floor"
                )
        if self.on_conflict is not None:
            checked_policy(self.on_conflict, "on_conflict")
        if self.on_store_error is not None:
            checked_on_store_error(self.on_store_error, "on_store_error")
        if self.on_lost not in ("flag", "interrupt"):
            raise LockConfigurationError(
                f"Lock(on_lost={self.on_lost!r}) is not known; write 'flag' or 'interrupt'"
            )

    def _refuse_times_of_a_body(self) -> None:
        """Refuse what counts while a body runs, where the key is given back before it."""
        for name in ("at_least", "at_most"):
            value = getattr(self, name)
            if value is not None:
                raise LockConfigurationError(
                    f"Lock({name}={value:g}) counts from the start of the body on, but with"
                    " Scope.UNTIL_STARTED the key is given back there; write"
                    f" scope=Scope.UNTIL_FINISHED, or leave {name} out"
                )


_QUEUEING = "scope=Scope.ACROSS_RETRIES, Scope.UNTIL_STARTED or Scope.UNTIL_FINISHED"


class _NoSuchMethod(WrongCall, AttributeError):
    """What another library's lock has, and a declaration has not."""


_OF_A_LOCK_OBJECT = (
    "acquire",
    "release",
    "locked",
    "owned",
    "extend",
    "reacquire",
    "refresh",
    "unlock",
)
"""Methods of locks that are objects, as in redis-py and in Python itself."""


def _check_floor(at_least: Any, on_failure: Any) -> None:
    if not isinstance(on_failure, bool):
        raise LockConfigurationError(
            f"Lock(at_least_on_failure={on_failure!r}) is not known; write True or False"
        )
    if at_least is None and not on_failure:
        raise LockConfigurationError(
            "Lock(at_least_on_failure=False) says when at_least counts, and there is no at_least;"
            " write at_least=3600 beside it, or leave it out"
        )


def _warn_if_unread(owner: type) -> None:
    """Warn of a lock on a Celery task that has nothing to do with locks: nobody would read it."""
    if hasattr(owner, "apply_async") and not hasattr(owner, "_bound_locks"):
        # Celery's own class, and what an app makes of its task_cls, are both named Task
        base = next(klass.__name__ for klass in owner.__mro__[1:] if klass.__name__ != "Task")
        write = "@app.task(base=LockedTask, lock=Lock(...))"
        if base != "object":
            write = f"class Both(LockedTask, {base}): abstract = True, and base=Both"
        warnings.warn(
            f"task {getattr(owner, 'name', None) or owner.__name__} declares a lock that nobody"
            f" reads: write {write}",
            stacklevel=2,
        )


def checked_on_store_error(value: Any, name: str) -> OnStoreError:
    """Return `value` if it is one of the three words."""
    if value in get_args(OnStoreError):
        word: OnStoreError = value
        return word
    raise LockConfigurationError(f"{name}={value!r} is not known; write 'requeue', 'run' or 'fail'")
