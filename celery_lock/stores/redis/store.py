"""Leases and records on one Redis or Valkey server: each call is one script and one round trip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from ...errors import StoreError
from ...model import (
    Change,
    Changed,
    Claim,
    Completion,
    End,
    Feature,
    Held,
    Lease,
    Met,
    Outcome,
    Record,
    Refused,
    Release,
)
from ...model.claim import checked_together
from ...model.clock import monotonic
from ..registry import promises
from . import listing, several
from .asking import claiming, micro, record, releasing
from .checkup import checkup, version
from .hash_tag import before_tags, hash_tag
from .link.address import Address
from .link.care import SHARE, Care, Unacknowledged
from .link.discovery import Directory, FixedAddress
from .link.errors import PERMISSIONS, besides
from .link.linking import Link
from .link.server import Server
from .options import care_of, refuse_long
from .permits import held, named, parts, released
from .records import Records
from .renewals import renew
from .scripts import ACQUIRE, COMPLETE, FREE, PEEK, RELEASE, UNDO

__all__ = ["RedisStore", "open_redis"]


_FEATURES = frozenset(Feature)
"""Made once: to list an enumeration takes a fifth of the time of a claim."""


class RedisStore:
    """Leases on one server.

    Args:
        url: `redis://`, `rediss://`, `unix://` or `redis+socket://`.
        options: `username`, `password`, `credential_provider`, `client_name`, `ssl`; what the
            URL says itself comes first. `replicas`, `restart_guard`, `longest_ttl`.
        deadline: seconds that one call may take, all in all. Longer waits for a slow server;
            shorter requeues sooner when it does not answer.
        prefix: what the name of every key on the server begins with. Another prefix is another
            world of locks.

    Raises `LockConfigurationError` for a URL or an option that makes no sense. Connects at the
    first call, not before.
    """

    GRACE = 60.0
    """Seconds that the state of a key outlives its use. Its token is the memory that keeps tokens
    growing when the server's clock is set back by less than this, and its marks answer a release
    or an undo that is sent again. Longer costs memory: some 300 bytes for each key."""
    CONNECTIONS = 10
    """Connections of one process at most."""
    WATCHERS = 4
    """Of these, how many may wait for a key at a time: the quick calls need the rest."""
    BATCH = 100
    """Leases that one script renews at most. It blocks the server for some 10 microseconds each:
    more would keep others waiting, fewer cost more for each lease."""
    WATCH = 10.0
    """Seconds that one `watch` lasts at most."""
    SLICE = 1.0
    """Seconds that a watcher blocks its connection before others have their turn."""

    def __init__(
        self,
        url: str,
        *,
        options: Mapping[str, Any] | None = None,
        deadline: float = 2.0,
        prefix: str = "celery-lock:",
    ) -> None:
        self._prefix = before_tags(prefix)
        care, rest = care_of(options or {}, self._prefix)
        self.permissions = f"{self._commands(care)}{besides(url, rest)} ~{prefix}*"
        """What the user of the server needs at least, in the words of its ACL."""
        self.longest_ttl = None if care.guard is None else care.guard.longest_ttl
        """The longest ttl that a claim may have; `None`: any."""
        self._server = self._linked(url, rest, deadline, care)
        self._state = partial(hash_tag, before=self._prefix)
        """Names the state of a key so that the whole key is its hash tag."""
        self._records = Records(self._server, self._prefix)
        self._grace = micro(self.GRACE)
        self._settle = micro(deadline)

    def _commands(self, care: Care) -> str:
        """Return the commands that the user needs."""
        return f"{PERMISSIONS}{care.permissions}"

    def _linked(self, url: str, options: Mapping[str, Any], deadline: float, care: Care) -> Link:
        """Return the way to the servers that the URL names, on which nothing is opened yet."""
        where = self._directory(url, options)
        size, watchers = self.CONNECTIONS, self.WATCHERS
        return Server(where, deadline=deadline, connections=size, watchers=watchers, care=care)

    def _directory(self, url: str, options: Mapping[str, Any]) -> Directory:
        return FixedAddress(Address.parse(url, options))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    @property
    def url(self) -> str:
        """Where it is, without user, password and query."""
        return self._server.url

    @property
    def features(self) -> frozenset[Feature]:
        """What it promises. Tokens grow as long as the server keeps its data, or its clock."""
        return _FEATURES

    @property
    def coarse(self) -> float:
        """It measures in microseconds."""
        return 0.0

    # -- leases ------------------------------------------------------------------------------

    def acquire(self, claim: Claim) -> Lease | Held:
        """Give the key, or say who has it."""
        if self.longest_ttl is not None:
            refuse_long(claim, self.longest_ttl)
        asked = claiming(self._state(claim.key), claim, self._grace, self._settle)
        try:
            answer = self._server.run(ACQUIRE, *asked)
        except Unacknowledged:
            self._take_back(claim)
            raise
        if isinstance(answer, int):
            return Lease(claim.key, claim.holder, answer)
        if len(answer) == 2:
            return Lease(claim.key, claim.holder, answer[0], slot=answer[1])
        met, now, free_at, shown, *taken = answer
        return held(claim.key, Met(met.decode()), now, free_at, shown, taken)

    def acquire_all(self, claims: Sequence[Claim]) -> list[Lease] | Refused:
        """Give all these keys, or none of them."""
        checked_together(claims)
        if self.longest_ttl is not None:
            for claim in claims:
                refuse_long(claim, self.longest_ttl)
        states = [self._state(claim.key) for claim in claims]
        try:
            return several.acquire_all(self._server, states, claims, self._grace, self._settle)
        except Unacknowledged:
            for claim in claims:
                self._take_back(claim)
            raise

    def _take_back(self, claim: Claim) -> None:
        """Undo a claim that too few replicas have; if that fails its claimant does so again."""
        with suppress(StoreError):
            self.undo(claim, within=(1 - SHARE) * self._server.deadline)

    def renew(
        self, renewals: Sequence[tuple[Lease, float]], *, within: float | None = None
    ) -> list[Outcome]:
        """Let each lease live for so many more seconds, all in one round trip.

        A batch without an answer leaves its own leases unknown, and none of the others.
        """
        states = [self._state(lease.key) for lease, _ in renewals]
        return renew(self._server, states, renewals, self._grace, size=self.BATCH, within=within)

    def release(self, lease: Lease, end: End | None = None) -> Release:
        """Give the key back, and record what is to be recorded."""
        answer = self._server.run(
            RELEASE, *releasing(self._state(lease.key), lease, end, self._grace)
        )
        return released(answer)

    def release_unheard(self, lease: Lease, end: End, failed: Callable[[StoreError], None]) -> None:
        """Give the key back as `release` does, without waiting for the answer.

        It is read at this process's next call, and `failed` hears of an error then.
        """
        asked = releasing(self._state(lease.key), lease, end, self._grace)
        self._server.run_unheard((RELEASE, *asked), failed)

    def hear(self) -> None:
        """Read the answers that nobody has waited for; the process is about to leave."""
        self._server.hear()

    def release_all(
        self, releases: Sequence[tuple[Lease, End | None]]
    ) -> list[Release | StoreError]:
        """Give keys back, all in one round trip."""
        asked = [
            releasing(self._state(lease.key), lease, end, self._grace) for lease, end in releases
        ]
        return several.release_all(self._server, asked)

    def complete(self, completions: Sequence[Completion]) -> None:
        """Let these publications be completed from now on, all in one round trip."""
        keys = [record(self._state(one.key), one.publication) for one in completions]
        if keys:
            self._server.run(COMPLETE, keys, [micro(one.remember) for one in completions])

    def free(self, key: str, holder: str, *, floor: bool = False) -> Held | None:
        """End the lease of a holder that cannot give it back any more."""
        state, who = self._state(key), named(holder)
        if who is None:
            return None
        args: list[str | int] = [*who, self._grace, 1 if floor else 0]
        return _seen(key, self._server.run(FREE, [state, state + ":w"], args))

    def undo(self, claim: Claim, *, within: float | None = None) -> None:
        """Take back a claim whose answer is not known."""
        state = self._state(claim.key)
        args: list[str | int] = [*parts(claim.holder), self._grace, self._settle]
        self._server.run(UNDO, [state, state + ":w"], args, within)

    def peek(self, key: str) -> Held | None:
        """Who has the key; `None`: it is free."""
        return _seen(key, self._server.run(PEEK, [self._state(key)], ()))

    def keys(self, beginning: str) -> list[str]:
        """Name all keys that begin so; some may be free by now."""
        return listing.keys(self._server, self._prefix, beginning)

    # -- records -----------------------------------------------------------------------------

    def change(self, change: Change) -> Changed:
        """Write a record if it is as expected, and say how it stands."""
        return self._records.change(change)

    def records(self, space: str, names: Sequence[str]) -> tuple[list[Record | None], float]:
        """Return these records in this order, and the server's time.

        A batch blocks the server for some 6 microseconds a record: read 500 at a time at most.
        """
        return self._records.records(space, names)

    def names(self, space: str) -> list[str]:
        """Name all records of a space that are alive."""
        return self._records.names(space)

    # -- waiting -----------------------------------------------------------------------------

    def watch(self, key: str, timeout: float) -> None:
        """Return when `key` may be free, or after `timeout` seconds (10 at most).

        The key must have been claimed with `watching` before: its release says so then. Of all
        watchers of a key one is woken by a release, so it should claim even if its time is up.
        """
        until = monotonic() + min(timeout, self.WATCH)
        watchers, woken = self._server.watchers, False
        while not woken and (left := until - monotonic()) > 0 and watchers.enter(key, left):
            try:
                seconds = min(until - monotonic(), self.SLICE)
                woken = self._server.pop(self._state(key) + ":w", seconds)
            finally:
                watchers.leave(key)

    # -- the rest ----------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Try the server once: warnings for the log."""
        return checkup(self, self._server)

    def version(self) -> str:
        """Say what the server runs."""
        return version(self._server)

    def close(self) -> None:
        """Give up this process's connections. The store works again at the next call."""
        self._server.close()


def _seen(key: str, answer: Any) -> Held | None:
    if answer is None:
        return None
    now, free_at, shown, *taken = answer
    return held(key, Met.OTHER, now, free_at, shown, taken)


@promises(*Feature)
def open_redis(url: str, *, options: Mapping[str, Any], deadline: float, prefix: str) -> RedisStore:
    """Open a store on the server at `url`; see `RedisStore`."""
    return RedisStore(url, options=options, deadline=deadline, prefix=prefix)
