"""A random play of holders on one store, and what must hold whatever they do.

    class OnMyStore(StoreMachine):
        def open_store(self):
            return MyStore("my://localhost", prefix=f"fuzz:{self.number}:")

    def test_random_plays():
        play(OnMyStore, examples=50, steps=40)

It needs the package hypothesis. Its leases live some thousandths of a second by default, so a play
of many steps takes a moment; a store that measures in seconds says so by `unit`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ..model import Claim, Feature, Held, Lease, LockStore, Outcome
from ..model.lease import DRIFT, MARGIN
from .holds import Floor, Hold

__all__ = ["StoreMachine", "play"]

KEYS = st.sampled_from(["a", "b"])
TASKS = st.sampled_from(["t1", "t2", "t3", "t4", "t5", "t6"])
PICK = st.integers(0, 1_000_000)


class StoreMachine(RuleBasedStateMachine):
    """Subclasses bring the store, and a clock of their own where it has one that can be moved.

    Never more holders believe in their leases than the smallest limit among them; no two of them
    have one slot; the tokens of a slot only grow; a stranger frees nothing; nobody is kept out for
    longer than the longest lease and floor.

    No rule is ruled out by what the store has answered: that depends on real time on a server, and
    Hypothesis wants the same choices to lead to the same plays. A rule that has nothing to do then
    does nothing.
    """

    unit = 0.001
    """Seconds: leases live 5 to 40 of these."""
    forgets = False
    """The marks of a state (released, undone) may be gone before they are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.number = time.monotonic_ns() % 1_000_000_000  # holders of one play are its own
        self.store: LockStore = self.open_store()
        self.features = self.store.features
        self.holds: list[Hold] = []
        self.claims: list[Claim] = []
        self.floors: list[Floor] = []
        self.undone: set[str] = set()
        self.highest: dict[tuple[str, int], int] = {}
        self.seen: set[str] = set()

    def open_store(self) -> LockStore:
        """Return the store of one play; nothing of an earlier play is in it."""
        raise NotImplementedError

    def now(self) -> float:
        """Seconds, by the holders' clock."""
        return time.monotonic()

    def elapse(self, seconds: float) -> None:
        """Let time pass for the holders and for the store."""
        time.sleep(seconds)

    # -- rules -------------------------------------------------------------------------------

    @rule(
        key=KEYS,
        task=TASKS,
        ttl=st.integers(5, 40),
        at_least=st.sampled_from([0, 0, 0, 3, 30, 60]),
        limit=st.sampled_from([1, 1, 2, 3, 4, 5]),
    )
    def claim(self, key: str, task: str, ttl: int, at_least: int, limit: int) -> None:
        """Somebody asks for a key."""
        claim = self._new_claim(key, task, ttl, at_least, limit)
        self.claims.append(claim)
        self._claim(claim)

    @precondition(lambda self: self.claims)
    @rule(pick=PICK)
    def claim_again(self, pick: int) -> None:
        """The first answer was lost, or the claim arrives late."""
        self._claim(self.claims[-1 - pick % min(len(self.claims), 6)])

    @rule(key=KEYS, task=TASKS, ttl=st.integers(5, 40))
    def claim_and_never_hear_of_it(self, key: str, task: str, ttl: int) -> None:
        """The answer is lost for good."""
        claim = self._new_claim(key, task, ttl, 0, 1)
        answer = self.store.acquire(claim)
        if isinstance(answer, Lease):
            self._see_grant(claim, answer, self.now())
        self.claims.append(claim)

    @rule(pick=PICK)
    def release(self, pick: int) -> None:
        """A holder gives its key back, perhaps once more."""
        if not self.holds:
            return
        hold = self._picked(pick)
        believed = not hold.ended
        freed = self.store.release(hold.lease)
        if believed and hold.deadline > self.now():
            assert freed, "a release in time was refused"
        hold.ended = True

    @rule(pick=PICK, other_token=st.booleans())
    def release_as_a_stranger(self, pick: int, other_token: bool) -> None:
        """Somebody gives back what is not theirs."""
        if not self.holds:
            return
        lease = self._picked(pick).lease
        holder, token = "stranger#node#1#ff", lease.known_token
        if other_token and token is not None:
            holder, token = lease.holder, max(self.highest.values(), default=0) + 1_000_000
        forged = Lease(lease.key, holder, token, slot=lease.slot)

        assert not self.store.release(forged)

        now = self.now()
        held = self.store.peek(lease.key)
        left = {one.holder for one in held.holders} if held is not None else set()
        robbed = [h for h in self._believers(lease.key) if h.lease.holder not in left]
        assert all(h.deadline <= self.now() or h.deadline <= now for h in robbed), "freed"

    @rule(picks=st.lists(PICK, min_size=1, max_size=4), ttl=st.integers(5, 40))
    def renew(self, picks: list[int], ttl: int) -> None:
        """Some holders renew their leases in one call."""
        if not self.holds:
            return
        holds = list(dict.fromkeys(self._picked(pick) for pick in picks))
        sent = self.now()
        outcomes = self.store.renew([(hold.lease, ttl * self.unit) for hold in holds])
        answered = self.now()
        for hold, outcome in zip(holds, outcomes, strict=True):
            if outcome is Outcome.RENEWED:
                if hold.lease.known_token is not None:
                    highest = self.highest[hold.lease.key, hold.lease.slot]
                    assert hold.lease.token == highest, "an old lease was revived"
                hold.deadline = self._deadline(sent, ttl * self.unit)
            elif outcome is Outcome.LOST and not hold.ended:
                assert hold.deadline <= answered, "a lease was lost before its time"
                hold.ended = True

    @precondition(lambda self: self.claims)
    @rule(pick=PICK)
    def undo(self, pick: int) -> None:
        """A claimant that has heard nothing takes its claim back."""
        claim = self.claims[-1 - pick % min(len(self.claims), 6)]
        self.store.undo(claim)
        self.undone.add(claim.holder)
        for hold in self.holds:
            if hold.claim is claim:
                hold.ended = True
        self.floors = [floor for floor in self.floors if floor.claim is not claim]

    @rule(pick=PICK)
    def free(self, pick: int) -> None:
        """A holder is dead, and somebody who saw it ends its lease."""
        if not self.holds:
            return
        hold = self._picked(pick)
        self.store.free(hold.lease.key, hold.lease.holder)
        for other in self._of(hold.lease.key):
            other.ended = other.ended or other.lease.holder == hold.lease.holder

    @rule(share=st.sampled_from([1, 3, 10, 45]))
    def wait(self, share: int) -> None:
        """Time passes."""
        self.elapse(share * self.unit)

    # -- what must hold ----------------------------------------------------------------------

    def _new_claim(self, key: str, task: str, ttl: int, at_least: int, limit: int) -> Claim:
        self.number += 1
        return Claim(
            key,
            f"{task}#node#1#{self.number:04x}",
            ttl * self.unit,
            at_least * self.unit if Feature.FLOORS in self.features else 0.0,
            watching=ttl % 2 == 0,
            limit=limit if Feature.PERMITS in self.features else 1,
        )

    def _claim(self, claim: Claim) -> None:
        sent = self.now()
        answer = self.store.acquire(claim)
        if isinstance(answer, Lease):
            name = f"{answer.slot} {answer.holder} {answer.known_token}"
            new = name not in self.seen  # one asked for again counts from its first grant
            self._see_grant(claim, answer, self.now())
            hold = self._own(claim, answer)
            hold.deadline = max(hold.deadline, self._deadline(sent, claim.ttl))
            if claim.at_least and new:
                self.floors.append(Floor(claim, answer.slot, sent + claim.at_least))
        else:
            assert isinstance(answer, Held)
            believers = [h for h in self._believers(claim.key) if h.deadline > self.now()]
            assert all(h.claim.holder != claim.holder for h in believers), "refused its own lease"

    def _see_grant(self, claim: Claim, lease: Lease, answered: float) -> None:
        assert self.forgets or claim.holder not in self.undone, "an undone claim was granted"
        name = f"{lease.slot} {lease.holder} {lease.known_token}"
        taken: dict[int, int] = {}
        for hold in self._believers(claim.key):
            if hold.deadline <= answered:
                continue
            if hold.claim.holder == claim.holder:
                same = hold.lease.known_token == lease.known_token and hold.lease.slot == lease.slot
                assert same, "the same holder, another lease"
                continue
            assert hold.claim.task_id != claim.task_id, "one task in two places"
            assert hold.lease.slot != lease.slot, "two holders of one slot"
            taken[hold.lease.slot] = hold.claim.limit
        if name not in self.seen:
            for floor in self.floors:
                ours = floor.claim.key == claim.key and floor.claim.task_id != claim.task_id
                if ours and floor.until > answered:
                    assert floor.slot != lease.slot, "let in above a floor"
                    taken.setdefault(floor.slot, floor.claim.limit)
            smallest = min([claim.limit, *taken.values()])
            assert len(taken) + 1 <= smallest, "more companions than a lease was claimed with"
            if lease.known_token is not None:
                highest = self.highest.get((claim.key, lease.slot), 0)
                assert lease.token > highest, "a token that does not grow"
        if lease.known_token is not None:
            self.highest[claim.key, lease.slot] = lease.token
        self.seen.add(name)

    def teardown(self) -> None:
        """Whatever has happened, a key is free at last."""
        self.elapse(61 * self.unit)
        self.elapse(self.store.coarse)
        for key in "ab":
            last = self.store.acquire(Claim(key, "last#node#1#00", self.unit))
            assert isinstance(last, Lease), "a key that stays locked"
            if last.known_token is not None:
                assert last.token > self.highest.get((key, 0), 0), "a token that does not grow"
        self.store.close()

    # -- words -------------------------------------------------------------------------------

    def _deadline(self, sent: float, ttl: float) -> float:
        return sent + ttl * (1 - DRIFT) - MARGIN

    def _picked(self, pick: int) -> Hold:
        return self.holds[-1 - pick % min(len(self.holds), 6)]

    def _of(self, key: str) -> list[Hold]:
        return [hold for hold in self.holds if hold.claim.key == key]

    def _believers(self, key: str) -> list[Hold]:
        return [hold for hold in self._of(key) if not hold.ended]

    def _own(self, claim: Claim, lease: Lease) -> Hold:
        for hold in self._of(claim.key):
            same = hold.lease.holder == lease.holder and hold.lease.slot == lease.slot
            if same and hold.lease.known_token == lease.known_token:
                return hold
        self.holds.append(Hold(claim, lease, 0.0))
        return self.holds[-1]

    def all_is_lost(self, key: str | None = None) -> None:
        """Somebody has emptied the store, or one key: only the tokens are still promised."""
        for hold in self.holds:
            hold.ended = hold.ended or key in (None, hold.claim.key)
        self.floors = [floor for floor in self.floors if key not in (None, floor.claim.key)]
        self.undone.clear()


def play(machine: Callable[[], StoreMachine], *, examples: int = 50, steps: int = 50) -> None:
    """Play so many random plays of so many steps at most; raises `AssertionError` with the
    shortest play that breaks a promise."""
    make: Any = machine  # hypothesis says that it wants a class; anything that makes one will do
    every: Any = HealthCheck  # some checkers do not see that a class of checks lists them
    run_state_machine_as_test(
        make,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(every),
        ),
    )
