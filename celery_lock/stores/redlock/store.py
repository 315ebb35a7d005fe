"""Leases on a majority of independent Redis or Valkey servers: each call asks all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ...errors import UnsupportedFeature
from ...model import (
    Claim,
    Completion,
    End,
    Feature,
    Held,
    Lease,
    Outcome,
    Release,
)
from ...model.clock import monotonic
from ..redis.asking import micro, record
from ..redis.checkup import version_in
from ..redis.hash_tag import before_tags, hash_tag
from ..redis.link.errors import PERMISSIONS, besides
from ..redis.link.linking import Call
from ..redis.permits import released
from ..redis.scripts import COMPLETE, FREE, PEEK, RELEASE, RENEW
from ..registry import promises, stores_with
from .addresses import parse
from .answers import Answers, is_failure
from .checkup import checkup
from .claiming import Claims
from .nodes import Nodes
from .tries import freed, given_back, renewed
from .unpromised import Unpromised
from .votes import peeked

__all__ = ["RedlockStore", "open_redlock"]

_FEATURES = frozenset({Feature.FLOORS, Feature.HEIRS, Feature.COPIES})


class RedlockStore(Unpromised):
    """Leases on several servers of which a majority has to agree.

    Args:
        url: `redlock://a:6379,b:6379,c:6379,d:6379,e:6379/0`.
        options: those of a Redis store, for all nodes, and `longest_ttl`: the longest ttl of all
            locks. A node that was restarted has no vote for so long.
        deadline: seconds that one call may take, all in all.
        prefix: what the name of every key on the servers begins with.

    Raises `LockConfigurationError` for a URL or an option that makes no sense. Connects at the
    first call, not before.
    """

    GRACE = 60.0
    """Seconds that the state of a key outlives its use, as on a single Redis."""
    CONNECTIONS = 10
    """Connections of one process to each node at most."""
    BATCH = 100
    """Leases that one script renews at most."""

    def __init__(
        self,
        url: str,
        *,
        options: Mapping[str, Any] | None = None,
        deadline: float = 2.0,
        prefix: str = "celery-lock:",
    ) -> None:
        self._state = partial(hash_tag, before=before_tags(prefix))
        """Names the state of a key, on each node alike."""
        self.permissions = f"{PERMISSIONS}{besides(url, options or {})} ~{prefix}*"
        """What the user of each node needs at least, in the words of its ACL."""
        addresses = parse(url, options)
        self.longest_ttl = addresses.longest_ttl
        """Seconds: the longest ttl that a lock of this store may have."""
        self._nodes = Nodes(addresses, deadline=deadline, connections=self.CONNECTIONS)
        self._grace = micro(self.GRACE)
        self._remembered = max(self.longest_ttl, self.GRACE)
        """Seconds for which a node that is away is to hear of a release: its lease may live on."""
        self._claims = Claims(self._nodes, self._state, self.GRACE, self.no_token)

    def __repr__(self) -> str:
        return f"<RedlockStore {self.url}>"

    @property
    def url(self) -> str:
        """Where it is, without users, passwords and query."""
        return self._nodes.url

    @property
    def features(self) -> frozenset[Feature]:
        """What it promises: nothing that takes one place where all is decided."""
        return _FEATURES

    @property
    def coarse(self) -> float:
        """It measures in microseconds."""
        return 0.0

    def no_token(self, needed_by: str) -> UnsupportedFeature:
        """Return the error of a lease that is asked for its token: no node knows the others'."""
        stores = stores_with(Feature.FENCING)
        return UnsupportedFeature(Feature.FENCING.value, needed_by, self.url, stores)

    # -- leases ------------------------------------------------------------------------------

    def acquire(self, claim: Claim) -> Lease | Held:
        """Give the key if a majority of the nodes does, or say who has it."""
        return self._claims.acquire(claim)

    def renew(
        self, renewals: Sequence[tuple[Lease, float]], *, within: float | None = None
    ) -> list[Outcome]:
        """Let each lease live on that a majority still knows; the others are lost, or unknown."""
        deadline = self._nodes.deadline
        ends = monotonic() + (deadline if within is None else min(within, deadline))
        outcomes: list[Outcome] = []
        for first in range(0, len(renewals), self.BATCH):
            outcomes += self._renew(renewals[first : first + self.BATCH], ends)
        return outcomes

    def _renew(self, renewals: Sequence[tuple[Lease, float]], ends: float) -> list[Outcome]:
        majority, nodes = self._nodes.majority, self._nodes
        states = [self._state(lease.key) for lease, _ in renewals]

        def outcomes(answers: Answers) -> list[Outcome]:
            heard = [one for one in answers if not is_failure(one)]
            left = nodes.count - len(heard)
            counts = [sum(each) for each in zip(*heard, strict=True)] or [0] * len(renewals)
            return [
                Outcome.RENEWED
                if yes >= majority
                else Outcome.LOST
                if yes + left < majority
                else Outcome.UNKNOWN
                for yes in counts
            ]

        def enough(answers: Answers) -> bool:
            if sum(not is_failure(one) for one in answers) < majority:
                return nodes.is_hopeless(answers)
            return Outcome.UNKNOWN not in outcomes(answers)

        call = (RENEW, *renewed(states, renewals, self._grace))
        answers = nodes.ask(call, enough, ends=ends)
        found = outcomes(answers)
        if not any(one is not Outcome.UNKNOWN for one in found):
            raise nodes.unavailable(answers)
        for at, (outcome, (lease, ttl)) in enumerate(zip(found, renewals, strict=True)):
            known = [None if is_failure(answer) else answer[at] == 1 for answer in answers]
            if outcome is Outcome.LOST and not all(one is False for one in known):
                self._let_go(lease, known)
            elif outcome is Outcome.RENEWED and False in known:
                self._claims.spread(lease, ttl, [one is False for one in known])
        return found

    def _let_go(self, lease: Lease, known: list[bool | None]) -> None:
        """Give up what a minority of the nodes still keeps for a lease that is lost."""
        call = (RELEASE, *given_back(self._state(lease.key), lease, None, self._grace))
        calls: list[Call | None] = [None if one is False else call for one in known]
        self._nodes.ask(calls, lambda _: True)

    def release(self, lease: Lease, end: End | None = None) -> Release:
        """Give the key back at all nodes; in time: a majority still had it."""
        nodes = self._nodes
        call = (RELEASE, *given_back(self._state(lease.key), lease, end, self._grace))

        def enough(answers: Answers) -> bool:
            in_time = sum(type(one) is int and one % 2 for one in answers)
            return in_time >= nodes.majority or nodes.is_hopeless(answers)

        answers = nodes.ask(call, enough, again=self._remembered)
        self._claims.ended(lease, answers.circle)
        heard = [released(one) for one in answers if not is_failure(one)]
        in_time = sum(one.in_time for one in heard)
        if len(heard) < nodes.majority:
            raise nodes.unavailable(answers)
        if in_time >= nodes.majority:
            return Release.of(True, any(one.in_time and one.recorded for one in heard))
        return Release.of(False, any(one.recorded for one in heard))

    def complete(self, completions: Sequence[Completion]) -> None:
        """Let these publications be completed from now on, at a majority of the nodes at least."""
        keys = [record(self._state(one.key), one.publication) for one in completions]
        if keys:
            args = [micro(one.remember) for one in completions]
            self._heard((COMPLETE, keys, args), again=max(one.remember for one in completions))

    def free(self, key: str, holder: str, *, floor: bool = False) -> Held | None:
        """End the lease of a holder that cannot give it back any more."""
        asked = freed(self._state(key), holder, self._grace, floor)
        if asked is None:
            return None
        answers = self._heard((FREE, *asked), again=self._remembered)
        found, votes = peeked(key, answers, self._nodes.majority)
        return found if votes + self._silent(answers) >= self._nodes.majority else None

    def undo(self, claim: Claim) -> None:
        """Take back a claim whose answer is not known."""
        answers = self._claims.undo(claim)
        if not self._answered(answers):
            raise self._nodes.unavailable(answers)

    def peek(self, key: str) -> Held | None:
        """Who has the key, or has it if the nodes know so that do not answer; `None`: nobody.

        Nodes that are too young to vote may know who has it, but not that it is free.
        """
        majority, ends = self._nodes.majority, monotonic() + self._nodes.deadline

        def enough(answers: Answers) -> bool:
            if sum(one is None for one in answers) >= majority:  # the usual case
                return True
            return self._nodes.enough(answers) and peeked(key, answers, majority)[1] >= majority

        def ask(*, votes: bool) -> Answers:
            call = (PEEK, [self._state(key)], ())
            return self._nodes.ask(call, enough, ends=ends, votes=votes)

        voted = answers = ask(votes=True)
        if not self._answered(voted):
            answers = ask(votes=False)
            if not self._answered(answers):
                raise self._nodes.unavailable(answers)
        found, votes = peeked(key, answers, majority)
        if votes + self._silent(answers) >= majority:
            return found
        if answers is not voted:
            raise self._nodes.unavailable(voted)
        return None

    # -- the rest ----------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Try the nodes once: warnings for the log."""
        return checkup(self, self._nodes, self._state("celery-lock check"))

    def version(self) -> str:
        """Say what the nodes run that have answered so far."""
        found = {version_in(node.facts) for node in self._nodes.nodes}
        return ", ".join(sorted(found - {""}))

    def close(self) -> None:
        """Give up this process's connections. The store works again at the next call."""
        self._nodes.close()

    def _heard(self, call: Any, *, again: float) -> Answers:
        answers = self._nodes.ask(call, self._nodes.enough, again=again)
        if not self._answered(answers):
            raise self._nodes.unavailable(answers)
        return answers

    def _answered(self, answers: Answers) -> bool:
        return len(answers) - self._silent(answers) >= self._nodes.majority

    @staticmethod
    def _silent(answers: Answers) -> int:
        return sum(map(is_failure, answers))


@promises(*_FEATURES)
def open_redlock(
    url: str, *, options: Mapping[str, Any], deadline: float, prefix: str
) -> RedlockStore:
    """Open a store on the nodes at `url`; see `RedlockStore`."""
    return RedlockStore(url, options=options, deadline=deadline, prefix=prefix)
