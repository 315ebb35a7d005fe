"""A store that fails as a test says: calls that are refused or slow, and answers that are lost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from ..errors import StoreError, StoreUnavailable
from ..model import (
    Change,
    Changed,
    Claim,
    Completion,
    End,
    Feature,
    Held,
    Lease,
    LockStore,
    Outcome,
    Record,
    Refused,
    Release,
)
from ..model.durations import Duration
from ..model.durations import seconds as checked_seconds
from .faults import CallName, Fault, Faults, StoreCall, known

__all__ = ["FaultyStore"]

T = TypeVar("T")

NEEDED: dict[CallName, Feature] = {
    "acquire_all": Feature.SEVERAL,
    "release_all": Feature.SEVERAL,
    "keys": Feature.LISTING,
    "complete": Feature.COPIES,
    "watch": Feature.WATCH,
    "change": Feature.RECORDS,
    "records": Feature.RECORDS,
    "names": Feature.RECORDS,
}
"""The feature without which a call must not be made."""


class FaultyStore:
    """A store before another one, `inner`, to which it passes each call on until a test says else.

        store.refuse("release")                  # the store never hears of it
        store.lose_answer("acquire", times=1)    # the store has done it, and nobody knows
        store.slow("renew", seconds=12)          # by the clock of the test: nothing sleeps
        store.instead("watch", do=...)           # any function: it is given the call
        store.heal()

    Each of these counts for the calls that it names (for every one, if it names none) until it is
    healed, or for `times` calls in all. What was said last counts first.
    """

    def __init__(
        self,
        inner: LockStore,
        *,
        pause: Callable[[float], object] | None = None,
        lacks: Collection[Feature] = (),
    ) -> None:
        """Stand before `inner`.

        Args:
            inner: any store.
            pause: lets so many seconds pass on the test's clock, for `slow()`.
            lacks: what this store does not promise though `inner` does. Whoever asks for a watch
                or for records all the same gets an AssertionError.
        """
        self.inner = inner
        """The store behind it, which never fails."""
        self.lacks = lacks
        self._pause = pause
        self._asked: list[tuple[CallName, Mapping[str, Any]]] = []
        self._faults = Faults()

    def __repr__(self) -> str:
        return f"<FaultyStore before {self.inner!r}>"

    # -- for the test ------------------------------------------------------------------------

    @property
    def calls(self) -> list[CallName]:
        """The names of all calls so far, in order, those that failed as well."""
        return [name for name, _ in self._asked]

    def asked(self, name: CallName) -> list[Mapping[str, Any]]:
        """Return the arguments of each call of this name, in order."""
        known(name)
        return [arguments for asked, arguments in self._asked if asked == name]

    def instead(self, *names: CallName, do: Fault, times: int | None = None) -> None:
        """Do this instead of a call; the fault is given the call, and answers it."""
        self._faults.plan(names, do, times)

    def refuse(
        self, *names: CallName, error: BaseException | None = None, times: int | None = None
    ) -> None:
        """Let calls fail before they reach the store; default: with `StoreUnavailable`."""
        self.instead(*names, do=self._refused(error), times=times)

    def lose_answer(
        self, *names: CallName, error: BaseException | None = None, times: int | None = None
    ) -> None:
        """Let calls fail after the store has done them; default: with `StoreUnavailable`."""
        problem = error or StoreUnavailable(self.url, "the test has lost its answer")

        def lost(call: StoreCall) -> Any:
            call()
            raise problem

        self.instead(*names, do=lost, times=times)

    def slow(self, *names: CallName, seconds: Duration, times: int | None = None) -> None:
        """Let answers come so many seconds late."""
        pause = self._pause
        if pause is None:
            raise ValueError("slow() needs a clock: FaultyStore(inner, pause=clock.move)")
        late_by = checked_seconds(seconds, "slow(seconds)", zero=True)

        def late(call: StoreCall) -> Any:
            answer = call()
            pause(late_by)
            return answer

        self.instead(*names, do=late, times=times)

    def heal(self, *names: CallName) -> None:
        """Pass these calls on again; without a name: all."""
        self._faults.heal(names)

    @contextmanager
    def down(self) -> Iterator[None]:
        """While this lasts, every call is refused; all else that was said counts again then."""
        down = self._faults.plan((), self._refused(None), None)
        try:
            yield
        finally:
            down.names.clear()

    def _refused(self, error: BaseException | None) -> Fault:
        problem = error or StoreUnavailable(self.url, "the test says that it is down")

        def refused(call: StoreCall) -> Any:
            raise problem

        return refused

    # -- the store ---------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """That of the store behind it."""
        return self.inner.url

    @property
    def features(self) -> frozenset[Feature]:
        """Those of the store behind it, without what this one lacks."""
        return self.inner.features - frozenset(self.lacks)

    @property
    def coarse(self) -> float:
        """That of the store behind it."""
        return self.inner.coarse

    @property
    def longest_ttl(self) -> float | None:
        """That of the store behind it."""
        return getattr(self.inner, "longest_ttl", None)

    def acquire(self, claim: Claim) -> Lease | Held:
        """Give the key, or say who has it."""
        return self._call("acquire", lambda: self.inner.acquire(claim), claim=claim)

    def renew(
        self, renewals: Sequence[tuple[Lease, float]], *, within: float | None = None
    ) -> list[Outcome]:
        """Let each lease live for so many more seconds."""
        return self._call(
            "renew",
            lambda: self.inner.renew(renewals, within=within),
            renewals=renewals,
            within=within,
        )

    def release(self, lease: Lease, end: End | None = None) -> Release:
        """Give the key back."""
        return self._call("release", lambda: self.inner.release(lease, end), lease=lease, end=end)

    def acquire_all(self, claims: Sequence[Claim]) -> list[Lease] | Refused:
        """Give all these keys, or none of them."""
        return self._call("acquire_all", lambda: self.inner.acquire_all(claims), claims=claims)

    def release_all(
        self, releases: Sequence[tuple[Lease, End | None]]
    ) -> list[Release | StoreError]:
        """Give keys back. A fault that raises a `StoreError` leaves each without an answer."""
        try:
            return self._call(
                "release_all", lambda: self.inner.release_all(releases), releases=releases
            )
        except StoreError as error:
            return [error] * len(releases)

    def complete(self, completions: Sequence[Completion]) -> None:
        """Let these publications be completed from now on."""
        self._call("complete", lambda: self.inner.complete(completions), completions=completions)

    def free(self, key: str, holder: str, *, floor: bool = False) -> Held | None:
        """End the lease of a holder that cannot give it back any more."""
        return self._call(
            "free",
            lambda: self.inner.free(key, holder, floor=floor),
            key=key,
            holder=holder,
            floor=floor,
        )

    def undo(self, claim: Claim) -> None:
        """Take back a claim whose answer is not known."""
        self._call("undo", lambda: self.inner.undo(claim), claim=claim)

    def watch(self, key: str, timeout: float) -> None:
        """Return when `key` may be free."""
        self._call("watch", lambda: self.inner.watch(key, timeout), key=key, timeout=timeout)

    def peek(self, key: str) -> Held | None:
        """Who has the key."""
        return self._call("peek", lambda: self.inner.peek(key), key=key)

    def keys(self, beginning: str) -> list[str]:
        """Name all keys that begin so."""
        return self._call("keys", lambda: self.inner.keys(beginning), beginning=beginning)

    def change(self, change: Change) -> Changed:
        """Write a record if it is as expected."""
        return self._call("change", lambda: self.inner.change(change), change=change)

    def records(self, space: str, names: Sequence[str]) -> tuple[list[Record | None], float]:
        """Return these records, and the store's time."""
        return self._call(
            "records", lambda: self.inner.records(space, names), space=space, names=names
        )

    def names(self, space: str) -> list[str]:
        """Name all records of a space that are alive."""
        return self._call("names", lambda: self.inner.names(space), space=space)

    def check(self) -> list[str]:
        """Try the store once."""
        return self._call("check", lambda: self.inner.check())

    def close(self) -> None:
        """Give up connections; no fault can name this."""
        self.inner.close()

    def _call(self, name: CallName, make: Callable[[], T], **arguments: Any) -> T:
        self._asked.append((name, arguments))
        if NEEDED.get(name) in self.lacks:
            raise AssertionError(f"{name}() was asked of a store without {NEEDED[name]}")
        fault = self._faults.next(name)
        if fault is None:
            return make()
        answer: T = fault(StoreCall(name, arguments, make))
        return answer
