"""A random play of holders on one store, and what must hold whatever they do."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from celery_lock.model import Claim, Held, Lease, LockStore, Outcome
from celery_lock.model.lease import DRIFT, MARGIN

KEYS = st.sampled_from(["a", "b"])
TASKS = st.sampled_from(["t1", "t2", "t3"])
PICK = st.integers(0, 1_000_000)


@dataclass(eq=False)
class Hold:
    """A lease as its holder sees it."""

    claim: Claim
    lease: Lease
    deadline: float
    ended: bool = False
    """Given back, undone, or lost by our own doing (a flush): nothing is promised any more."""


@dataclass(eq=False)
class Floor:
    claim: Claim
    until: float


class StoreMachine(RuleBasedStateMachine):
    """Subclasses bring the store, its clock, and what may befall it.

    Never more than one holder believes in its lease; the tokens of a key only grow; a stranger
    frees nothing; nobody is kept out for longer than the longest lease and floor.

    No rule is ruled out by what the store has answered: that depends on real time on a server, and
    Hypothesis wants the same choices to lead to the same plays. A rule that has nothing to do then
    does nothing.
    """

    unit = 1.0
    """Seconds: leases live 5 to 40 of these."""
    forgets = False
    """The marks of a state (released, undone) may be gone before they are asked for."""

    store: LockStore

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.holds: list[Hold] = []
        self.claims: list[Claim] = []
        self.floors: list[Floor] = []
        self.undone: set[str] = set()
        self.highest = {"a": 0, "b": 0}
        self.seen: set[int] = set()

    def now(self) -> float:
        raise NotImplementedError

    def elapse(self, seconds: float) -> None:
        raise NotImplementedError

    # -- rules -------------------------------------------------------------------------------

    @rule(
        key=KEYS, task=TASKS, ttl=st.integers(5, 40), at_least=st.sampled_from([0, 0, 0, 3, 30, 60])
    )
    def claim(self, key: str, task: str, ttl: int, at_least: int) -> None:
        self.number += 1
        holder = f"{task}#node#1#{self.number:04x}"
        claim = Claim(key, holder, ttl * self.unit, at_least * self.unit, watching=ttl % 2 == 0)
        self.claims.append(claim)
        self._claim(claim)

    @precondition(lambda self: self.claims)
    @rule(pick=PICK)
    def claim_again(self, pick: int) -> None:
        """The first answer was lost, or the claim arrives late."""
        self._claim(self.claims[-1 - pick % min(len(self.claims), 6)])

    @rule(key=KEYS, task=TASKS, ttl=st.integers(5, 40))
    def claim_and_never_hear_of_it(self, key: str, task: str, ttl: int) -> None:
        self.number += 1
        claim = Claim(key, f"{task}#node#1#{self.number:04x}", ttl * self.unit)
        answer = self.store.acquire(claim)
        if isinstance(answer, Lease):
            self._see_grant(claim, answer, self.now())
        self.claims.append(claim)

    @rule(pick=PICK)
    def release(self, pick: int) -> None:
        if not self.holds:
            return
        hold = self._picked(pick)
        believed = not hold.ended
        said = self.store.release(hold.lease)
        if believed and hold.deadline > self.now():
            assert said, "a release in time was refused"
        hold.ended = True

    @rule(pick=PICK, other_token=st.booleans())
    def release_as_a_stranger(self, pick: int, other_token: bool) -> None:
        if not self.holds:
            return
        lease = self._picked(pick).lease
        if other_token:
            forged = Lease(lease.key, lease.holder, self.highest[lease.key] + 1)
        else:
            forged = Lease(lease.key, "stranger#node#1#ff", lease.token)
        before = self.store.peek(lease.key)

        assert not self.store.release(forged)

        after, now = self.store.peek(lease.key), self.now()
        if before is not None and after is None:
            assert not any(h.deadline > now for h in self._believers(lease.key)), "freed"

    @rule(picks=st.lists(PICK, min_size=1, max_size=4), ttl=st.integers(5, 40))
    def renew(self, picks: list[int], ttl: int) -> None:
        if not self.holds:
            return
        holds = list(dict.fromkeys(self._picked(pick) for pick in picks))
        sent = self.now()
        outcomes = self.store.renew([(hold.lease, ttl * self.unit) for hold in holds])
        answered = self.now()
        for hold, outcome in zip(holds, outcomes, strict=True):
            if outcome is Outcome.RENEWED:
                assert hold.lease.token == self.highest[hold.lease.key], "an old lease was revived"
                hold.deadline = self._deadline(sent, ttl * self.unit)
            elif not hold.ended:
                assert hold.deadline <= answered, "a lease was lost before its time"
                hold.ended = True

    @precondition(lambda self: self.claims)
    @rule(pick=PICK)
    def undo(self, pick: int) -> None:
        claim = self.claims[-1 - pick % min(len(self.claims), 6)]
        self.store.undo(claim)
        self.undone.add(claim.holder)
        for hold in self.holds:
            if hold.claim is claim:
                hold.ended = True
        self.floors = [floor for floor in self.floors if floor.claim is not claim]

    @rule(share=st.sampled_from([1, 3, 10, 45]))
    def wait(self, share: int) -> None:
        self.elapse(share * self.unit)

    # -- what must hold ----------------------------------------------------------------------

    def _claim(self, claim: Claim) -> None:
        sent = self.now()
        answer = self.store.acquire(claim)
        if isinstance(answer, Lease):
            new = answer.token not in self.seen  # one asked for again counts from its first grant
            self._see_grant(claim, answer, self.now())
            hold = self._own(claim, answer)
            hold.deadline = max(hold.deadline, self._deadline(sent, claim.ttl))
            if claim.at_least and new:
                self.floors.append(Floor(claim, sent + claim.at_least))
        else:
            assert isinstance(answer, Held)
            believers = [h for h in self._believers(claim.key) if h.deadline > self.now()]
            assert all(h.claim.holder != claim.holder for h in believers), "refused its own lease"

    def _see_grant(self, claim: Claim, lease: Lease, answered: float) -> None:
        assert self.forgets or claim.holder not in self.undone, "an undone claim was granted"
        for hold in self._believers(claim.key):
            if hold.claim.holder != claim.holder:
                assert hold.deadline <= answered, "two holders at once"
            elif hold.deadline > answered:
                assert hold.lease.token == lease.token, "the same holder, another token"
        if lease.token not in self.seen:
            assert lease.token > self.highest[claim.key], "a token that does not grow"
            for floor in self.floors:
                if floor.claim.key == claim.key and floor.claim.task_id != claim.task_id:
                    assert floor.until <= answered, "let in above a floor"
        self.highest[claim.key] = max(self.highest[claim.key], lease.token)
        self.seen.add(lease.token)

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        self.elapse(61 * self.unit)
        for key in "ab":
            last = self.store.acquire(Claim(key, "last#node#1#00", self.unit))
            assert isinstance(last, Lease), "a key that stays locked"
            assert last.token > self.highest[key], "a token that does not grow"
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
            if hold.lease.token == lease.token:
                return hold
        self.holds.append(Hold(claim, lease, 0.0))
        return self.holds[-1]

    def _all_is_lost(self, key: str | None = None) -> None:
        """Somebody has emptied the store: only the tokens are still promised."""
        for hold in self.holds:
            hold.ended = hold.ended or key in (None, hold.claim.key)
        self.floors = [floor for floor in self.floors if key not in (None, floor.claim.key)]
        self.undone.clear()
