"""The store on etcd against the transitions: step by step, on one clock, with one answer.

The cluster is played in memory. What has ended by the transitions' clock ends there too: etcd
itself keeps it for some seconds more, and says so.
"""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from celery_lock.contract.fuzz import KEYS, PICK, TASKS, StoreMachine, play
from celery_lock.model import Claim, Completion, End, Held, Holder, Lease, Refused
from celery_lock.model.holder import task_id_of
from celery_lock.stores.entries import read_state
from celery_lock.stores.entry_names import EntryNames
from celery_lock.stores.etcd import EtcdStore
from celery_lock.stores.etcd.names import Names
from celery_lock.stores.key_state import KeyState, Permit
from celery_lock.stores.manual_clock import ManualClock
from celery_lock.stores.memory import MemoryServer, MemoryStore
from tests.fake_etcd import EPOCH, FakeEtcd

pytestmark = pytest.mark.property

ONE_KEY_MOSTLY = st.sampled_from(["a", "a", "a", "b"])
PUBLICATIONS = st.sampled_from(["", "p1", "p2", "p3", "p4"])
LONG = 1e6


class Agreement(RuleBasedStateMachine):
    """Both are asked the same at the same time, and answer the same."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(1000.0)
        self.server = MemoryServer(self.clock, epoch=EPOCH)
        self.memory = MemoryStore(self.server, grace=LONG, deadline=10.0)
        self.fake = FakeEtcd(self.clock)
        self.fake.lives_longer = LONG
        self.etcd = self.fake.store("")
        self.names = Names("")
        self.claims: list[Claim] = []
        self.leases: list[tuple[Lease, Lease]] = []
        self.marks = [("", "")]
        self.undone: set[str] = set()

    # -- time --------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.5, 3.0, 10.0, 31.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.move(seconds)
        for name in list(self.fake.entries):
            if not self._lives(name):
                del self.fake.entries[name]

    def _tick(self) -> None:
        """No two things happen at once: etcd knows which was first, and a clock does not."""
        self.clock.move(1e-6)

    def _state(self, key: str) -> KeyState:
        entry = self.server.entries.get(EntryNames("").state(key))
        return read_state(None if entry is None else entry.text)

    def _lives(self, name: bytes) -> bool:
        kv = self.fake.entries[name]
        value: dict[str, Any] = json.loads(b64decode(kv.value))
        key, rest = self.names.key_of(name) if b"/lock/" in name else ("", "")
        now = self.server.now()
        if rest[:1] == "r":
            return True  # memory remembers as long
        if rest[:1] not in ("l", "a"):
            return kv.at + float(value.get("d", LONG)) > self.clock()
        slot = value["slot"] if rest[0] == "a" else int(rest[1:].partition("-")[0])
        permit = next((one for one in self._state(key).permits if one.slot == slot), None)
        if permit is None:
            return False
        if rest[0] == "a":
            return permit.holder == value["by"] and permit.took_over[1] > now
        return permit.holder == value["h"] and permit.expiry > now

    # -- claims ------------------------------------------------------------------------------

    @rule(
        key=ONE_KEY_MOSTLY,
        task=TASKS,
        nonce=st.integers(0, 5),
        ttl=st.sampled_from([1.0, 5.0, 30.0]),
        at_least=st.sampled_from([0.0, 0.0, 2.0, 40.0]),
        publication=PUBLICATIONS,
        since=st.none() | PICK,
        retry_no=st.sampled_from([0, 0, 0, 1, 2]),
        unconfirmed=st.sampled_from([False, False, True]),
    )
    def claim(
        self,
        key: str,
        task: str,
        nonce: int,
        ttl: float,
        at_least: float,
        publication: str,
        since: int | None,
        retry_no: int,
        unconfirmed: bool,
    ) -> None:
        claim = Claim(
            key,
            f"{task}#n#1#{nonce}",
            ttl,
            at_least,
            publication,
            copy_since=None if since is None else str(since % len(self.marks)),
            heir_of=str(Holder.for_retry(task, retry_no)) if retry_no else "",
            limit=1 + int(task[1:]) % 3,  # a floor keeps the limit of the claim that set it
            unconfirmed=unconfirmed,
        )
        self._claim(claim)

    @precondition(lambda self: self.claims)
    @rule(pick=PICK)
    def claim_again(self, pick: int) -> None:
        self._claim(self.claims[pick % len(self.claims)])

    def _claim(self, claim: Claim) -> None:
        self._tick()
        self.claims.append(claim)
        ours = self.memory.acquire(self._marked(claim, 0))
        theirs = self.etcd.acquire(self._marked(claim, 1))
        if isinstance(ours, Lease):
            assert isinstance(theirs, Lease), theirs
            self._granted(ours, theirs)
        else:
            assert isinstance(theirs, Held), theirs
            self._same(ours, theirs)
            self.marks.append((ours.mark, theirs.mark))

    def _marked(self, claim: Claim, whose: int) -> Claim:
        if claim.copy_since is None:
            return claim
        return replace(claim, copy_since=self.marks[int(claim.copy_since)][whose])

    def _granted(self, ours: Lease, theirs: Lease) -> None:
        assert (ours.key, ours.holder, ours.slot) == (theirs.key, theirs.holder, theirs.slot)
        for mine, other in self.leases:
            if (mine.key, mine.slot) == (ours.key, ours.slot):
                assert (ours.token > mine.token) == (theirs.token > other.token)
        self.leases.append((ours, theirs))

    @precondition(lambda self: len({claim.key for claim in self.claims}) > 1)
    @rule(picks=st.lists(PICK, min_size=2, max_size=4))
    def claim_together(self, picks: list[int]) -> None:
        self._tick()
        by_key = {}
        for pick in picks:
            claim = self.claims[pick % len(self.claims)]
            by_key[claim.key] = claim
        claims = list(by_key.values())
        ours = self.memory.acquire_all([self._marked(claim, 0) for claim in claims])
        theirs = self.etcd.acquire_all([self._marked(claim, 1) for claim in claims])
        if isinstance(ours, Refused):
            assert isinstance(theirs, Refused), theirs
            assert ours.index == theirs.index
            self._same(ours.held, theirs.held)
            self.marks.append((ours.held.mark, theirs.held.mark))
        else:
            assert isinstance(theirs, list), theirs
            for one, other in zip(ours, theirs, strict=True):
                self._granted(one, other)

    # -- ends --------------------------------------------------------------------------------

    @precondition(lambda self: self.leases)
    @rule(
        pick=PICK,
        heir=st.sampled_from([0, 0, 1, 2]),
        publication=PUBLICATIONS,
        own=st.booleans(),
        if_met=st.booleans(),
        shown=st.sampled_from(["", "", "of-a"]),
        floor=st.sampled_from([0.0, 0.0, 0.0, 2.0, 40.0]),
    )
    def release(
        self,
        pick: int,
        heir: int,
        publication: str,
        own: bool,
        if_met: bool,
        shown: str,
        floor: float,
    ) -> None:
        self._tick()
        ours, theirs = self.leases[pick % len(self.leases)]
        proven = self._proven(ours)
        if proven is None and not self._remembers(ours):
            return  # memory has forgotten it, and etcd has not yet
        task = Holder.parse(ours.holder).task_id
        if own:  # as a worker does it
            publication = next(
                claim.publication for claim in self.claims if claim.holder == ours.holder
            )
        if ours.holder in self.undone:
            floor = 0.0  # nobody gives back what he has undone
        end = End(
            publication=publication,
            remember=LONG,
            if_met=if_met,
            heir=str(Holder.for_retry(task, heir)) if heir else "",
            heir_ttl=20.0,
            heir_publication=shown,
            floor=floor,
        )
        assert self.memory.release(ours, end) == self.etcd.release(theirs, end)

    def _proven(self, lease: Lease) -> Permit | None:
        permits = self._state(lease.key).permits
        proof = (lease.holder, lease.token)
        return next((one for one in permits if (one.holder, one.token) == proof), None)

    def _remembers(self, lease: Lease) -> bool:
        proof = (lease.holder, lease.token)
        return any(one.released_before == proof for one in self._state(lease.key).permits)

    @rule(
        completions=st.lists(
            st.tuples(ONE_KEY_MOSTLY, PUBLICATIONS).map(lambda of: Completion(*of, LONG)),
            max_size=3,
        )
    )
    def complete(self, completions: list[Completion]) -> None:
        self._tick()
        self.memory.complete(completions)
        self.etcd.complete(completions)

    @precondition(lambda self: self.leases)
    @rule(picks=st.lists(PICK, min_size=1, max_size=5), ttl=st.sampled_from([1.0, 10.0, 60.0]))
    def renew(self, picks: list[int], ttl: float) -> None:
        self._tick()
        some = [self.leases[pick % len(self.leases)] for pick in dict.fromkeys(picks)]
        some = list({id(one): one for one in some}.values())
        ours = self.memory.renew([(one, ttl) for one, _ in some])
        assert ours == self.etcd.renew([(one, ttl) for _, one in some])

    @precondition(lambda self: self.claims)
    @rule(pick=PICK)
    def undo(self, pick: int) -> None:
        self._tick()
        claim = self.claims[pick % len(self.claims)]
        if any(one.floor_before for one in self._state(claim.key).permits):
            return  # memory keeps the limit of what was undone, beside the floor before it
        self.undone.add(claim.holder)
        self.memory.undo(claim)
        self.etcd.undo(claim)

    @precondition(lambda self: self.claims)
    @rule(pick=PICK, whole=st.booleans(), retry_no=st.sampled_from([0, 0, 1]), floor=st.booleans())
    def free(self, pick: int, whole: bool, retry_no: int, floor: bool) -> None:
        self._tick()
        claim = self.claims[pick % len(self.claims)]
        named = claim.holder if whole else claim.holder.rpartition("#")[0] + "#"
        if retry_no:
            named = str(Holder.for_retry(claim.task_id, retry_no))
        if floor:  # by the name that is shown, as who types it does
            shown = [store.peek(claim.key) for store in (self.memory, self.etcd)]
            floor = all(one is not None and one.holder == named for one in shown)
        ours = self.memory.free(claim.key, named, floor=floor)
        self._same(ours, self.etcd.free(claim.key, named, floor=floor))

    @rule(key=KEYS)
    def look(self, key: str) -> None:
        self._tick()
        self._same(self.memory.peek(key), self.etcd.peek(key))

    def _same(self, ours: Held | None, theirs: Held | None) -> None:
        if ours is None:
            assert theirs is None, theirs
            return
        assert theirs is not None, ours
        assert _shown(ours) == _shown(theirs), (_shown(ours), _shown(theirs))

    def teardown(self) -> None:
        for key in "ab":
            self.look(key)


def _shown(held: Held) -> dict[str, Any]:
    """What both have to say alike: not the token, nor when it ends by whose clock."""
    shown: dict[str, Any] = {
        "key": held.key,
        "met": held.met,
        "holders": [
            (one.slot, one.holder, one.live, one.publication, one.unconfirmed, one.since)
            if one.live
            else (one.slot, task_id_of(one.holder))  # of a floor the task is what counts
            for one in held.holders
        ],
    }
    if len(held.holders) == 1 and held.live:  # of several the one is named that comes free first
        shown |= {"holder": held.holder, "publication": held.publication, "since": held.since}
    return shown


class OnEtcdPlayed(StoreMachine):
    """A cluster that ends leases by its own time, and may forget all of them."""

    unit = 1.0
    forgets = True

    def __init__(self) -> None:
        self.clock = ManualClock(1000.0)
        self.fake = FakeEtcd(self.clock)
        super().__init__()

    def open_store(self) -> EtcdStore:
        return self.fake.store(f"{self.number}:")

    def now(self) -> float:
        return self.clock()

    def elapse(self, seconds: float) -> None:
        self.clock.move(seconds)

    @rule()
    def end_all_leases(self) -> None:
        for number in list(self.fake.leases):
            self.fake.end_lease(number)
        self.all_is_lost()


def test_random_plays_on_etcd() -> None:
    play(OnEtcdPlayed, examples=25, steps=30)


def test_the_store_on_etcd_and_the_transitions_agree() -> None:
    play(Agreement, examples=40, steps=30)  # type: ignore[arg-type]  # any machine will do
