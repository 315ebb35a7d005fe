"""A key held outside a task: around a block, or around each call of a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from ..declaring import WrongCall, answers_wrong_calls
from ..engine.place import here
from ..errors import LockError
from ..model import Lease
from ..model.durations import Duration, seconds
from ..model.limit import checked_limit
from .decorating import has_run, refuse_what_runs_later
from .key import HeldKey, Key
from .leaving import Exit, awaited, leave
from .taking import Entry, Terms

__all__ = ["hold"]

P = ParamSpec("P")
R = TypeVar("R")

_EXAMPLE = 'hold("user:{user_id}", fields={"user_id": 7}, max_wait=2)'
_ELSEWHERE = {
    "timeout": "which other libraries use for the lifetime: here ttl is how long an"
    " unrenewed lease lives, and max_wait how long somebody waits",
    "blocking_timeout": "here it is max_wait",
    "blocking": "here it is max_wait: 0 does not wait",
    "wait": "here it is max_wait",
    "expire": "here it is ttl",
    "lock_ttl": "here it is ttl",
    "name": "here it is key",
    "args": "here it is fields={'user_id': 7}",
    "values": "here it is fields={'user_id': 7}",
    "kwargs": "here it is fields={'user_id': 7}",
    "sleep": "nobody has to choose it: the store wakes who waits",
    "at_least": "it belongs to the Lock of a task",
    "scope": "it belongs to the Lock of a task",
    "on_conflict": "outside a task LockConflict is raised, or LockWaitTimeout after max_wait",
    "on_lost": "the lease says so: lease.lost, and lease.check() raises",
    "permits": "here it is limit",
    "redis": "the store belongs to the app: app.conf.lock_store",
    "store": "the store belongs to the app: app.conf.lock_store",
}
"""What words of other libraries are called here."""


@answers_wrong_calls(_EXAMPLE, elsewhere=_ELSEWHERE)
class hold:
    """Hold a key while a block, or a call of a function, runs outside a task.

        with hold("user:point:{user_id}", fields={"user_id": 7}, max_wait=2) as lease:
            ...

        @hold("user:point:{user_id}", max_wait=2)
        def charge(user_id, amount): ...

    It is the key of a `Lock` with the same template, so a task and a view exclude each other. The
    lease is renewed while the block runs. `lease.lost` and `lease.check()` say whether it was lost.

    Entered again where its key is held already, in the same thread and the same asyncio task or
    greenlet, it yields the same lease, and leaving the inner block does nothing.

    Raises `LockConflict` (with `max_wait=0`) or `LockWaitTimeout` where somebody else has the
    key, and `StoreError` where the store gives no answer: then the block does not run.
    """

    def __init__(
        self,
        key: Key,
        *,
        max_wait: Duration,
        fields: Mapping[str, Any] | None = None,
        ttl: Duration | None = None,
        at_most: Duration | None = None,
        limit: int = 1,
        app: Any = None,
    ) -> None:
        """
        Args:
            key: a template, whose values are escaped as in a `Lock`; or a finished key, such as
                that of `task.key_of(...)`. Around a function also a function of its parameters.
            max_wait: seconds that it waits for the key at most; 0 does not wait. Longer: a view
                answers later. Shorter: more of them answer that the key is taken.
            fields: the values of the template. Around a function its own arguments are that.
            ttl: seconds that the lease lives when nobody renews it; default: the setting
                `lock_ttl` (30). Longer: a lost machine blocks the key for longer. Shorter: a slow
                network loses leases.
            at_most: seconds after which the lease is no longer renewed and so is lost. Default:
                none. Shorter frees the key of a block that hangs sooner.
            limit: how many may hold the key at once.
            app: the Celery app; default: that of the task that runs here, else the current one.
        """
        self._key = HeldKey(key, fields)
        self._terms = Terms(
            seconds(max_wait, "hold(max_wait)", zero=True),
            None if ttl is None else seconds(ttl, "hold(ttl)"),
            None if at_most is None else seconds(at_most, "hold(at_most)"),
            checked_limit(limit, "hold(limit)"),
            app,
        )
        self._entries: list[Entry] = []
        """What was entered without a `with`, and not left. Nobody else keeps it."""

    def __repr__(self) -> str:
        return f"<{self._key.who}>"

    # -- a block -----------------------------------------------------------------------------

    def __enter__(self) -> Lease:
        key, entry = self._key.in_a_block(), self._entry()
        try:
            leaver = awaited(self)
            if leaver is None:
                self._entries.append(entry)
            else:
                leaver.entry = entry
            entry.place = here()
            return entry.enter(key)
        except BaseException:
            entry.leave()
            self._forget(entry)
            raise

    if TYPE_CHECKING:

        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> None: ...

    else:
        __exit__ = Exit()

    def leave(self, entry: Entry | None, kind: type[BaseException] | None) -> None:
        """Leave a block, whose entry is known where a `with` ends."""
        entry = self._last() if entry is None else entry
        try:
            leave(entry, kind)
        finally:
            self._forget(entry)

    def _forget(self, entry: Entry) -> None:
        if entry in self._entries:
            self._entries.remove(entry)

    def _entry(self) -> Entry:
        return Entry(self._key.who, self._key.template, self._terms)

    def _last(self) -> Entry:
        """Return what was entered last in this place; a framework may leave it in another one."""
        place, entries = here(), list(self._entries)
        mine = [entry for entry in entries if entry.place == place]
        if not mine and len(entries) != 1:
            raise LockError(
                f"{self._key.who} is left in a thread that has not entered it, and"
                f" {len(entries) or 'no'} others have; write a hold() of its own in each `with`"
            )
        return (mine or entries)[-1]

    # -- a function --------------------------------------------------------------------------

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Let the key be held around each call of `function`."""
        kind: Any = type(function)
        if kind in (staticmethod, classmethod):
            inner: Any = function
            return kind(self(inner.__func__))  # type: ignore[no-any-return]
        name = refuse_what_runs_later(self._key.who, function)
        key_of = self._key.of_calls(function, name)

        @wraps(function)
        def held(*args: P.args, **kwargs: P.kwargs) -> R:
            key = key_of(args, kwargs)
            entry = self._entry()
            try:
                entry.enter(key)
                return has_run(self._key.who, name, function(*args, **kwargs))
            finally:
                try:
                    entry.leave()
                except BaseException:  # a signal, or the time limit of a greenlet: that comes once
                    entry.leave()
                    raise

        return held

    # -- what it is not ----------------------------------------------------------------------

    async def __aenter__(self) -> NoReturn:
        raise self._no_async()

    async def __aexit__(self, *_: object) -> NoReturn:  # pragma: no cover - nobody has entered
        raise self._no_async()

    def _no_async(self) -> WrongCall:
        return WrongCall(
            f"async with {self._key.who}: it waits in its thread, and would hold up the event loop;"
            " write a function with `with hold(...)`, and await asyncio.to_thread(that function)"
        )

    def __getattr__(self, name: str) -> Any:
        if name in ("acquire", "release", "locked", "owned", "extend", "lock", "unlock"):
            raise AttributeError(
                f"a hold() has no {name}(); write `with {_EXAMPLE} as lease:`, which gives the key"
                " back however the block ends; peek(key) says who has it"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
