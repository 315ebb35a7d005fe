"""Leases and records in the memory of one process: what every other store has to behave like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import LockConfigurationError
from ..model import Change, Changed, Claim, End, Feature, Held, Lease, Outcome, Record
from .space import KeyState, ManualClock, Space

__all__ = ["MemoryStore", "open_memory"]

UNDONE = 8
"""How many undone claims the state of a key remembers, as on Redis."""


class MemoryStore:
    """Leases in one process: for tests, and for the contract to be read in Python.

    `space`: shared with other stores; default: one of its own, on the steady clock.
    """

    def __init__(self, space: Space | None = None, *, name: str = "", prefix: str = "") -> None:
        self._space = Space() if space is None else space
        self._name = name
        self._prefix = prefix

    def __repr__(self) -> str:
        return f"<MemoryStore {self.url}>"

    @property
    def url(self) -> str:
        """`memory://`, and the name of its space."""
        return f"memory://{self._name}"

    @property
    def features(self) -> frozenset[Feature]:
        """All there are."""
        return frozenset(Feature)

    # -- leases ------------------------------------------------------------------------------

    def acquire(self, claim: Claim) -> Lease | Held:
        """Give the key, or say who has it."""
        with self._space.changed:
            now = self._space.now()
            name = self._prefix + claim.key
            state = self._space.state(name) or KeyState()
            live = state.expiry > now
            ttl, at_least = round(claim.ttl * 1e6), round(claim.at_least * 1e6)
            if live and state.holder == claim.holder:  # its first answer was lost
                state.expiry = max(state.expiry, now + ttl)
                self._space.keep(name, state)
                return Lease(claim.key, claim.holder, state.token)
            done = (False, False)
            if claim.copy_since is not None:
                done = self._space.completed_since(name, claim.publication, claim.copy_since)
            inherits = live and bool(claim.heir_of) and state.holder == claim.heir_of
            kept = state.floor > now and state.resting != claim.task_id
            if done[0] or (live and not inherits) or kept or claim.holder in state.undone:
                floor = state.floor if kept else 0
                return replace(
                    _held(claim.key, state, now, floor), done=done[0], result_due=done[1]
                )
            if inherits:
                state.inherited = (claim.holder, state.holder, state.expiry)
            state.holder, state.publication = claim.holder, claim.publication
            state.token = max(state.token + 1, now)
            state.since, state.expiry = now, now + ttl
            state.before = state.floor if state.floor > now else 0
            state.floor = max(state.before, now + at_least if at_least else 0)
            state.resting = claim.task_id
            self._space.keep(name, state)
            return Lease(claim.key, claim.holder, state.token)

    def renew(
        self, renewals: Sequence[tuple[Lease, float]], *, within: float | None = None
    ) -> list[Outcome]:
        """Let each lease live for so many more seconds."""
        with self._space.changed:
            return [self._renew(lease, ttl) for lease, ttl in renewals]

    def _renew(self, lease: Lease, ttl: float) -> Outcome:
        now = self._space.now()
        name, state = self._of(lease)
        if state is None or state.expiry <= now:
            return Outcome.LOST
        state.expiry = now + round(ttl * 1e6)
        self._space.keep(name, state)
        return Outcome.RENEWED

    def release(self, lease: Lease, end: End | None = None) -> bool:
        """Give the key back; `False`: it was no longer held."""
        with self._space.changed:
            if end is not None and end.publication:
                self._space.complete(self._prefix + lease.key, end)
            proof = (lease.holder, lease.token)
            known = self._space.state(self._prefix + lease.key)
            if known is not None and known.released == proof:
                return True
            name, state = self._of(lease)
            if state is None or state.expiry <= self._space.now():
                return False
            state.expiry, state.released = 0, proof
            if end is not None and end.heir:
                state.holder = end.heir
                state.expiry = self._space.now() + round(end.keep * 1e6)
            self._space.keep(name, state)
            self._space.changed.notify_all()
            return True

    def free(self, key: str, holder: str, *, floor: bool = False) -> Held | None:
        """End the lease of a holder that cannot give it back any more."""
        with self._space.changed:
            now, name = self._space.now(), self._prefix + key
            state = self._space.state(name)
            if state is None or not _is_his(state.holder, holder):
                return None
            live, barring = state.expiry > now, floor and state.floor > now
            if not live and not barring:
                return None
            had = _held(key, state, now, state.floor)
            state.expiry, state.floor = 0, 0 if floor else state.floor
            self._space.keep(name, state)
            self._space.changed.notify_all()
            return had

    def undo(self, claim: Claim) -> None:
        """Take back a claim whose answer is not known."""
        with self._space.changed:
            name = self._prefix + claim.key
            state = self._space.state(name) or KeyState()
            if claim.holder not in state.undone:
                state.undone = (claim.holder, *state.undone)[:UNDONE]
            if state.holder == claim.holder and state.expiry:
                state.expiry, state.floor = 0, state.before
                came, heir, expiry = state.inherited
                if came == claim.holder:  # what it took over from an heir is the heir's again
                    state.holder, state.expiry = heir, expiry
            self._space.keep(name, state)
            self._space.changed.notify_all()

    def peek(self, key: str) -> Held | None:
        """Who has the key; `None`: it is free."""
        with self._space.changed:
            now = self._space.now()
            state = self._space.state(self._prefix + key)
            if state is None or not state.taken(now):
                return None
            return _held(key, state, now, state.floor)

    # -- records -----------------------------------------------------------------------------

    def change(self, change: Change) -> Changed:
        """Write a record if it is as expected, and say how it stands."""
        with self._space.changed:
            return self._space.records.change(self._prefix, change, self._space.now())

    def records(self, space: str, names: Sequence[str]) -> tuple[list[Record | None], float]:
        """Return these records in this order, and the time."""
        with self._space.changed:
            now = self._space.now()
            return self._space.records.records(self._prefix, space, names, now), now / 1e6

    def names(self, space: str) -> list[str]:
        """Name all records of a space that are alive."""
        with self._space.changed:
            return self._space.records.names(self._prefix, space, self._space.now())

    # -- waiting, and the rest ---------------------------------------------------------------

    def watch(self, key: str, timeout: float) -> None:
        """Return when `key` is free, or after `timeout` seconds of the store's clock."""
        space = self._space
        until = space.clock() + timeout
        with space.changed:
            while (left := until - space.clock()) > 0:
                now = space.now()
                state = space.state(self._prefix + key)
                if state is None or not state.taken(now):
                    return
                self._pass(min(left, (max(state.expiry, state.floor) - now) / 1e6))

    def _pass(self, seconds: float) -> None:
        """Let time pass until something changes; the lock is let go of meanwhile."""
        clock = self._space.clock
        if not isinstance(clock, ManualClock):
            self._space.changed.wait(seconds)
        elif clock.jumps:
            clock.move(seconds)
        else:
            clock.moved.wait()

    def check(self) -> list[str]:
        """Warn that nobody else can see these leases."""
        return [
            f"{self.url} is seen by one process alone: neither other workers nor the other"
            " processes of a prefork pool keep to its locks. It is meant for tests"
        ]

    def close(self) -> None:
        """Nothing to give up."""

    def _of(self, lease: Lease) -> tuple[str, KeyState | None]:
        """Return the key's state if the lease is a proof for it, live or not."""
        name = self._prefix + lease.key
        state = self._space.state(name)
        if state is not None and (state.holder, state.token) != (lease.holder, lease.token):
            state = None
        return name, state


def _is_his(holder: str, named: str) -> bool:
    return holder == named or (named.endswith("#") and holder.startswith(named))


def _held(key: str, state: KeyState, now: int, floor: int) -> Held:
    live = state.expiry > now
    return Held(
        key=key,
        holder=state.holder,
        since=state.since / 1e6,
        now=now / 1e6,
        expires_in=(max(state.expiry if live else now, floor, now) - now) / 1e6,
        live=live,
        publication=state.publication,
        token=state.token,
    )


_spaces: dict[str, Space] = {}


def open_memory(
    url: str, *, options: Mapping[str, Any], deadline: float, prefix: str
) -> MemoryStore:
    """Open `memory://` or `memory://name`: the same space for the same name in this process."""
    if options:
        raise LockConfigurationError(
            f"{url} takes no options (lock_store_options has {', '.join(sorted(options))})"
        )
    name = url.partition("://")[2]
    return MemoryStore(_spaces.setdefault(name, Space()), name=name, prefix=prefix)
