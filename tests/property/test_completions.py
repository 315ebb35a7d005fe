"""Random plays of the engine: no copy is dropped for what was never told, none runs after it was.

Several processes deliver copies of a few messages, and end, crash, leave and tell; answers of the
store are lost, releases come again, leases run out under their bodies, keys are left to heirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from celery_lock.contract.fuzz import PICK, play
from celery_lock.engine.locker import Ask, Grant, Locker
from celery_lock.errors import StoreError
from celery_lock.events import Subject
from celery_lock.model import Claim, Completion, End, Held, Holder, Met
from celery_lock.stores.manual_clock import ManualClock
from celery_lock.stores.memory import MemoryServer, MemoryStore
from celery_lock.testing import FaultyStore
from celery_lock.testing.faults import CallName

pytestmark = pytest.mark.property

SUBJECT = Subject("t", "id", "k")
KEYS = {"p1": "k", "p2": "k", "p3": "l", "p4": "m", "p5": "n"}
MESSAGES = st.sampled_from(list(KEYS))
PROCESSES = st.integers(0, 1)
FAULTS = st.sampled_from(["", "", "lost", "refused"])
"""What becomes of a call."""
LONG = 1e6
"""Seconds that a record lives: longer than any play."""


@dataclass(eq=False)
class Run:
    """A body that runs, or has ended."""

    publication: str
    process: int
    grant: Grant
    end: End | None = None
    met: bool = False
    """A copy was refused while it had the key, or it may have been."""
    is_told: bool = False


class Completing(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(1000.0, jumps=True)
        self.server = MemoryServer(self.clock, epoch=1e6)
        self.stores: list[FaultyStore] = []
        self.lockers: list[Locker] = []
        for _ in range(2):
            self.stores.append(FaultyStore(MemoryStore(self.server), pause=self.clock.move))
            self.lockers.append(self.begin(self.stores[-1]))
        self.runs: list[Run] = []
        self.said: set[str] = set()
        """Of which publications somebody has said that all is out."""
        self.certain: set[str] = set()
        """Of which the store has heard it."""
        self.nonces = count()

    def begin(self, store: FaultyStore) -> Locker:
        return Locker(store, clock=self.clock, pause=self.clock.move, threads=False)

    def fail(self, process: int, call: CallName, fault: str) -> None:
        if fault:
            store = self.stores[process]
            (store.lose_answer if fault == "lost" else store.refuse)(call, times=1)

    @rule(
        message=MESSAGES,
        process=PROCESSES,
        fault=FAULTS,
        paused=st.booleans(),
        if_met=st.booleans(),
        again=st.booleans(),
    )
    def run(  # one after the other, as it usually goes: steps by chance come together too seldom
        self, message: str, process: int, fault: str, paused: bool, if_met: bool, again: bool
    ) -> None:
        known = len(self.runs)
        self.deliver(message, process, 1, "")
        if len(self.runs) == known:
            return
        if paused:
            self.stand_still(process)
        self.deliver(message, 1 - process, 1, "")
        self.end(known, if_met, False, fault)
        self.tell(known)
        if again:
            self.settle()
            self.a_release_comes_again(known)

    @rule(message=MESSAGES, process=PROCESSES, limit=st.sampled_from([1, 1, 2]), fault=FAULTS)
    def deliver(self, message: str, process: int, limit: int, fault: str) -> None:
        self.fail(process, "acquire", fault)
        holder = str(Holder(message, "n", process, f"{next(self.nonces)}"))
        claim = Claim(KEYS[message], holder, 30.0, publication=message, copy_since="", limit=limit)
        try:
            got = self.lockers[process].claim(Ask(claim, SUBJECT))
        except StoreError:
            return
        if isinstance(got, Grant):
            assert message not in self.certain, "it runs again after it was completed"
            self.runs.append(Run(message, process, got))
            return
        assert not got.done or message in self.said, "it is dropped, and nobody has said why"
        self._met(message, got)

    def _met(self, message: str, held: Held) -> None:
        for run in self.runs:
            if run.publication == message and held.met is Met.PUBLICATION:
                run.met |= held.holder == run.grant.lease.holder

    @precondition(lambda self: self.runs)
    @rule(pick=PICK, if_met=st.booleans(), retries=st.booleans(), fault=FAULTS)
    def end(self, pick: int, if_met: bool, retries: bool, fault: str) -> None:
        run = self.runs[pick % len(self.runs)]
        if run.end is not None:
            return
        heir = str(Holder.for_retry(run.publication, 1)) if retries else ""
        run.end = End(run.publication, LONG, if_met, heir, 5.0 if heir else 0.0)
        self.fail(run.process, "release", fault)
        # the store may know of the loss before this process does
        run.met |= run.grant.lease.lost
        self.lockers[run.process].release(run.grant, run.end)

    @precondition(lambda self: self.runs)
    @rule(pick=PICK)
    def tell(self, pick: int) -> None:
        """All that follows a run is out."""
        run = self.runs[pick % len(self.runs)]
        if run.end is None:
            return
        run.is_told = True
        self.said.add(run.publication)
        self.lockers[run.process].told(run.grant)

    @rule(process=PROCESSES)
    def complete_without_a_lease(self, process: int) -> None:
        if any(run.publication == "p5" for run in self.runs):
            return
        self.said.add("p5")
        self.lockers[process].complete(Completion(KEYS["p5"], "p5", LONG), SUBJECT)

    @precondition(lambda self: self.runs)
    @rule(pick=PICK)
    def a_release_comes_again(self, pick: int) -> None:
        run = self.runs[pick % len(self.runs)]
        if run.end is None:
            return
        self.stores[run.process].inner.release(run.grant.lease, run.end)

    @rule(process=PROCESSES, leaves=st.booleans(), unlikely=st.integers(0, 3))
    def end_a_process(self, process: int, leaves: bool, unlikely: int) -> None:
        if unlikely:
            return
        if leaves:
            self.stores[process].heal()
            self.lockers[process].move_on()
            self.lockers[process].completions.send_now()
            self._heard(process)
        self._begin_anew(process)

    def _begin_anew(self, process: int) -> None:
        self.lockers[process] = self.begin(self.stores[process])
        self.runs = [run for run in self.runs if run.process != process]

    @rule(seconds=st.sampled_from([0.2, 1.0, 9.0, 11.0]))
    def time_passes(self, seconds: float) -> None:
        until = self.clock() + seconds
        while self.clock() < until:
            due = min(*(locker.move_on() for locker in self.lockers), until)
            self.clock.move(max(due - self.clock(), 1e-3))

    @rule(process=PROCESSES)
    def stand_still(self, process: int) -> None:
        """The leases of a process that is paused run out under their bodies."""
        self.clock.move(31.0)
        self.lockers[process].keeper.notify_losses()

    @rule(fault=FAULTS, process=PROCESSES)
    def settle(self, fault: str = "", process: int = 0) -> None:
        for store in self.stores:
            store.heal()
        self.fail(process, "complete", fault)
        self.time_passes(3.0)
        for process in range(2):
            self._heard(process)

    def _heard(self, process: int) -> None:
        for run in self.runs:
            if (
                run.process == process
                and run.is_told
                and run.end
                and (not run.end.if_met or (run.met and run.grant.recorded is not None))
            ):
                self.certain.add(run.publication)


def test_a_copy_is_dropped_for_what_was_told_and_for_nothing_else() -> None:
    play(Completing, examples=80, steps=40)
