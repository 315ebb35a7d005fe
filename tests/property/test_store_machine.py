"""Random plays on every store: one holder at a time, tokens that grow, strangers that free nothing.

On Redis with leases of milliseconds, states that are forgotten after a few more, connections
that die and a server that is emptied in between; in memory with a clock that jumps. And the Lua
of the one against the Python of the other, step by step, on the same injected time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from celery_lock.contract.fuzz import KEYS, PICK, TASKS, StoreMachine, play
from celery_lock.model import Change, Claim, Completion, End, Held, Holder, Lease, Refused
from celery_lock.model.publication import short
from celery_lock.stores.manual_clock import ManualClock
from celery_lock.stores.memory import MemoryServer, MemoryStore
from celery_lock.stores.redis import RedisStore
from celery_lock.stores.redis import records as redis_records
from celery_lock.stores.redis import renewals as redis_renewals
from celery_lock.stores.redis import several as redis_several
from celery_lock.stores.redis import store as redis_verbs
from celery_lock.stores.redis.link.script import Script
from celery_lock.stores.redis.scripts import composed
from tests.house import PACKAGE
from tests.services.redis_server import RedisServer

pytestmark = pytest.mark.property


# -- in memory -------------------------------------------------------------------------------


class OnMemory(StoreMachine):
    unit = 1.0

    def __init__(self) -> None:
        self.clock = ManualClock(1000.0)
        self.holders_clock = 0.0
        self.back = 0
        super().__init__()

    def open_store(self) -> MemoryStore:
        return MemoryStore(MemoryServer(self.clock, epoch=1e6), grace=1e6, deadline=1e6)

    def now(self) -> float:
        return self.holders_clock

    def elapse(self, seconds: float) -> None:
        self.holders_clock += seconds
        self.clock.move(seconds)

    @precondition(lambda self: self.back < 50)
    @rule(seconds=st.integers(1, 10))
    def set_back_the_stores_clock(self, seconds: int) -> None:
        """By less than the grace in all: beyond it, a token that is forgotten may come again."""
        self.back += seconds
        self.clock.move(-seconds)

    def teardown(self) -> None:
        self.elapse(self.back)
        super().teardown()


class OnForgetfulMemory(StoreMachine):
    unit = 1.0
    forgets = True

    def __init__(self) -> None:
        self.clock = ManualClock(1000.0)
        super().__init__()

    def open_store(self) -> MemoryStore:
        return MemoryStore(MemoryServer(self.clock, epoch=1e6), grace=2.0)

    def now(self) -> float:
        return self.clock()

    def elapse(self, seconds: float) -> None:
        self.clock.move(seconds)


def test_random_plays_in_memory() -> None:
    play(OnMemory, examples=80, steps=50)


def test_random_plays_in_a_memory_that_forgets() -> None:
    play(OnForgetfulMemory, examples=50, steps=50)


# -- on Redis, in real time ------------------------------------------------------------------


class Forgetful(RedisStore):
    GRACE = 0.003


class OnRedis(StoreMachine):
    forgets = True

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__()
        self.witness = RedisStore(url, deadline=10.0)

    def open_store(self) -> RedisStore:
        return Forgetful(self.url, prefix=f"play:{self.number}:", deadline=10.0)

    def say(self, *parts: str | int) -> Any:
        return self.witness._server.say(*parts)

    @rule()
    def empty_the_server(self) -> None:
        self.say("FLUSHALL")
        self.all_is_lost()

    @rule(key=KEYS)
    def evict_a_key(self, key: str) -> None:
        assert isinstance(self.store, RedisStore)
        self.say("DEL", self.store._state(key))
        self.all_is_lost(key)

    @rule()
    def forget_the_scripts(self) -> None:
        self.say("SCRIPT", "FLUSH")

    @rule()
    def kill_the_connections(self) -> None:
        self.say("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def teardown(self) -> None:
        super().teardown()
        self.witness.close()


def test_random_plays_on_redis(redis_url: str) -> None:
    play(lambda: OnRedis(redis_url), examples=30, steps=40)


# -- the Lua against the Python --------------------------------------------------------------

FROM_THE_CLOCK = "local time = redis.call('TIME')\nlocal now = time[1] * 1000000 + time[2]\n"
FROM_A_KEY = "local now = tonumber(redis.call('GET', 'now'))\n"

LIMITS = st.sampled_from([1, 2, 3, 4, 5, 5])
ONE_KEY_MOSTLY = st.sampled_from(["a", "a", "a", "b"])
PUBLICATIONS = st.sampled_from(["", "p1", "p2", "p3", "p4", "long " * 40])


class Agreement(RuleBasedStateMachine):
    """The Lua is asked what the pure functions are asked, at the same time, and answers the same.

    Of claims with limits of 1 to 5, so that deploys which change a limit are among the plays.
    """

    def __init__(self, server: RedisServer) -> None:
        super().__init__()
        self.clock = ManualClock(1_000_000.0)
        self.redis = RedisStore(server.url, deadline=10.0)
        self.redis._grace = 10**12
        self.memory = MemoryStore(MemoryServer(self.clock, epoch=0.0), grace=1e6, deadline=10.0)
        self.redis._server.say("FLUSHALL")
        self.claims: list[Claim] = []
        self.leases: list[Lease] = []
        self.marks = [""]
        self._tell_the_time()

    def _tell_the_time(self) -> None:
        self.redis._server.say("SET", "now", round(self.clock() * 1e6))

    @rule(seconds=st.sampled_from([0.000001, 0.5, 3.0, 10.0, 31.0, -0.5, -20.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.move(seconds)
        self._tell_the_time()

    @rule(
        key=ONE_KEY_MOSTLY,
        task=TASKS,
        nonce=st.integers(0, 5),
        ttl=st.sampled_from([1.0, 5.0, 30.0]),
        at_least=st.sampled_from([0.0, 0.0, 2.0, 40.0]),
        publication=PUBLICATIONS,
        watching=st.booleans(),
        limit=LIMITS,
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
        watching: bool,
        limit: int,
        since: int | None,
        retry_no: int,
        unconfirmed: bool,
    ) -> None:
        self._claim(
            Claim(
                key,
                f"{task}#n#1#{nonce}",
                ttl,
                at_least,
                publication,
                watching,
                copy_since=None if since is None else self.marks[since % len(self.marks)],
                heir_of=str(Holder.for_retry(task, retry_no)) if retry_no else "",
                limit=limit,
                unconfirmed=unconfirmed,
            )
        )

    @precondition(lambda self: self.claims)
    @rule(pick=PICK)
    def claim_again(self, pick: int) -> None:
        self._claim(self.claims[pick % len(self.claims)])

    def _claim(self, claim: Claim) -> None:
        self.claims.append(claim)
        ours, theirs = self.memory.acquire(claim), self.redis.acquire(claim)
        if isinstance(ours, Lease):
            assert isinstance(theirs, Lease), theirs
            assert (ours.key, ours.holder, ours.token) == (theirs.key, theirs.holder, theirs.token)
            assert ours.slot == theirs.slot
            self.leases.append(ours)
        else:
            self._same(ours, theirs)
            self.marks.append(ours.mark)

    @precondition(lambda self: len({claim.key for claim in self.claims}) > 1)
    @rule(picks=st.lists(PICK, min_size=2, max_size=4), new=st.booleans())
    def claim_together(self, picks: list[int], new: bool) -> None:
        by_key = {}
        for pick in picks:
            claim = self.claims[pick % len(self.claims)]
            by_key[claim.key] = claim
        claims = list(by_key.values())
        if new:  # of one holder, which may be nobody's yet
            holder = f"{claims[0].task_id}#n#1#{picks[0] % 7 + 10}"
            of_one = len({claim.task_id for claim in claims}) == 1
            claims = [
                replace(claim, holder=holder, heir_of=claim.heir_of if of_one else "")
                for claim in claims
            ]
            self.claims += claims
        ours, theirs = self.memory.acquire_all(claims), self.redis.acquire_all(claims)
        if isinstance(ours, Refused):
            assert isinstance(theirs, Refused), theirs
            assert ours.index == theirs.index
            self._same(ours.held, theirs.held)
            self.marks.append(ours.held.mark)
        else:
            assert isinstance(theirs, list), theirs
            for one, other in zip(ours, theirs, strict=True):
                assert (one.key, one.holder, one.token) == (other.key, other.holder, other.token)
                assert one.slot == other.slot
            self.leases += ours

    @precondition(lambda self: self.leases)
    @rule(picks=st.lists(PICK, min_size=1, max_size=4), heir=st.sampled_from([0, 0, 1]))
    def release_together(self, picks: list[int], heir: int) -> None:
        releases: list[tuple[Lease, End | None]] = []
        for pick in picks:
            lease = self.leases[pick % len(self.leases)]
            kept = str(Holder.for_retry(Holder.parse(lease.holder).task_id, heir)) if heir else ""
            end = End(publication=f"p{pick % 4}", remember=1e6, heir=kept, heir_ttl=20.0)
            releases.append((lease, end if pick % 2 else None))
        assert self.memory.release_all(releases) == self.redis.release_all(releases)

    @precondition(lambda self: self.leases)
    @rule(
        pick=PICK,
        other=st.integers(-1, 1),
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
        other: int,
        heir: int,
        publication: str,
        own: bool,
        if_met: bool,
        shown: str,
        floor: float,
    ) -> None:
        lease = self.leases[pick % len(self.leases)]
        task = Holder.parse(lease.holder).task_id
        if own:  # as a worker does it
            publication = next(
                claim.publication for claim in self.claims if claim.holder == lease.holder
            )
        end = End(
            publication=publication,
            remember=1e6,  # longer than any play: a server forgets by a clock of its own
            if_met=if_met,
            heir=str(Holder.for_retry(task, heir)) if heir else "",
            heir_ttl=20.0,
            heir_publication=shown,
            floor=floor,
        )
        token = lease.token + other * 10**12 * (pick % 3 == 0)
        lease = Lease(lease.key, lease.holder, token, slot=lease.slot)
        plain = not publication and not heir and not floor
        ends = (lease, None) if plain else (lease, end)
        assert self.memory.release(*ends) == self.redis.release(*ends)

    @rule(
        completions=st.lists(
            st.tuples(ONE_KEY_MOSTLY, PUBLICATIONS).map(lambda of: Completion(*of, 1e6)), max_size=3
        )
    )
    def complete(self, completions: list[Completion]) -> None:
        self.memory.complete(completions)
        self.redis.complete(completions)

    @precondition(lambda self: self.leases)
    @rule(picks=st.lists(PICK, min_size=1, max_size=5), ttl=st.sampled_from([1.0, 10.0, 60.0]))
    def renew(self, picks: list[int], ttl: float) -> None:
        renewals = [(self.leases[pick % len(self.leases)], ttl) for pick in picks]
        assert self.memory.renew(renewals) == self.redis.renew(renewals)

    @precondition(lambda self: self.claims)
    @rule(pick=PICK)
    def undo(self, pick: int) -> None:
        claim = self.claims[pick % len(self.claims)]
        self.memory.undo(claim)
        self.redis.undo(claim)

    @precondition(lambda self: self.claims)
    @rule(pick=PICK, whole=st.booleans(), retry_no=st.sampled_from([0, 0, 1]), floor=st.booleans())
    def free(self, pick: int, whole: bool, retry_no: int, floor: bool) -> None:
        claim = self.claims[pick % len(self.claims)]
        named = claim.holder if whole else claim.holder.rpartition("#")[0] + "#"
        if retry_no:
            named = str(Holder.for_retry(claim.task_id, retry_no))
        ours = self.memory.free(claim.key, named, floor=floor)
        self._same(ours, self.redis.free(claim.key, named, floor=floor))

    @rule(key=KEYS)
    def look(self, key: str) -> None:
        self._same(self.memory.peek(key), self.redis.peek(key))

    def _same(self, ours: Held | None, theirs: object) -> None:
        if ours is None:
            assert theirs is None
            return
        assert isinstance(theirs, Held), theirs
        assert _shown(ours) == _shown(theirs)

    def teardown(self) -> None:
        for key in "ab":
            self.look(key)
        self.redis.close()


def _shown(held: Held) -> dict[str, Any]:
    """Every field of an answer: a long publication as the store has it, times to a microsecond."""

    def shown(name: str, value: Any) -> Any:
        if name == "publication":
            return short(value)
        return round(value, 6) if isinstance(value, float) else value

    fields = {name: shown(name, value) for name, value in vars(held).items()}
    fields["holders"] = [
        {name: shown(name, value) for name, value in vars(one).items()} for one in held.holders
    ]
    return fields


def time_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all scripts of leases run in the time that a test moves."""
    for name in ("acquire_all", "release_all"):
        monkeypatch.setattr(redis_several, name.upper(), timed(name, composed(name)))
    monkeypatch.setattr(redis_renewals, "RENEW", timed("renew", composed("renew")))
    for name in ("acquire", "release", "complete", "undo", "free", "peek"):
        monkeypatch.setattr(redis_verbs, name.upper(), timed(name, composed(name)))


def test_the_scripts_and_the_transitions_agree(
    redis_server: RedisServer, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    time_scripts(monkeypatch)

    play(lambda: Agreement(redis_server), examples=100, steps=60)


def timed(name: str, text: str) -> Script:
    """A script that reads the time from a key."""
    assert text.count(FROM_THE_CLOCK) == 1
    return Script(name, text.replace(FROM_THE_CLOCK, FROM_A_KEY))


ENTRIES = st.sampled_from(["nightly", "hourly", ""])
STAMPS = st.sampled_from(["one", "two", "three"])


class RecordAgreement(RuleBasedStateMachine):
    """Both stores are told of the same records at the same time, and have to answer the same."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__()
        self.clock = ManualClock(1_000_000.0)
        self.redis = RedisStore(server.url, deadline=10.0)
        self.memory = MemoryStore(MemoryServer(self.clock, epoch=0.0))
        self.redis._server.say("FLUSHALL")
        self._tell_the_time()

    def _tell_the_time(self) -> None:
        self.redis._server.say("SET", "now", round(self.clock() * 1e6))

    @rule(seconds=st.sampled_from([0.000001, 0.5, 30.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        """Never back: what has ended is forgotten by one of them sooner than by the other."""
        self.clock.move(seconds)
        self._tell_the_time()

    @rule(
        name=ENTRIES,
        expected=st.none() | STAMPS,
        stamp=STAMPS,
        value=st.sampled_from(["x", "y"]),
        ttl=st.sampled_from([60.0, 120.0, 300.0]),  # no play lasts so long by the server's clock
        early=st.sampled_from([-1000.0, 0.0, 0.000001, 1.0]),
        informed=st.booleans(),
    )
    def change(
        self,
        name: str,
        expected: str | None,
        stamp: str,
        value: str,
        ttl: float,
        early: float,
        informed: bool,
    ) -> None:
        [standing], now = self.memory.records("s", [name])
        if informed:
            expected = None if standing is None else standing.stamp
        change = Change("s", name, expected, stamp, value, ttl, now + early)

        assert self.memory.change(change) == self.redis.change(change)

    @rule(names=st.lists(ENTRIES, max_size=3))
    def look(self, names: list[str]) -> None:
        assert self.memory.records("s", names) == self.redis.records("s", names)
        assert self.memory.names("s") == self.redis.names("s")

    def teardown(self) -> None:
        self.look(["nightly", "hourly", ""])
        self.redis.close()


def test_the_scripts_and_the_memory_store_agree_on_records(
    redis_server: RedisServer, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("change", "records", "names"):
        text = (PACKAGE / "stores" / "redis" / "lua" / f"{name}.lua").read_text()
        monkeypatch.setattr(redis_records, name.upper(), timed(name, text))

    play(lambda: RecordAgreement(redis_server), examples=50, steps=60)
