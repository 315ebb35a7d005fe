"""The guards of the package: what protects a promise, and which tests must miss it.

`old` is the exact text of the guard, found once in the whole package; `new` is what stands there
without it.
`tests` are what pytest is given. A test file is enough: the first failure ends the run.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GUARDS", "Guard"]

UNIT = "tests/unit/test_"
SAME = "tests/integration/test_requeue.py::test_a_message_sent_again_is_the_same_message"
MEMORY = "tests/contract/test_stores.py::TestMemory"
REDIS = "tests/contract/test_stores.py::TestRedis"
FAULTS = "tests/contract/test_redis_faults.py"
LIVES = "tests/contract/test_redis_lives.py"
RECORDS = "tests/contract/test_redis_records.py"
NAMES = "tests/contract/test_redis_names.py"
REDIS_PERMITS = "tests/contract/test_redis_permits.py"
COMPLETIONS = "tests/contract/test_completions.py"
REFUSALS = "tests/contract/test_redis_refusals.py"
REGISTERS = "tests/contract/test_zookeeper_registers.py"
AGREE = (
    "tests/property/test_store_machine.py::test_the_scripts_and_the_memory_store_agree_on_records"
)
MATRIX = (
    "tests/integration/test_endings.py"
    "::test_a_key_is_free_as_soon_as_the_end_is_seen_and_no_task_is_lost"
    "[{}, prefork, acks early]"
)


@dataclass(frozen=True)
class Guard:
    """One guard, and how to take it away."""

    name: str
    old: str
    new: str
    tests: tuple[str, ...]


REDLOCK = (
    Guard(
        "redlock: a node that was just started has no vote",
        "return self.votes_from > monotonic()",
        "return False",
        ("tests/contract/test_redlock.py",),
    ),
    Guard(
        "redlock: a majority is more than half of all nodes",
        "self.majority = self.count // 2 + 1",
        "self.majority = max(self.count // 2, 1)",
        ("tests/contract/test_redlock.py",),
    ),
    Guard(
        "redlock: a grant that comes when the claim is over is taken back",
        "if answers.undo is not None and isinstance(answer, (int, Exception)):",
        "if False:",
        ("tests/contract/test_redlock.py",),
    ),
    Guard(
        "redlock: each try of a claim has a name of its own",
        "self._numbers[known] = self._numbers.pop(known, 0) + 1",
        "self._numbers[known] = 0",
        (UNIT + "redlock_votes.py",),
    ),
    Guard(
        "redlock: of split votes one claim leads",
        "(self.grants, mine.name) > best and self.grants > 0",
        "self.grants > 0",
        (UNIT + "redlock_votes.py",),
    ),
    Guard(
        "redlock: one node that knows of the completion refuses a copy",
        "if one.met in (Met.UNDONE, Met.DONE, Met.ENDED):",
        "if one.met is Met.UNDONE:",
        (UNIT + "redlock_votes.py",),
    ),
    Guard(
        "redlock: a connection that was lost is made again before its node counts as away",
        "elif answers.is_over or not (isinstance(answer, ConnectionLost) and self._may_try_again):",
        "else:",
        ("tests/contract/test_redlock.py",),
    ),
    Guard(
        "redlock: one server under two names has one vote",
        "if other := same(self.run_id):",
        'if other := "":',
        ("tests/contract/test_redlock.py",),
    ),
    Guard(
        "redlock: a node that was away hears what it has missed",
        "self._nodes[at].missed.append((call, again))",
        "pass",
        ("tests/contract/test_redlock.py",),
    ),
    Guard(
        "redlock: a renewal asks for the votes of nodes that lack the lease",
        "self._claims.spread(lease, ttl, [one is False for one in known])",
        "pass",
        ("tests/contract/test_redlock.py",),
    ),
    Guard(
        "redlock: what a minority keeps of a lost lease is given up",
        "self._let_go(lease, known)",
        "pass",
        ("tests/contract/test_redlock.py",),
    ),
    Guard(
        "redlock: a node is found by a key that its user may see",
        'return checkup(self, self._nodes, self._state("celery-lock check"))',
        'return checkup(self, self._nodes, "celery-lock check")',
        ("tests/contract/test_redlock.py",),
    ),
)

STORES = (
    Guard(
        "a server that sentinels name is asked what it is",
        "self._verify(address, named, ends)",
        "pass",
        ("tests/contract/test_sentinel.py",),
    ),
    Guard(
        "of two primaries the one of the later fail-over counts",
        "key=lambda named: (named.epoch, len(named.by))",
        "key=lambda named: len(named.by)",
        ("tests/contract/test_sentinel.py",),
    ),
    Guard(
        "a sentinel that hangs has a share of the time alone",
        "until = begun + SHARE * (ends - begun)",
        "until = ends",
        ("tests/contract/test_sentinel.py",),
    ),
    Guard(
        "after a doubt the sentinels are asked again",
        "known.address = None\n",
        "pass\n",
        ("tests/contract/test_sentinel.py",),
    ),
    Guard(
        "a lease that too few replicas have is refused",
        "if last >= self.replicas:",
        "if True:",
        ("tests/contract/test_redis_replicas.py",),
    ),
    Guard(
        "a lease that too few replicas have is taken back",
        "self.undo(claim, within=(1 - SHARE) * self._server.deadline)",
        "pass",
        ("tests/contract/test_redis_replicas.py",),
    ),
    Guard(
        "a wait for replicas is never sent alone over a new connection",
        "piece = [*commands, *waits]\n        failure: Exception | None = None\n",
        "piece = [*commands, *waits]\n        failure: Exception | None = None\n"
        "        return self.acknowledged(connection.exchange_each(piece, ends), connection)\n",
        ("tests/contract/test_redis_replicas.py",),
    ),
    Guard(
        "no claim is sent to a server that may have forgotten leases",
        "self._guard.admit(self._seen)",
        "pass",
        ("tests/contract/test_redis_guard.py",),
    ),
    Guard(
        "a server that was a replica has kept all leases since it is known as the primary alone",
        "since = ARGV[3] == '1' and now or now - ARGV[2]",
        "since = now - ARGV[2]",
        ("tests/contract/test_redis_guard.py",),
    ),
    Guard(
        "a connection that was idle asks again how old its server is",
        "if seen is not None and now - seen.at < ASK_AGAIN:",
        "if seen is not None:",
        ("tests/contract/test_redis_guard.py",),
    ),
    Guard(
        "a ttl that a guarded store does not wait for is refused at the start",
        'refuse_long(store, lock.ttl, f"the lock of task {task}")',
        "pass",
        (UNIT + "features.py",),
    ),
    Guard(
        "a ttl that a guarded store does not wait for is refused in hold",
        "refuse_long(locker.store, ask.claim.ttl, self._who)",
        "pass",
        (UNIT + "features.py",),
    ),
    Guard(
        "a ttl that a guarded store does not wait for is refused by the store",
        "if claim.ttl > longest and not claim.unconfirmed:",
        "if False:",
        ("tests/contract/test_redis_guard.py",),
    ),
    Guard(
        "the sentinels are asked now and then, though nothing is wrong",
        "self._directory.look(ends)",
        "pass",
        ("tests/contract/test_sentinel.py",),
    ),
    Guard(
        "a sentinel that knows of an earlier fail-over changes no mind",
        "and (named.epoch > known.epoch or (named.epoch < 0 and heard.agreed))",
        "",
        ("tests/contract/test_sentinel.py",),
    ),
    Guard(
        "too few replicas are a reason to ask the sentinels",
        "connection.suspect()  # the replicas may follow another primary by now",
        "pass",
        ("tests/contract/test_sentinel.py",),
    ),
    Guard(
        "what a signal handler raises in a call is no answer of the store",
        "is_early = monotonic() < self.ends - _ROUNDED",
        "is_early = False",
        ("tests/contract/test_redis_faults.py",),
    ),
    Guard(
        "a store that lacks what a lock needs is refused",
        "refuse_what_lacks(store, self.bound)",
        "refuse_what_lacks(store, {})",
        (UNIT + "features.py",),
    ),
    Guard(
        "a store without tombstones is warned of",
        "if bound and Feature.COPIES not in store.features:",
        "if False:",
        (UNIT + "features.py",),
    ),
    Guard(
        "a store of another release is refused",
        "lacks = [name for name in _ASKED if not hasattr(store, name)]",
        "lacks: list[str] = []",
        (UNIT + "store_urls.py",),
    ),
    Guard(
        "a package does not take the place of a built-in store",
        "entries.setdefault(entry.name, entry)",
        "entries[entry.name] = entry",
        (UNIT + "store_urls.py",),
    ),
    Guard(
        "a token that a store does not have is not written",
        'return "" if token is None else f", token {token}"',
        'return f", token {token:d}"',
        (UNIT + "logs.py",),
    ),
    Guard(
        "release: the holder is compared (Redis)",
        "local his = k == ARGV[1] and c == ARGV[2] and t == ARGV[3]",
        "local his = t == ARGV[3]",
        (REDIS,),
    ),
    Guard(
        "release: the token is compared (Redis)",
        "local his = k == ARGV[1] and c == ARGV[2] and t == ARGV[3]",
        "local his = k == ARGV[1] and c == ARGV[2]",
        (REDIS,),
    ),
    Guard(
        "holder and token are compared (memory)",
        "(one.holder, one.token) == proof",
        "True",
        (MEMORY,),
    ),
    Guard(
        "the holder is compared (memory)",
        "(one.holder, one.token) == proof",
        "one.token == lease.known_token",
        (MEMORY,),
    ),
    Guard(
        "the token is compared (memory)",
        "(one.holder, one.token) == proof",
        "one.holder == lease.holder",
        (MEMORY,),
    ),
    Guard(
        "renew: holder is compared (Redis)",
        "fields[1] == task and fields[2] == nonce and fields[3] == token",
        "fields[3] == token",
        (REDIS,),
    ),
    Guard(
        "renew: token is compared (Redis)",
        "fields[1] == task and fields[2] == nonce and fields[3] == token",
        "fields[1] == task and fields[2] == nonce",
        (REDIS,),
    ),
    Guard(
        "renew: an expired lease is not revived (Redis)",
        "\n      and fields[4] and tonumber(fields[4]) > now then",
        "\n      and fields[4] then",
        (REDIS,),
    ),
    Guard(
        "renew: an expired lease is not revived (memory)",
        "if permit is None or permit.expiry <= lo:\n        return state, False",
        "if permit is None:\n        return state, False",
        (MEMORY,),
    ),
    Guard(
        "acquire: asking again is the same lease (Redis)",
        "if own then",
        "if false then",
        (REDIS,),
    ),
    Guard(
        "acquire: asking again is the same lease (memory)",
        "own = _own_lease(state, claim, lo)",
        "own = None",
        (MEMORY,),
    ),
    Guard(
        "acquire: asking again does not shorten (Redis)",
        "expiry = math.max(own.expiry, expiry)",
        "expiry = math.max(0, expiry)",
        (REDIS,),
    ),
    Guard(
        "acquire: asking again does not shorten (memory)",
        "max(own.expiry, hi + micro(claim.ttl))",
        "hi + micro(claim.ttl)",
        (MEMORY,),
    ),
    Guard(
        "release: a second one, its answer lost, is yes (Redis)",
        "in_time = not e or tonumber(e) < 0",
        "in_time = false",
        (REDIS,),
    ),
    Guard(
        "release: a second one, its answer lost, is yes (memory)",
        "return state, permit.released_at > 0",
        "return state, False",
        (MEMORY,),
    ),
    Guard(
        "release: that of an ended lease is no (Redis)",
        "in_time = not e or tonumber(e) < 0",
        "in_time = true",
        (REDIS,),
    ),
    Guard(
        "release: that of an ended lease is no (memory)",
        "return state, permit.released_at > 0",
        "return state, True",
        (MEMORY,),
    ),
    Guard(
        "release: a second one is yes, though the next holder has come (Redis)",
        "in_time = gave == mark .. ARGV[3] or (any",
        "in_time = false and (any",
        (REDIS,),
    ),
    Guard(
        "release: a second one is yes, though the next holder has come (memory)",
        "any(permit.released_before == proof for permit in state.permits)",
        "False",
        (MEMORY,),
    ),
    Guard(
        "release: only what was given back is remembered so (Redis)",
        "if old and old.known and (old.e or -1) < 0 then",
        "if old and old.known then",
        (REDIS,),
    ),
    Guard(
        "release: only what was given back is remembered so (memory)",
        "    if permit.released_at:\n        return permit.holder, permit.token\n",
        "    if True:\n        return permit.holder, permit.token\n",
        (MEMORY,),
    ),
    Guard(
        "release: an expired lease does not forget the release before (memory)",
        "    return permit.released_before\n",
        '    return "", 0\n',
        (MEMORY,),
    ),
    Guard(
        "release: a second one is yes, though an heir has it (Redis)",
        ", 'r' .. i, (c ~= '' and c or k) .. ' ' .. t)\n  return answer",
        ")\n  return answer",
        (REDIS,),
    ),
    Guard(
        "release: a second one is yes, though an heir has it (memory)",
        "            released_before=(permit.holder, permit.token),\n",
        "",
        (MEMORY,),
    ),
    Guard(
        "the token grows (Redis)",
        "local token = math.max(last_token + 1, now)",
        "local token = math.max(last_token, 1)",
        (REDIS,),
    ),
    Guard(
        "the token grows though the clock goes back (memory)",
        "token=max(state.last_token + 1, hi)",
        "token=hi",
        (UNIT + "memory_store.py",),
    ),
    Guard(
        "at_least keeps others out (Redis)",
        "one.barring = mine and (one.live and one.expiry or 0) or one.free_at",
        "one.barring = one.live and one.expiry or 0",
        (REDIS,),
    ),
    Guard(
        "at_least lets its own task in (Redis)",
        "one.barring = mine and (one.live and one.expiry or 0) or one.free_at",
        "one.barring = one.free_at",
        (REDIS,),
    ),
    Guard(
        "at_least keeps others out (memory)",
        "floor = 0 if task_id == self.task_id else self.floor",
        "floor = 0",
        (MEMORY,),
    ),
    Guard(
        "at_least lets its own task in (memory)",
        "floor = 0 if task_id == self.task_id else self.floor",
        "floor = self.floor",
        (MEMORY,),
    ),
)

UNDONE = (
    Guard(
        "undo: a claim that arrives later is refused (Redis)",
        "if undone then",
        "if false then",
        (REDIS,),
    ),
    Guard(
        "undo: a claim that arrives later is refused (memory)",
        "return Met.UNDONE, first",
        "pass",
        (MEMORY,),
    ),
    Guard(
        "undo: a claim that arrives later is refused though nobody has the key (Redis)",
        "if not places and not marks and",
        "if not places and",
        (REDIS,),
    ),
    Guard(
        "at_least keeps a key that nobody holds (Redis)",
        "    and not (x and (tonumber(redis.call('HMGET', KEYS[1], 'f')[1]) or 0) > now)\n",
        "",
        (REDIS,),
    ),
    Guard(
        "undo: no mark of another claim is forgotten (Redis)",
        "kept = kept .. line .. ' ' .. ends .. '\\n'",
        "kept = kept",
        (REDIS,),
    ),
    Guard(
        "undo: no mark of another claim is forgotten (memory)",
        "undone=((claim.holder, hi + settle), *others)",
        "undone=((claim.holder, hi + settle),)",
        (MEMORY,),
    ),
    Guard(
        "undo: a claim is refused for one deadline (Redis)",
        "string.format(' %.0f', now + ARGV[6])",
        "string.format(' %.0f', now)",
        (REDIS,),
    ),
    Guard(
        "undo: a claim is refused for one deadline (memory)",
        "undone=((claim.holder, hi + settle), *others)",
        "undone=((claim.holder, hi), *others)",
        (MEMORY,),
    ),
    Guard(
        "undo: after one deadline a claim is no longer refused (Redis)",
        "undone = stop and tonumber(marks:match('^%d+', stop + 1)) > now",
        "undone = stop",
        (REDIS_PERMITS,),
    ),
    Guard(
        "undo: after one deadline a claim is no longer refused (memory)",
        "if any(holder == claim.holder and until > lo for holder, until in state.undone):",
        "if any(holder == claim.holder for holder, _ in state.undone):",
        (UNIT + "memory_store.py",),
    ),
    Guard(
        "undo: marks that have ended are forgotten (Redis)",
        "if line ~= name and tonumber(ends) > now then",
        "if line ~= name then",
        (NAMES,),
    ),
    Guard(
        "undo: marks that have ended are forgotten (memory)",
        "if mark[0] != claim.holder and mark[1] > lo)",
        "if mark[0] != claim.holder)",
        (UNIT + "memory_store.py",),
    ),
    Guard(
        "undo: a grant forgets the marks when all have ended (Redis)",
        "if marks and not marked then",
        "if false then",
        (NAMES,),
    ),
    Guard(
        "undo: the floor before is put back (Redis)",
        "redis.call('HSET', KEYS[1], 'f' .. i, one.before)",
        "redis.call('HSET', KEYS[1], 'f' .. i, 0)",
        (REDIS,),
    ),
    Guard(
        "undo: the floor before is put back (memory)",
        "floor=permit.floor_before,",
        "floor=0,",
        (MEMORY,),
    ),
    Guard(
        "undo: a claim leaves no floor (Redis)",
        "if one.floor > 0 then\n    redis",
        "if false then\n    redis",
        (REDIS,),
    ),
    Guard(
        "undo: a claim leaves no floor (memory)",
        "floor=permit.floor_before,",
        "floor=permit.floor,",
        (MEMORY,),
    ),
    Guard(
        "a beginning of keys is no pattern (Redis)",
        ".translate(_GLOB) + ",
        " + ",
        (REDIS,),
    ),
    Guard(
        "all steps of a listing are taken (Redis)",
        """        if cursor == "0":
            return found""",
        "        return found",
        (REDIS,),
    ),
    Guard(
        "a release sets a floor that counts from the acquire (Redis)",
        "local until_ = math.max((a or t) + ARGV[11], tonumber(f) or 0)",
        "local until_ = math.max(now + ARGV[11], tonumber(f) or 0)",
        (REDIS,),
    ),
    Guard(
        "a release sets a floor that counts from the acquire (memory)",
        "floor = max(permit.floor, permit.since + micro(end.floor))",
        "floor = max(permit.floor, hi + micro(end.floor))",
        (MEMORY,),
    ),
    Guard(
        "a release shortens no floor (Redis)",
        "local until_ = math.max((a or t) + ARGV[11], tonumber(f) or 0)",
        "local until_ = (a or t) + ARGV[11]",
        (REDIS,),
    ),
    Guard(
        "a release shortens no floor (memory)",
        "floor = max(permit.floor, permit.since + micro(end.floor))",
        "floor = permit.since + micro(end.floor)",
        (MEMORY,),
    ),
    Guard(
        "a release brings no floor back that was ended (Redis)",
        "local floor = ARGV[11] and his and e and tonumber(e) > 0",
        "local floor = ARGV[11] and his",
        (REDIS,),
    ),
    Guard(
        "a release brings no floor back that was ended (memory)",
        "if end is not None and end.floor and permit.expiry:",
        "if end is not None and end.floor:",
        (MEMORY,),
    ),
)

PERMITS = (
    Guard(
        "permits: own publication is judged before they are counted (Redis)",
        "elseif copy then",
        "elseif false then",
        (REDIS,),
    ),
    Guard(
        "permits: own publication is judged before they are counted (memory)",
        "if claim.publication and permit.publication == claim.publication:",
        "if False:",
        (MEMORY,),
    ),
    Guard(
        "permits: no publication is nobody's (Redis)",
        "(ARGV[7] ~= '' and one.u == ARGV[7] and one)",
        "(one.u == ARGV[7] and one)",
        (REDIS,),
    ),
    Guard(
        "permits: no publication is nobody's (memory)",
        "if claim.publication and permit.publication == claim.publication:",
        "if permit.publication == claim.publication:",
        (MEMORY,),
    ),
    Guard(
        "permits: an earlier run is judged before they are counted (Redis)",
        "elseif same then",
        "elseif false then",
        (REDIS,),
    ),
    Guard(
        "permits: an earlier run is judged before they are counted (memory)",
        "if permit.task_id == claim.task_id:",
        "if False:",
        (MEMORY,),
    ),
    Guard(
        "permits: the limit of a claim counts (Redis)",
        "local smallest, last_token = limit,",
        "local smallest, last_token = 1e9,",
        (REDIS,),
    ),
    Guard(
        "permits: the limit of a claim counts (memory)",
        "min([claim.limit, *(permit.limit for permit in taken)])",
        "min([len(taken) + 1, *(permit.limit for permit in taken)])",
        (MEMORY,),
    ),
    Guard(
        "permits: the smallest limit of all alive counts (Redis)",
        "    taken = taken + 1\n    smallest = math.min(smallest, one.limit)\n",
        "    taken = taken + 1\n",
        (REDIS,),
    ),
    Guard(
        "permits: the smallest limit of all alive counts (memory)",
        "min([claim.limit, *(permit",
        "min([claim.limit, *(claim.limit for permit in ()), *(() and permit",
        (MEMORY,),
    ),
    Guard(
        "permits: that of its own floor is taken again (Redis)",
        "(heir or resting or {slot = lowest or count}).slot",
        "(heir or {slot = lowest or count}).slot",
        (REDIS,),
    ),
    Guard(
        "permits: that of its own floor is taken again (memory)",
        "place = heir or _own_floor(state, claim, lo)",
        "place = heir",
        (MEMORY,),
    ),
    Guard(
        "permits: that of its heir is taken over (Redis)",
        "(heir or resting or {slot = lowest or count}).slot",
        "(resting or {slot = lowest or count}).slot",
        (REDIS,),
    ),
    Guard(
        "permits: that of its heir is taken over (memory)",
        "place = heir or _own_floor(state, claim, lo)",
        "place = _own_floor(state, claim, lo)",
        (MEMORY,),
    ),
    Guard(
        "permits: the lowest free slot is given (Redis)",
        "if not lowest and one.free_at <= now then",
        "if one.free_at <= now then",
        (REDIS,),
    ),
    Guard(
        "permits: the lowest free slot is given (memory)",
        "    for permit in state.permits:\n        if permit.free_at(lo) <= lo:",
        "    for permit in reversed(state.permits):\n        if permit.free_at(lo) <= lo:",
        (MEMORY,),
    ),
    Guard(
        "permits: the last ones are remembered until all is settled (Redis)",
        " or math.abs(one.e or 0) + ARGV[11] > now then",
        " then",
        (REDIS,),
    ),
    Guard(
        "permits: the last ones are remembered until all is settled (memory)",
        " or max(last.expiry, last.released_at) + settle > lo:",
        ":",
        (MEMORY,),
    ),
    Guard(
        "permits: the time of a release is known (Redis)",
        "if i ~= '' then\n    redis.call('HSET'",
        "if false then\n    redis.call('HSET'",
        (REDIS,),
    ),
    Guard(
        "permits: the last ones are forgotten (Redis)",
        "while count > 1 do",
        "while false do",
        (REDIS_PERMITS,),
    ),
    Guard(
        "permits: the last ones are forgotten (memory)",
        "while len(permits) > 1:",
        "while False:",
        (UNIT + "memory_store.py",),
    ),
    Guard(
        "wakes: one is left only for somebody who waits (Redis)",
        "local waited_for = watched and tonumber(watched) > now",
        "local waited_for = true",
        (NAMES,),
    ),
    Guard(
        "wakes: none is left while a floor keeps the key (Redis)",
        "if barred <= now then\n  local limit",
        "if true then\n  local limit",
        (NAMES,),
    ),
    Guard(
        "wakes: no more are left than permits are free (Redis)",
        "  redis.call('LTRIM', list, 0, free - 1)\n",
        "",
        (NAMES,),
    ),
    Guard(
        "wakes: as many are left as permits are free (Redis)",
        "redis.call('LTRIM', list, 0, free - 1)",
        "redis.call('LTRIM', list, 0, 0)",
        (REDIS_PERMITS,),
    ),
    Guard(
        "wakes: a taken permit is not free (Redis)",
        "free = free - (permit(slot).free_at > now and 1 or 0)",
        "free = free - 0",
        (REDIS_PERMITS,),
    ),
    Guard(
        "wakes: who was woken passes on what is left (Redis)",
        "if ARGV[9] ~= '0' and limit > 1 and taken + 1 < smallest then",
        "if false then",
        (REDIS_PERMITS,),
    ),
    Guard(
        "wakes: one permit of several that comes free ends a watch (memory)",
        "while held is not None and len(held.holders) >= met:",
        "while held is not None:",
        (MEMORY,),
    ),
)

LIFETIMES = (
    Guard(
        "a key has an expiry on the server, after a claim",
        "redis.call('PEXPIRE', KEYS[1], math.ceil((ARGV[5] + ARGV[10]) / 1000))\n",
        "",
        (LIVES,),
    ),
    Guard(
        "a key has an expiry on the server, after a claim of what is not as usual",
        "redis.call('PEXPIRE', KEYS[1],"
        " math.ceil((math.max(until_, floor) - now + grace) / 1000))\n",
        "",
        (LIVES,),
    ),
    Guard(
        "a key has an expiry on the server, after a renewal",
        "    redis.call('PEXPIRE', state, life)\n",
        "",
        (LIVES,),
    ),
    Guard(
        "a renewal does not cut the life that a floor needs",
        "if fields[5] or fields[6] then",
        "if false then",
        (NAMES,),
    ),
    Guard(
        "a key has an expiry on the server, after an undo",
        "outlive(now, tonumber(ARGV[5])) -- the key may be new\n",
        "",
        (LIVES,),
    ),
    Guard(
        "an undo cuts no life that somebody else needs",
        "math.max(life, redis.call('PTTL', KEYS[1]))",
        "life",
        (NAMES,),
    ),
    Guard(
        "a full server lets keys be given back",
        "redis.call('HDEL', KEYS[1], 'e' .. i)\n  if i ~= ''",
        "redis.call('HSET', KEYS[1], 'e' .. i, -now)\n  if i ~= ''",
        (REFUSALS,),
    ),
    Guard(
        "a full server lets leases be renewed",
        "redis.call('PEXPIRE', state, life)\n    redis.call('HSET', state, 'e' .. i, now + ttl)\n",
        "redis.call('HSET', state, 'e' .. i, now + ttl)\n    redis.call('PEXPIRE', state, life)\n",
        (REFUSALS,),
    ),
    Guard(
        "no store is asked to keep what it cannot",
        "if not 0.0 <= value <= LONGEST:",
        "if False:",
        (MEMORY,),
    ),
    Guard(
        "no time is NaN",
        "if not 0.0 <= value <= LONGEST:",
        "if value < 0.0 or value > LONGEST:",
        (MEMORY,),
    ),
    Guard(
        "no time is longer than ten years",
        "if not 0.0 <= value <= LONGEST:",
        "if not 0.0 <= value:",
        (MEMORY,),
    ),
    Guard(
        "permits are read one by one by a user who may not read all at once (Redis)",
        "if all and not all.err then",
        "if all then",
        ("tests/contract/test_redis_refusals.py::TestTheLeastPermissions",),
    ),
    Guard(
        "a claim is for a ttl that a store can keep",
        "if not (0.0 <= ttl <= LONGEST and 0.0 <= at_least <= LONGEST):",
        "if not 0.0 <= at_least <= LONGEST:",
        (MEMORY,),
    ),
    Guard(
        "a claim has an at_least that a store can keep",
        "if not (0.0 <= ttl <= LONGEST and 0.0 <= at_least <= LONGEST):",
        "if not 0.0 <= ttl <= LONGEST:",
        (MEMORY,),
    ),
    Guard(
        "a renewal is for a ttl that a store can keep (Redis)",
        'micro(checked(ttl, "ttl"))',
        "micro(ttl)",
        (REDIS,),
    ),
    Guard(
        "a renewal is for a ttl that a store can keep (memory)",
        '        for _, ttl in renewals:\n            checked(ttl, "ttl")\n',
        "",
        (MEMORY,),
    ),
)

TEXTS = (
    Guard(
        "a key with a mark that nobody knows is an error for a claim (Redis)",
        "if one.live and not is_known(one) then",
        "if false then",
        (NAMES,),
    ),
    Guard(
        "a key with a mark that nobody knows is an error for a look (Redis)",
        "    if not is_known(one) then\n",
        "    if false then\n",
        (NAMES,),
    ),
    Guard(
        "a permit with a mark that nobody knows is an error",
        "if not set(one) <= _PERMIT:",
        "if False:",
        (UNIT + "memory_store.py",),
    ),
    Guard(
        "an entry with a mark that nobody knows is an error",
        " or not set(read) <= known:",
        ":",
        (UNIT + "memory_store.py",),
    ),
    Guard(
        "an entry of another layout is an error",
        'if read.get("v") != LAYOUT or',
        "if",
        (UNIT + "memory_store.py",),
    ),
    Guard(
        "a long publication is stored as its digest (Redis)",
        "if len(publication) <= LONGEST_NAME and publication.isascii():",
        "if True:",
        (REDIS_PERMITS,),
    ),
    Guard(
        "a publication is measured in bytes (Redis)",
        "if len(publication) <= LONGEST_NAME and publication.isascii():",
        "if len(publication) <= LONGEST_NAME:",
        (REDIS_PERMITS,),
    ),
)

KEPT = (
    Guard(
        "change: the stamp is compared (Redis)",
        "standing ~= ARGV[6] or now",
        "now",
        (REDIS,),
    ),
    Guard(
        "change: the stamp is compared (memory)",
        "if expected != change.expected or lo",
        "if lo",
        (MEMORY,),
    ),
    Guard(
        "change: asking again is the same change (Redis)",
        "local again = live and stamp == ARGV[2] and value == ARGV[3]",
        "local again = false",
        (REDIS,),
    ),
    Guard(
        "change: asking again is the same change (memory)",
        "again = record is not None and (record.stamp, record.value)"
        " == (change.stamp, change.value)",
        "again = False",
        (MEMORY,),
    ),
    Guard(
        "change: the same stamp with another value is refused (Redis)",
        " and value == ARGV[3]",
        "",
        (REDIS,),
    ),
    Guard(
        "change: the same stamp with another value is refused (memory)",
        "(record.stamp, record.value) == (change.stamp, change.value)",
        "record.stamp == change.stamp",
        (MEMORY,),
    ),
    Guard(
        "change: not before its time (Redis)",
        " or now < tonumber(ARGV[5])",
        "",
        (REDIS,),
    ),
    Guard(
        "change: not before its time (memory)",
        " or lo < micro(change.not_before):",
        ":",
        (MEMORY,),
    ),
    Guard(
        "change: asking again does not shorten (Redis)",
        "math.max(again and expiry or 0, now + ARGV[4])",
        "now + ARGV[4]",
        (REDIS,),
    ),
    Guard(
        "change: asking again does not shorten (memory)",
        "max(standing.until, until)",
        "until",
        (MEMORY,),
    ),
    Guard(
        "a record ends by the store's own clock (Redis)",
        "local live = expiry > now\nlocal again = live",
        "local live = expiry > 0\nlocal again = live",
        (AGREE,),
    ),
    Guard(
        "a record that has ended is not read (Redis)",
        " and tonumber(fields[4]) > now then\n    answers[1 + i]",
        " then\n    answers[1 + i]",
        (AGREE,),
    ),
    Guard(
        "a record ends (memory)",
        'if read["until"] <= clock[0]:\n        return None\n    return Standing(',
        "if False:\n        return None\n    return Standing(",
        (UNIT + "entries.py",),
    ),
    Guard(
        "names are those of live records (Redis)",
        "string.format('(%.0f', now)",
        "'-inf'",
        (REDIS,),
    ),
    Guard(
        "a record has an expiry on the server",
        "redis.call('PEXPIRE', KEYS[1], life) -- the record may be new\n",
        "",
        (RECORDS,),
    ),
    Guard(
        "the index of a space has an expiry on the server",
        "if last then",
        "if false then",
        (RECORDS,),
    ),
    Guard(
        "the index forgets what has ended",
        "redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', int:format(now))\n",
        "",
        (RECORDS,),
    ),
    Guard(
        "a full server changes the records that it has",
        "if live then\n  -- PEXPIRE first",
        "if false then\n  -- PEXPIRE first",
        (RECORDS,),
    ),
    Guard(
        "one wrong key costs no other record its answer",
        "redis.pcall('HMGET', record",
        "redis.call('HMGET', record",
        (RECORDS,),
    ),
)

LEASES = (
    Guard(
        "a lease ends at its deadline by the holder's clock",
        "if self._reason is None and now >= self._deadline:",
        "if False:",
        (UNIT + "lease.py",),
    ),
    Guard(
        "a lease ends here before it ends in the store",
        "deadline = sent + ttl * (1 - DRIFT) - MARGIN",
        "deadline = sent + ttl",
        (UNIT + "lease.py",),
    ),
    Guard(
        "a lost lease is never revived",
        "if self.reason is not None:\n            return False\n        self._deadline",
        "self._deadline",
        (UNIT + "lease.py",),
    ),
    Guard(
        "at_most is a ceiling",
        "self._ceiling = sent + at_most",
        "pass",
        (UNIT + "lease.py",),
    ),
    Guard(
        "the clock goes on in a suspend",
        "return since_boot if since_boot > now else now",
        "return now",
        (UNIT + "clock.py",),
    ),
    Guard(
        "the keeper renews",
        "self._renew_batch(own, due[i : i + BATCH])",
        "pass",
        (UNIT + "keeper.py",),
    ),
    Guard(
        "a lost lease names who took its key",
        "by = takers(self._store, gone, self._clock) if gone else {}",
        "by: dict[Lease, str] = {}",
        (UNIT + "takers.py",),
    ),
    Guard(
        "a renewal that overtook a release is no loss",
        """if own.kept.pop(lease, None) is not None:
                    self._lose(kept, "taken", by.get(lease))""",
        """own.kept.pop(lease, None)
                self._lose(kept, "taken", by.get(lease))""",
        (UNIT + "keeper.py",),
    ),
    Guard(
        "a forked child keeps nothing of its parent's",
        "self._own = PerProcess(lambda: _Leases(self))",
        "leases = _Leases(self)\n        self._own = lambda: leases",
        (UNIT + "keeper.py",),
    ),
    Guard(
        "a forked child makes a value of its own",
        "os.register_at_fork(after_in_child=_begin_anew)",
        "pass",
        (UNIT + "per_process.py",),
    ),
    Guard(
        "a failure of the keeper itself is survived",
        "except Exception:  # what goes on here is what keeps leases alive",
        "except MemoryError:",
        (UNIT + "keeper.py", UNIT + "alarm.py"),
    ),
    Guard(
        "a claim without an answer is taken back",
        "self.pending.add(partial(self.store.undo, claim), for_=claim.ttl)",
        "pass",
        (UNIT + "locker.py",),
    ),
    Guard(
        "a release without an answer is tried again",
        """*, notify: bool = True) -> None:
        self.pending.add(partial(self._give_back, grant), for_=grant.ask.claim.ttl)""",
        "*, notify: bool = True) -> None:",
        (UNIT + "locker.py", UNIT + "locker_of_several.py"),
    ),
    Guard(
        "several keys without an answer are all taken back",
        """            self._undo(*claims)
            first = asks[0]""",
        """            self._undo(claims[0])
            first = asks[0]""",
        (UNIT + "locker_of_several.py",),
    ),
    Guard(
        "a stop that falls into a claim of several takes all back",
        """            # a time limit, a shutdown or Ctrl-C fell into the call
            self._undo(*claims)
            raise""",
        "            raise",
        (UNIT + "locker_of_several.py",),
    ),
    Guard(
        "a stop that falls into a release of several loses none",
        """            for grant, _ in left:
                self.pending.add(partial(self._give_back, grant), for_=grant.ask.claim.ttl)
            raise""",
        "            raise",
        (UNIT + "locker_of_several.py",),
    ),
    Guard(
        "without the feature a key is given back where the next one is taken",
        """                for earlier in claims[:at]:
                    self.store.undo(earlier)
""",
        "",
        (UNIT + "locker_of_several.py",),
    ),
    Guard(
        "a message whose lease has lapsed keeps none of the others",
        "        self._leave_heirs(asks, answer)\n",
        "",
        (UNIT + "locker_of_several.py",),
    ),
    Guard(
        "a message that waits for its own run keeps what was left to it",
        "if not lapsed or refused.held.met not in (Met.OTHER, Met.UNCONFIRMED):",
        "if not lapsed:",
        (UNIT + "locker_of_several.py",),
    ),
    Guard(
        "claims that were not given pass the wake on (Redis)",
        "if at ~= first and wakes[at] and not met[at] and free[at] > 0 then",
        "if false then",
        (REDIS,),
    ),
    *(
        Guard(
            f"claims of several have their own {term} (Redis)",
            f"        and one.{term} == other.{term}\n",
            "",
            ("tests/contract/test_redis_several.py",),
        )
        for term in ("ttl", "limit", "at_least", "publication")
    ),
    Guard(
        "a key that is none fails no other release (Redis)",
        "_alone(server, release) if answer < 0 else released(answer)",
        "released(answer)",
        ("tests/contract/test_redis_several.py",),
    ),
    Guard(
        "of several that are refused the first in the order counts (Redis)",
        "if met[at] and not (first and ORDER[met[first]] <= ORDER[met[at]]) then",
        "if met[at] and not first then",
        (REDIS,),
    ),
    Guard(
        "of several that are refused the first in the order counts (memory)",
        "return min(refused, key=lambda one: order.index(one.held.met), default=None)",
        "return refused[0] if refused else None",
        (MEMORY,),
    ),
    Guard(
        "a refused copy of several keys leaves its mark (Redis)",
        "(meets == 'publication' or meets == 'ended') then\n    record(keys",
        "false then\n    record(keys",
        (REDIS,),
    ),
    Guard(
        "a refused copy of several keys leaves its mark (memory)",
        "if isinstance(answer, Refused) and answer.held.met in OF_A_COPY:",
        "if False:",
        (MEMORY,),
    ),
    Guard(
        "only what was recorded is told",
        "if (self.recorded is None and end.if_met) or self.recorded is False:",
        "if False:",
        (UNIT + "completions.py",),
    ),
    Guard(
        "a completion follows the answer of its release",
        "        if grant.is_told:  # else it will be: see `told`\n",
        "        if False:\n",
        (UNIT + "completions.py",),
    ),
    Guard(
        "a completion without an answer is kept",
        "            try:\n                self._store.complete(batch)\n",
        "            own.waiting.clear()\n            try:\n"
        "                self._store.complete(batch)\n",
        (UNIT + "completions.py",),
    ),
    Guard(
        "a completion without an answer is tried again",
        "own.due = min(own.due, self._clock() + 1.0)",
        "pass",
        (UNIT + "completions.py",),
    ),
    Guard(
        "a completion is not tried for ever",
        "            if told.until <= now:\n                own.waiting.pop(completion, None)\n",
        "            pass\n",
        (UNIT + "completions.py",),
    ),
    Guard(
        "a pool process that leaves tells what it has completed",
        "    send_last()\n    last_words()\n",
        "    last_words()\n",
        (UNIT + "completions.py",),
    ),
    Guard(
        "a waiter whose message was completed is answered at once",
        "if held.done or left <= 0 or but_for(held):",
        "if left <= 0 or but_for(held):",
        (UNIT + "completions.py",),
    ),
    Guard(
        "a fork that was made in C is noticed",
        "        look_for_fork()\n        pool = self._own.value[0]\n",
        "        pool = self._own.value[0]\n",
        ("tests/contract/test_redis_sharing.py",),
    ),
    Guard(
        "an observer hurts nobody",
        'except Exception:\n                logger.exception("an observer failed',
        'except MemoryError:\n                logger.exception("an observer failed',
        (UNIT + "locker.py", UNIT + "signals.py"),
    ),
    Guard(
        "whoever connects later is sent the facts of every run",
        "return bool(_SIGNALS[kind].receivers)",
        "return False",
        (UNIT + "only_counted.py",),
    ),
    Guard(
        "a level that is changed later counts",
        "or self._logger.isEnabledFor(ORDINARY_LEVEL[kind])",
        "",
        (UNIT + "only_counted.py",),
    ),
    Guard(
        "a release after the end of its lease is no ordinary one",
        "if in_time and self.observers.only_counted(Released, subject):",
        "if self.observers.only_counted(Released, subject):",
        (UNIT + "only_counted.py",),
    ),
)

LEASES += (
    Guard(
        "a stop that falls into a claim takes it back",
        """        except BaseException:
            # a time limit, a shutdown or Ctrl-C fell into the call
            self._undo(claim)
            raise""",
        """        except ArithmeticError:
            raise""",
        (UNIT + "locker.py",),
    ),
    Guard(
        "a waiter asks again though nobody wakes it",
        "LOOK_AGAIN = 1.0",
        "LOOK_AGAIN = 1e6",
        (UNIT + "locker.py",),
    ),
)

DECLARED = (
    Guard(
        "values in a key are percent-escaped",
        "return self._special.sub(_percent, text)",
        "return text",
        (UNIT + "key_template.py",),
    ),
    Guard(
        "a field with !h shows a digest, not the value",
        "if self._field.digested:",
        "if False:",
        (UNIT + "key_template.py",),
    ),
    Guard(
        "two fields of a template have something between them",
        "            if not between:",
        "            if False:",
        (UNIT + "key_template.py",),
    ),
    Guard(
        "arguments are normalised as by a JSON message",
        "return _read(_write(value))",
        "return value",
        (UNIT + "keys.py", UNIT + "arguments.py"),
    ),
    Guard(
        "defaults are filled in",
        "bound = self._defaults.copy()",
        "bound = dict.fromkeys(self._defaults)",
        (UNIT + "keys.py", UNIT + "arguments.py"),
    ),
    Guard(
        "a long key is cut with a digest of all of it",
        "{digest(key)}",
        "",
        (UNIT + "keys.py", UNIT + "key_template.py"),
    ),
    Guard(
        "a misspelt setting is an error",
        "close = _closest(meant, known)",
        "close = None",
        (UNIT + "settings.py",),
    ),
    Guard(
        "an unknown option of a Lock is named",
        "        if option not in known:\n",
        "        if False:\n",
        (UNIT + "lock.py",),
    ),
    Guard(
        "a bare policy name is refused",
        "if issubclass(value, Decision):",
        "if False:",
        (UNIT + "lock.py",),
    ),
    Guard(
        "a policy that answers nonsense fails visibly",
        "if isinstance(decision, KINDS):\n        return decision",
        "return decision  # type: ignore",
        (UNIT + "policies.py",),
    ),
)

MESSAGES = (
    Guard(
        "each delivery is a holder of its own (nonce)",
        "{here.nonce}{next(here.deliveries):x}",
        "{here.nonce}0",
        (UNIT + "delivery.py",),
    ),
    Guard(
        "a pause is bounded by the visibility timeout",
        "delay = min(delay, self.longest)",
        "pass",
        (UNIT + "transports.py",),
    ),
    Guard(
        "a message of SQS is named by what each receive of it has",
        "    name_of=message_id,\n",
        "",
        (UNIT + "transports.py",),
    ),
    Guard(
        "an error that kombu does not list says that a message was not taken",
        "            *(unlisted := refusals()),\n",
        "            *(unlisted := ()),\n",
        (UNIT + "transports.py",),
    ),
    Guard(
        "a queue of SQS has its own visibility timeout, whatever the options say",
        "visibility, receives = QueueFacts(*facts)",
        "visibility, receives = self.visibility, 0",
        (UNIT + "transports.py", UNIT + "sqs.py"),
    ),
    Guard(
        "a queue that says nothing is taken for one that gives messages away soon",
        "visibility, receives = min(self.visibility, UNREAD), 0",
        "visibility, receives = self.visibility, 0",
        (UNIT + "transports.py", UNIT + "sqs.py"),
    ),
    Guard(
        "what the solo pool acknowledges early is acknowledged after its body",
        "acks_late = bool(delivery.task.acks_late) or acknowledges_last(delivery.task.app)",
        "acks_late = bool(delivery.task.acks_late)",
        (UNIT + "copies.py",),
    ),
    Guard(
        "a completion is recorded while nobody knows how soon a copy comes",
        "if transport.redelivered(request) or transport.is_guess:",
        "if transport.redelivered(request):",
        (UNIT + "copies.py",),
    ),
    Guard(
        "the first receive of a message is no redelivery that a redrive policy counts",
        "limit = receives - 1 if receives else None",
        "limit = receives if receives else None",
        (UNIT + "transports.py",),
    ),
    Guard(
        "the first message of a queue of SQS has what the queue says of itself",
        "known.is_answered.wait(patience)",
        "pass",
        (UNIT + "sqs_queues.py",),
    ),
    Guard(
        "the groups of a FIFO queue stay apart when a message is sent again",
        "        given[GROUP] = group_of(self.properties)\n",
        "",
        (UNIT + "sqs.py",),
    ),
    Guard(
        "a refused message goes to no exchange that only its worker knows",
        "known = entity if row.returns else None",
        "known = entity",
        (UNIT + "sending.py",),
    ),
    Guard(
        "a broker that hangs is asked once, whatever its driver calls that",
        "if not was_open or is_slow or isinstance(",
        "if not was_open or isinstance(",
        (UNIT + "sending.py",),
    ),
    Guard(
        "the header of an earlier publication does not count",
        "if header.nesting == nesting and header.retries == retries:",
        "if True:",
        (UNIT + "header.py",),
    ),
    Guard(
        "the broker's `redelivered` is not sent on",
        '_NOT_HEADERS = ("redelivered", ',
        "_NOT_HEADERS = (",
        (SAME + "[redis-on the way]",),
    ),
    Guard(
        "a body that kombu decompressed is compressed again",
        'options["compression"] = headers.pop("compression", None)',
        'options["compression"] = None',
        (SAME + "[redis-json, gzip]",),
    ),
    Guard(
        "a packed message of another format is refused",
        "if int(number) != FORMAT:",
        "if False:",
        (UNIT + "packing.py",),
    ),
    Guard(
        "what a broker wrote for one delivery is not packed",
        "own = raw.of_its_sender()\n    is_text",
        "own = raw\n    is_text",
        (UNIT + "packing.py",),
    ),
)

SENDING = (
    Guard(
        "a message that no queue takes is not dropped",
        'options["mandatory"] = True',
        'options["mandatory"] = False',
        (UNIT + "ladder.py",),
    ),
    Guard(
        "a message sent again reaches no other queue, and is no duplicate to the broker",
        "if name not in row.obeys}",
        "}",
        (UNIT + "ladder.py",),
    ),
    Guard(
        "a queue that is gone is declared",
        "if returned is None or not way.declares or not can_declare(entity):",
        "if True:",
        (UNIT + "ladder.py",),
    ),
    Guard(
        "an exclusive queue is its consumer's to declare",
        "return entity is not None and not entity.no_declare and not entity.exclusive",
        "return entity is not None and not entity.no_declare",
        (UNIT + "ladder.py",),
    ),
    Guard(
        "an exchange that leads to another queue too is no way",
        "if name != entity.name and to is not None and (to.name, by) == (exchange.name, key):",
        "if False:",
        (UNIT + "ladder.py",),
    ),
    Guard(
        "a nack says that a message was not sent",
        "not_sent=(*Transport.not_sent, MessageNacked),",
        "not_sent=Transport.not_sent,",
        (UNIT + "transports.py",),
    ),
    Guard(
        "a connection that saw a refusal is dropped",
        """        outlet.drop()
        is_new = outlet.bar(way.name)""",
        "        is_new = outlet.bar(way.name)",
        (UNIT + "ladder.py",),
    ),
    Guard(
        "a queue is bound before its first delayed message",
        "outlet.bind_delayed(way.outgoing.queue)",
        "pass",
        (UNIT + "ladder.py",),
    ),
    Guard(
        "it goes to where the worker reads",
        "connection = app.connection_for_read(**options)",
        "connection = app.connection_for_write(**options)",
        (UNIT + "ladder.py",),
    ),
    Guard(
        "it goes to the one of several brokers that it came from",
        "if 0 < broker < len(urls):",
        "if False:",
        (UNIT + "ladder.py",),
    ),
    Guard(
        "what waited in the broker has no history of that",
        "for name in [one for one in request_dict if one.startswith(_NOT_HEADERS_PREFIX)]:",
        "for name in ():",
        (UNIT + "raw.py",),
    ),
    Guard(
        "deliveries add up",
        "publication=nonce, deliveries=deliveries\n",
        "publication=nonce\n",
        (UNIT + "run.py",),
    ),
    Guard(
        "a message whose queue is gone is not left to a broker that lost it",
        "self.is_only_copy |= isinstance(error, Homeless)",
        "pass",
        (UNIT + "run.py",),
    ),
    Guard(
        "what we rejected ourselves is no delivery",
        "_note_our_rejection(self)",
        "pass",
        (UNIT + "request.py",),
    ),
    Guard(
        "a poisoned message ends in its dead-letter queue",
        "return limit is not None and deliveries > limit",
        "return False",
        (UNIT + "deliveries.py",),
    ),
    Guard(
        "what came out of a dead-letter queue begins anew",
        "return counted if died else header.deliveries + counted",
        "return header.deliveries + counted",
        (UNIT + "deliveries.py",),
    ),
    Guard(
        "what is acknowledged late spends no delivery for each refused send",
        "if not run.is_only_copy and (stopping or run.has_stayed):",
        "if not run.is_only_copy:",
        (UNIT + "run.py",),
    ),
)

TASKS = (
    Guard(
        "the key is given back, whatever happened",
        """                if run is not None:
                    run.end()
            except BaseException""",
        """                pass
            except BaseException""",
        (UNIT + "task.py", UNIT + "run.py"),
    ),
    Guard(
        "who waits leaves its place to the retry that it waits for",
        "if self.is_eager or any(Holder.parse(one).retry_no is None for one in held.in_the_way):",
        "if True:",
        (UNIT + "retry_passes.py",),
    ),
    Guard(
        "a waiter stays while somebody works under one of several permits",
        "any(Holder.parse(one).retry_no is None for one in held.in_the_way)",
        "all(Holder.parse(one).retry_no is None for one in held.in_the_way)",
        (UNIT + "permits.py",),
    ),
    Guard(
        "only a success sets the floor that failures do not set",
        "    if ending.ended is EndedBy.RETURNED:\n",
        "    if True:\n",
        (UNIT + "successes_only.py",),
    ),
    Guard(
        "the record of a completion does not cost the floor of a success",
        "        floor=left.floor,\n",
        "",
        (UNIT + "successes_only.py",),
    ),
    Guard(
        "a claim sets no floor where only a success does",
        "_seconds(lock.at_least, 0.0) if lock.at_least_on_failure else 0.0,",
        "_seconds(lock.at_least, 0.0),",
        (UNIT + "successes_only.py",),
    ),
    Guard(
        "a retry keeps the limit of the lease that it takes over",
        "    if heir is not None:  # it keeps the companions that its lease was claimed with\n",
        "    if False:\n",
        ("tests/contract/test_stores.py",),
    ),
    Guard(
        "in redis too a retry keeps the limit of the lease that it takes over",
        "local bound = heir and heir.limit or before > 0",
        "local bound = before > 0",
        ("tests/contract/test_stores.py",),
    ),
    Guard(
        "a run without its lock records no completion",
        "if self.delivery.header.unlocked or not self.delivery.asked:",
        "if not self.delivery.asked:",
        (UNIT + "without_lock.py",),
    ),
    Guard(
        "a retry of a run without its lock is left no key",
        "    if delivery.header.unlocked:\n        return None\n    names = ",
        "    names = ",
        (UNIT + "without_lock.py",),
    ),
    Guard(
        "a key that cannot be made keeps no run from going without",
        "        if header.unlocked:\n            return self._key_shown(header, args, kwargs)\n",
        "",
        (UNIT + "without_lock.py",),
    ),
    Guard(
        "the headers of another task do not take lock=None from a call",
        'isinstance(each, Mapping) and not is_of_another(each, str(said.get("task_id"))):',
        "isinstance(each, Mapping):",
        (UNIT + "without_lock.py",),
    ),
    Guard(
        "a run claims as many permits as its lock has",
        "        limit=bound.limit,\n",
        "",
        (UNIT + "permits.py",),
    ),
    Guard(
        "tasks of one template have one limit",
        '        ("limit", one.limit, known.limit),\n',
        "",
        (UNIT + "permits.py",),
    ),
    Guard(
        "an eager body waits for a permit that somebody else has",
        ".issuperset(held.in_the_way)\n",
        ".intersection(held.in_the_way) != set()\n",
        (UNIT + "permits.py",),
    ),
    Guard(
        "a limit needs a store with permits",
        "            Feature.PERMITS: self.limit > 1,\n",
        "",
        (UNIT + "features.py",),
    ),
    Guard(
        "a wait for a retry counts for no bound",
        "                self.delivery = uncounted\n",
        "",
        (UNIT + "retry_passes.py",),
    ),
    Guard(
        "nothing is published in eager mode",
        "return not (decision.sends or (decision.blocks and is_around(held)))",
        "return not (decision.blocks and is_around(held))",
        (UNIT + "task.py", UNIT + "run.py"),
    ),
    Guard(
        "a body that calls its own task has the key",
        "if not bound or request.called_directly or Holding.of(request) is not None:",
        "if not bound or request.called_directly:",
        (UNIT + "task.py", UNIT + "run.py"),
    ),
    Guard(
        "a call of its own task in a body has a request of its own",
        "request._protected = 1",
        "pass",
        (UNIT + "body.py",),
    ),
    Guard(
        "what nobody knows to fail is not called without a key",
        "if is_refused(self, args, kwargs):",
        "if True:",
        (UNIT + "as_plain.py",),
    ),
    Guard(
        "a key is lent to what replaces a task, and to nothing else",
        "for here in around() if here._lends for grant in here._grants",
        "for here in around() for grant in here._grants",
        (UNIT + "as_plain.py", UNIT + "task.py"),
    ),
    Guard(
        "a lock for all tasks is none of Celery's own",
        'if name.startswith("celery.") and is_declared(given):',
        "if False:",
        (UNIT + "as_plain.py",),
    ),
    Guard(
        "whoever stands in the place of Celery's __call__ is called",
        'place = getattr(call, "__globals__", {}).get("__name__")',
        "place = call.__module__",
        (UNIT + "body.py",),
    ),
    Guard(
        "a direct call takes no lock",
        "if not bound or request.called_directly or Holding.of(request) is not None:",
        "if not bound or Holding.of(request) is not None:",
        (UNIT + "task.py", UNIT + "run.py"),
    ),
    Guard(
        "a copy of a running message is never dropped",
        "_WAITS_ITS_TURN = (Met.PUBLICATION, Met.ENDED, Met.TASK,",
        "_WAITS_ITS_TURN = (Met.ENDED, Met.TASK,",
        (UNIT + "task.py", UNIT + "run.py"),
    ),
    Guard(
        "a task whose earlier run has not ended is never dropped",
        "_WAITS_ITS_TURN = (Met.PUBLICATION, Met.ENDED, Met.TASK,",
        "_WAITS_ITS_TURN = (Met.PUBLICATION, Met.ENDED,",
        (UNIT + "task.py", UNIT + "run.py"),
    ),
    Guard(
        "a copy that waits for its first delivery uses up nothing of its policy",
        "self.delivery = self.delivery.turned()\n        pause",
        "self.delivery = self.delivery.conflicted(held).turned()\n        pause",
        (UNIT + "run.py",),
    ),
    Guard(
        "a key that a message carries is not made anew",
        "if header.key is None:",
        "if True:",
        (UNIT + "task.py", UNIT + "run.py"),
    ),
    Guard(
        "a retry waits for the run before it",
        "if held is not None and self.delivery.is_own_earlier_run(held):",
        "if False:",
        (UNIT + "run.py",),
    ),
    Guard(
        "an eager wait does not wait for itself",
        "return not (decision.sends or (decision.blocks and is_around(held)))",
        "return not decision.sends",
        (UNIT + "task.py",),
    ),
    Guard(
        "a stop that falls into the release frees the key all the same",
        """            except BaseException:  # a time limit or a stop fell into it: that comes once
                if run is not None:
                    run.end()
                raise""",
        """            except BaseException:
                raise""",
        (UNIT + "interrupted.py",),
    ),
    Guard(
        "the only copy of a message is kept in its process",
        """            run.pause(_BETWEEN_TRIES(run.unsent))
            return
""",
        "            raise\n",
        (UNIT + "run.py",),
    ),
    Guard(
        "the hard time limit is a ceiling",
        "return None if not hard else float(hard) + 10.0",
        "return None",
        (UNIT + "run.py",),
    ),
    Guard(
        "an option of a lock that nobody reads is refused",
        "if option not in COMMON or klass is cls:",
        "if False:",
        (UNIT + "options.py",),
    ),
    Guard(
        "a retry with a lock of its own drops no message",
        '            check_call_options(self, options, "retry")\n',
        "            pass\n",
        (UNIT + "options.py",),
    ),
    Guard(
        "a policy function that takes no conflict is refused",
        "        signature.bind(None)\n",
        "        pass\n",
        (UNIT + "wrong_calls.py",),
    ),
    Guard(
        "a duration that no store can keep is refused",
        "if number > longest:",
        "if False:",
        (UNIT + "wrong_calls.py",),
    ),
    Guard(
        "a claim that cannot be kept writes nothing",
        "local kept = ARGV[5] + ARGV[6] + ARGV[9] + ARGV[10] + ARGV[11]",
        "local kept = 0",
        ("tests/contract/test_redis_long_times.py",),
    ),
    Guard(
        "a user's own Request class is kept under ours",
        "    keep_users_request(klass, locked_task.Request)\n",
        "",
        (UNIT + "binding.py",),
    ),
    Guard(
        "the key is taken around a __call__ that runs the body past ours",
        '    cls.__call__ = _taking_the_key(inspect.getattr_static(cls, "__call__"))\n',
        "",
        (UNIT + "classes.py",),
    ),
    Guard(
        "a call that surely goes past ours is not taken for one that hands on",
        '    if "run" in names:\n        return False\n',
        "",
        (UNIT + "classes.py",),
    ),
    Guard(
        "a class with a Strategy of its own is refused",
        "    refuse_strategy(klass, name)\n",
        "",
        (UNIT + "classes.py",),
    ),
    Guard(
        "a start_strategy of its own is a Strategy of its own",
        '    where = _is_of(cls, "start_strategy", Task.start_strategy)\n',
        "    where = None\n",
        (UNIT + "classes.py",),
    ),
    Guard(
        "a task that was refused does not run unlocked",
        "            if self._refused and not request.called_directly:",
        "            if False:",
        (UNIT + "classes.py",),
    ),
    Guard(
        "a class that keeps on_bound from us is fitted all the same",
        "        if cls._bound_to is not app:\n            LockedTask._fit(cls, app)\n",
        "",
        (UNIT + "classes.py",),
    ),
    Guard(
        "a lock that a task gives itself is the one that is taken",
        "    use_own_lock(klass, app, name)\n",
        "",
        (UNIT + "classes.py",),
    ),
    Guard(
        "a base that leaves the app's own task class out is warned of",
        "    warn_if_left_out(klass, app, name, locked_task)\n",
        "",
        (UNIT + "classes.py",),
    ),
    Guard(
        "a lease does not say in a forked child that it is held",
        "        if self._home is not this_process.value and self._home is not None:",
        "        if False:",
        (UNIT + "lease_here.py",),
    ),
    Guard(
        "a body in another thread is named where there is no lease",
        "        if name is None or holding.task == name:",
        "        if False:",
        (UNIT + "lease_here.py",),
    ),
    Guard(
        "a forked child is not given its parent's lease",
        "    if not holding.is_here:",
        "    if False:",
        (UNIT + "lease_here.py",),
    ),
    Guard(
        "coroutines and generators are refused",
        "if is_one(body):",
        "if False:",
        (UNIT + "binding.py",),
    ),
    Guard(
        "two tasks with one template agree on the ttl",
        "if mine != theirs:",
        "if False:",
        (UNIT + "binding.py",),
    ),
)

SERVER = (
    Guard(
        "a call to Redis has a deadline",
        "return deadline if within is None else min(within, deadline)",
        "return 5.0",
        (FAULTS + "::test_a_hung_server_is_given_up_at_the_deadline",),
    ),
    Guard(
        "a renewal may be given less time",
        "return deadline if within is None else min(within, deadline)",
        "return deadline",
        (FAULTS + "::test_a_renewal_may_be_given_less_time",),
    ),
    Guard(
        "a forked child opens connections of its own",
        "lambda: (Pool(directory, connections, care.guard), Watchers(watchers))",
        "lambda own=(Pool(directory, connections, care.guard), Watchers(watchers)): own",
        ("tests/contract/test_redis_sharing.py",),
    ),
    Guard(
        "a reply that nobody read is not taken for the next one",
        "                or self.unread\n",
        "",
        ("tests/contract/test_redis_connections.py",),
    ),
    Guard(
        "a connection with a reply that nobody read is not lent",
        " or connection.unread",
        "",
        ("tests/contract/test_redis_connections.py",),
    ),
    Guard(
        "a forked child sends nothing on its parent's connection",
        "                or self._process is not this_process.value\n",
        "",
        ("tests/contract/test_redis_sharing.py",),
    ),
    Guard(
        "a forked child reads no reply of its parent's",
        "not self.unread or self._process is not this_process.value",
        "not self.unread",
        ("tests/contract/test_redis_sharing.py",),
    ),
    Guard(
        "a refused write replaces all connections to one address",
        "            self._refused = now\n            self.doubts += 1",
        "            self._refused = now",
        ("tests/contract/test_redis_discovery.py",),
    ),
    Guard(
        "a doubt replaces the connections that are older",
        "                or self._doubts != self._directory.doubts\n",
        "",
        ("tests/contract/test_redis_discovery.py",),
    ),
    Guard(
        "replies that are out of step count for no script",
        "outcomes.clear()",
        "pass",
        ("tests/contract/test_redis_connections.py",),
    ),
    Guard(
        "cluster: the slot of a name is that of its hash tag",
        "            name = name[begin:end]\n",
        "            pass\n",
        ("tests/contract/test_cluster.py",),
    ),
    Guard(
        "cluster: a slot that has moved is remembered",
        "        node = self.keepers[slot] = self.at(place)\n",
        "        node = self.at(place)\n",
        ("tests/contract/test_cluster.py",),
    ),
    Guard(
        "cluster: a key that has gone ahead is asked for with ASKING",
        "before, asking = node, to.why is Why.ASK",
        "before, asking = node, False",
        ("tests/contract/test_cluster.py",),
    ),
    Guard(
        "cluster: what is refused for good is not tried again",
        "        if to is None:\n            raise error\n",
        "        if False:\n            raise error\n",
        ("tests/contract/test_cluster.py",),
    ),
    Guard(
        "cluster: nodes are not asked in a hurry",
        "if node is before or number >= _DIRECT:",
        "if False:",
        ("tests/contract/test_cluster.py",),
    ),
    Guard(
        "cluster: who has hung is replaced by its heir",
        "        elif any(node is not None and node.doubted for node in keepers):",
        "        elif False:",
        ("tests/contract/test_cluster.py",),
    ),
    Guard(
        "cluster: an heir is looked for before a node that hung is asked",
        "    elif node.doubted:\n",
        "    elif False:\n",
        ("tests/contract/test_cluster.py",),
    ),
    Guard(
        "cluster: a node that hangs delays no other one",
        "    if len(waiting) > 1:\n",
        "    if False:\n",
        ("tests/contract/test_cluster.py",),
    ),
    Guard(
        "cluster: a lost connection of one node is made again",
        "            _once_more(node, asked[node], answers[node], ends)\n",
        "",
        ("tests/contract/test_cluster.py",),
    ),
    Guard(
        "cluster: the answers of all nodes are heard at any call",
        "        if self._own.value.unheard:\n",
        "        if False:\n",
        ("tests/contract/test_cluster.py",),
    ),
    Guard(
        "cluster: what nobody waits for goes where its slot is",
        "node.server.run_unheard(call, failed, elsewhere)",
        "node.server.run_unheard(call, failed)",
        ("tests/contract/test_cluster.py",),
    ),
    Guard(
        "cluster: several nodes are listed twice",
        "    for _ in range(LOOKS):\n",
        "    for _ in range(1):\n",
        ("tests/contract/test_cluster.py",),
    ),
    Guard(
        "cluster: a lease that has moved is renewed in the same call",
        "                    again[at] = places[at]\n                else:",
        "                    pass\n                else:",
        ("tests/contract/test_cluster.py",),
    ),
    Guard(
        "cluster: each node has a breaker of its own",
        "        return self._cluster.place_of(self._state(key))",
        "        return self.url",
        ("tests/contract/test_cluster.py",),
    ),
    Guard(
        "a batch without an answer leaves its leases unknown, not lost",
        "[Outcome.UNKNOWN] * len(renewals[part])",
        "[Outcome.LOST] * len(renewals[part])",
        ("tests/contract/test_redis_batches.py",),
    ),
    Guard(
        "a server is shown without its password",
        "shown=shown,",
        "shown=url,",
        (FAULTS + "::test_a_server_that_is_gone_is_named_without_its_password",),
    ),
    Guard(
        "a URL of Celery's is shown without its password",
        'login, _, server = rest.rpartition("@")',
        'login, server = "", rest',
        (UNIT + "store_urls.py",),
    ),
)

COMMANDS = (
    Guard(
        "lock release: the holder hears who took its key",
        "store.change(Change(_SPACE, name, None, token_hex(8), by, TAKEN_KNOWN_FOR))",
        "pass",
        (UNIT + "takers.py", UNIT + "cli.py"),
    ),
    Guard(
        "lock release: a holder of several keys hears of each",
        'return f"{holder} {key}"',
        "return holder",
        (UNIT + "takers.py",),
    ),
    Guard(
        "lock release: only the holder that was shown is robbed",
        "store.free(held.key, held.holder, floor=True)",
        "store.free(held.key, (store.peek(held.key) or held).holder, floor=True)",
        (UNIT + "cli.py",),
    ),
    Guard(
        "lock release: asks",
        "        if not force:\n            _ask(held)\n",
        "",
        (UNIT + "cli.py",),
    ),
    Guard(
        "lock release: without a terminal only by force",
        "if not _can_ask():",
        "if False:",
        (UNIT + "cli.py",),
    ),
    Guard(
        "lock release: ends the floor",
        "held.holder, floor=True)",
        "held.holder)",
        (UNIT + "cli.py",),
    ),
    Guard(
        "lock show: another program's words stay on their line",
        "return text if text.isprintable() else repr(text)",
        "return text",
        (UNIT + "cli.py",),
    ),
    Guard(
        "a command knows the tasks of an app that is the default one of its process",
        'named = ctx.find_root().params.get("app") is not None',
        "named = False",
        (UNIT + "cli_key.py",),
    ),
)

ENDINGS = (
    Guard(
        "the key of a dead child is freed (matrix)",
        "if isinstance(error, _DEATHS):",
        "if False:",
        (MATRIX.format("child killed"),),
    ),
    Guard(
        "not before the child is gone (matrix)",
        "            if not gone():\n                return NOT_YET\n",
        "",
        (MATRIX.format("hard time limit, SystemExit swallowed"),),
    ),
    Guard(
        "the key of a dead child is freed",
        "if isinstance(error, _DEATHS):",
        "if False:",
        (UNIT + "request.py",),
    ),
    Guard(
        "not before the child is gone",
        "            if not gone():\n                return NOT_YET\n",
        "",
        (UNIT + "request.py",),
    ),
    Guard(
        "a dead child is looked for again soon",
        "pause = SOON",
        "pause = 1.0",
        (UNIT + "request.py",),
    ),
    Guard(
        "nobody is freed in a pool without children",
        "or not forks(request.app):",
        "or False:",
        (UNIT + "request.py",),
    ),
    Guard(
        "the key of a dead child's delivery is freed, not of the one before",
        'if not noted or Holder.parse(noted[0].holder).nonce != f"{_parts_of(request).nonce}.":',
        "if not noted:",
        (UNIT + "request.py",),
    ),
    Guard(
        "a copy of an acknowledged message whose child was killed is dropped",
        "                self.store.complete([completion])\n",
        "                pass\n",
        (UNIT + "request.py",),
    ),
    Guard(
        "a cancelled request is no completion",
        'return getattr(request, "_already_cancelled", False) or not (asked',
        "return not (asked",
        (UNIT + "request.py",),
    ),
    Guard(
        "a process that is alive keeps the key of its delivery",
        "or it.pid == own.pid or not notes.is_gone(it.pid):",
        "or it.pid == own.pid:",
        (UNIT + "dead_run.py",),
    ),
    Guard(
        "the next process of a delivery frees what the dead one had",
        "    if held.met not in (Met.PUBLICATION, Met.TASK):\n",
        "    if True:\n",
        (UNIT + "dead_run.py",),
    ),
    Guard(
        "a process that leaves gives back what it could not",
        "        calls.make_now()\n",
        "        pass\n",
        (UNIT + "pending_calls.py",),
    ),
    Guard(
        "a note that was cut off is none",
        "if len(data) != length or zlib.crc32(data, pid & 0xFFFFFFFF) != total:",
        "if False:",
        (UNIT + "notes.py",),
    ),
    Guard(
        "the next process of a place keeps the note of the one before",
        "if before not in (0, pid):",
        "if False:",
        (UNIT + "notes.py",),
    ),
    Guard(
        "a process that a body has forked writes no note",
        "if self.notes is None or os.getppid() != self.notes.main:",
        "if self.notes is None:",
        (UNIT + "notes.py",),
    ),
    Guard(
        "only the dead one is freed (Redis)",
        "if named and (one.live or barring) then",
        "if one.live or barring then",
        (REDIS,),
    ),
    Guard(
        "only the dead one is freed (memory)",
        "if _is_his(permit, holder) and (permit",
        "if (permit",
        (MEMORY,),
    ),
    Guard(
        "a holder is named whole, or up to a # (Redis)",
        "(ARGV[6] == '1' and one.c:sub(1, #ARGV[4]) == ARGV[4])",
        "one.c:sub(1, #ARGV[4]) == ARGV[4]",
        (REDIS,),
    ),
    Guard(
        "a holder is named whole, or up to a # (memory)",
        '(named[-1:] in ("#", ".") and holder.startswith(named))',
        "holder.startswith(named)",
        (MEMORY,),
    ),
    Guard(
        "what was given back stays so when its floor is ended (Redis)",
        "if one.expiry > 0 then -- what was given back before stays so",
        "if true then",
        (REDIS,),
    ),
    Guard(
        "the key of a revoked retry is freed",
        "        if revoked:\n            _free_for_the_revoked(self)\n",
        "",
        (UNIT + "request.py",),
    ),
    Guard(
        "the heir takes the key over (Redis)",
        "elseif mine and left_to and (one.s == left_to or one.s == 'u') then",
        "elseif false then",
        (REDIS,),
    ),
    Guard(
        "nobody else does (Redis)",
        "elseif mine and left_to and (one.s == left_to or one.s == 'u') then",
        "elseif mine and left_to then",
        (REDIS,),
    ),
    Guard(
        "a message adopts a lease that is not confirmed yet (Redis)",
        "elseif mine and left_to and (one.s == left_to or one.s == 'u') then",
        "elseif mine and left_to and one.s == left_to then",
        (REDIS,),
    ),
    Guard(
        "a message adopts a lease that is not confirmed yet (memory)",
        "        return permit.task_id == kept_for(heir)",
        "        return False",
        (MEMORY,),
    ),
    Guard(
        "nobody else adopts it (memory)",
        "        return permit.task_id == kept_for(heir)",
        "        return True",
        (MEMORY,),
    ),
    Guard(
        "a publisher's lease is unconfirmed (Redis)",
        "if state ~= '' then put('s', state) end",
        "",
        (REDIS,),
    ),
    Guard(
        "a publisher's lease of a free key is unconfirmed (Redis)",
        "    redis.call('HSET', KEYS[1], 's', state, 'x', 1)\n",
        "",
        (REDIS,),
    ),
    Guard(
        "a lease is of no state that the one before was in (Redis)",
        "    redis.call('HDEL', KEYS[1], 'x', 'a', 's', 'm', 'f', 'g', 'h')\n",
        "",
        (REDIS,),
    ),
    Guard(
        "a publisher's lease is unconfirmed (memory)",
        "        unconfirmed=claim.unconfirmed,",
        "        unconfirmed=False,",
        (MEMORY,),
    ),
    Guard(
        "a lease that is confirmed is unconfirmed no more (memory)",
        "            unconfirmed=False,",
        "",
        (MEMORY,),
    ),
    Guard(
        "a send that failed undoes an unconfirmed lease (Redis)",
        "and (one.s == '' or one.s == 'u') and one.expiry > 0",
        "and one.s == '' and one.expiry > 0",
        (REDIS,),
    ),
    Guard(
        "an undone adoption keeps the lease for its message (Redis)",
        "put('h', left_to .. ' '",
        "put('h', heir.s .. ' '",
        (REDIS,),
    ),
    Guard(
        "an undone adoption keeps the lease for its message (memory)",
        "else _kept(heir, claim.heir_of),",
        "else _kept(heir, heir.holder),",
        (MEMORY,),
    ),
    Guard(
        "a message that has ended frees a lease that is not confirmed (Redis)",
        "if one.s == 'u' and ARGV[5] ~= '' then",
        "if false then",
        (REDIS,),
    ),
    Guard(
        "a message that has ended frees a lease that is not confirmed (memory)",
        "if permit.unconfirmed and permit.task_id == kept_for(named):",
        "if False:",
        (MEMORY,),
    ),
    Guard(
        "an unconfirmed lease is freed by the name that is shown (Redis)",
        "    and (one.s == ARGV[5] or (one.s == 'u' and ARGV[5] == ''))",
        "    and one.s == ARGV[5]",
        (REDIS,),
    ),
    Guard(
        "the heir takes the key over (memory)",
        "heir = _heir(state, claim, lo) if claim.heir_of else None",
        "heir = None",
        (MEMORY,),
    ),
    Guard(
        "nobody else does (memory)",
        "heir = _heir(state, claim, lo) if claim.heir_of else None",
        "heir = next((one for one in state.permits if claim.heir_of and one.expiry > lo), None)",
        (MEMORY,),
    ),
    Guard(
        "an undone claim gives the key back to the heir (Redis)",
        "if one.h then -- what",
        "if false then -- what",
        (REDIS,),
    ),
    Guard(
        "an undone claim gives the key back to the heir (memory)",
        "heir, expiry, shown = permit.took_over",
        'heir, expiry, shown = "", 0, ""',
        (MEMORY,),
    ),
    Guard(
        "a full server takes a record",
        "  redis.call('PEXPIRE', name, life) -- first, as above\n",
        "",
        ("tests/contract/test_redis_refusals.py",),
    ),
    Guard(
        "an heir has no publication of the run before it (Redis)",
        "'u' .. i, ARGV[10] or '', 'e' .. i, now",
        "'e' .. i, now",
        (REDIS,),
    ),
    Guard(
        "an heir has no publication of the run before it (memory)",
        "            publication=end.heir_publication,",
        "            publication=end.heir_publication or permit.publication,",
        (MEMORY,),
    ),
    Guard(
        "an undone claim leaves the heir no publication (Redis)",
        "'c' .. i, '', 'u' .. i, one.shown,\n      's' .. i",
        "'c' .. i, '',\n      's' .. i",
        (REDIS,),
    ),
    Guard(
        "an undone claim leaves the heir no publication (memory)",
        "publication=shown if heir else permit.publication",
        "publication=permit.publication",
        (MEMORY,),
    ),
    Guard(
        "a copy of what was completed is refused (Redis)",
        "elseif done then",
        "elseif false then",
        (REDIS,),
    ),
    Guard(
        "a copy of what was completed is refused (memory)",
        "return done, first",
        "pass",
        (MEMORY,),
    ),
    Guard(
        "a copy is refused though nobody has the key (Redis)",
        "    and not (KEYS[2] and redis.call('PTTL', KEYS[2]) ~= -2) then",
        "    then",
        (REDIS,),
    ),
    Guard(
        "what was completed before a message was first seen is another (Redis)",
        "if told >= math.max(first, 1) then",
        "if told > 0 then",
        (REDIS,),
    ),
    Guard(
        "what was completed before a message was first seen is another (memory)",
        "if record.told and record.told >= first:",
        "if record.told:",
        (MEMORY,),
    ),
    Guard(
        "a copy waits until the end of a run is told (Redis)",
        "  elseif ended >= math.max(first, 1) and ended + ENDED_FOR > now then",
        "  elseif false then",
        (REDIS,),
    ),
    Guard(
        "a copy waits until the end of a run is told (memory)",
        "return Met.ENDED",
        "return None",
        (MEMORY,),
    ),
    Guard(
        "a run that has ended and is never told runs again (Redis)",
        " and ended + ENDED_FOR > now then",
        " then",
        (COMPLETIONS,),
    ),
    Guard(
        "a run that has ended and is never told runs again (memory)",
        " and record.ended + micro(ENDED_FOR) > lo:",
        ":",
        (COMPLETIONS,),
    ),
    Guard(
        "the end of another message of the same name keeps none back (Redis)",
        "elseif ended >= math.max(first, 1)",
        "elseif ended > 0",
        (COMPLETIONS,),
    ),
    Guard(
        "the end of another message of the same name keeps none back (memory)",
        "if record.ended and record.ended >= first",
        "if record.ended",
        (COMPLETIONS,),
    ),
    Guard(
        "a refused copy leaves its mark (Redis)",
        "    record(KEYS[2], 0, true, 'm', 1)\n",
        "",
        (REDIS,),
    ),
    Guard(
        "a copy that comes before the end is told leaves its mark too (Redis)",
        "(met == 'publication' or met == 'ended')",
        "(met == 'publication')",
        (COMPLETIONS,),
    ),
    Guard(
        "a copy that comes before the end is told leaves its mark too (memory)",
        "OF_A_COPY = (Met.PUBLICATION, Met.ENDED)",
        "OF_A_COPY = (Met.PUBLICATION,)",
        (COMPLETIONS,),
    ),
    Guard(
        "a refused copy leaves its mark (memory)",
        "writes[names[1]] = record_entry(tombstones.met(tombstone, clock))",
        "pass",
        (MEMORY,),
    ),
    Guard(
        "the end is recorded where a copy has left its mark (Redis)",
        "local seen = KEYS[3] and (met or not in_time)",
        "local seen = KEYS[3] and not in_time",
        (REDIS,),
    ),
    Guard(
        "the end is recorded where a copy has left its mark (memory)",
        "seen = before.met or not in_time",
        "seen = not in_time",
        (MEMORY,),
    ),
    Guard(
        "the end is recorded where the lease was lost (Redis)",
        "local seen = KEYS[3] and (met or not in_time)",
        "local seen = KEYS[3] and met",
        (REDIS,),
    ),
    Guard(
        "the end is recorded where the lease was lost (memory)",
        "seen = before.met or not in_time",
        "seen = before.met",
        (MEMORY,),
    ),
    Guard(
        "a record lives a day where a copy was seen (Redis)",
        "math.max(life, seen and MET_FOR or 0)",
        "life",
        (COMPLETIONS,),
    ),
    Guard(
        "a record lives a day where a copy was seen (memory)",
        "max(remember, MET_FOR if seen else 0.0)",
        "remember",
        (COMPLETIONS,),
    ),
    Guard(
        "a record is never cut short (Redis)",
        "  life = math.max(life, left)\n",
        "",
        (COMPLETIONS,),
    ),
    Guard(
        "a record is never cut short (memory)",
        "return max(before.until, clock[1] + ",
        "return max(0, clock[1] + ",
        (COMPLETIONS,),
    ),
    Guard(
        "only an ending that the broker is told of is a completion",
        "if delivery.is_eager or not is_completion(ending.ended, delivery.task):",
        "if delivery.is_eager:",
        (UNIT + "copies.py",),
    ),
    Guard(
        "an eager task has no copy that could come",
        "if delivery.is_eager or not is_completion(ending.ended, delivery.task):",
        "if not is_completion(ending.ended, delivery.task):",
        (UNIT + "copies.py",),
    ),
    Guard(
        "what follows a run is told when it is out, and no sooner",
        "        return partial(locker.told, grant)\n",
        "        locker.told(grant)\n        return None\n",
        (UNIT + "copies.py",),
    ),
    Guard(
        "nothing is told while an exception is on its way",
        "    if around() is not due.around:\n",
        "    if False:\n",
        (UNIT + "copies.py",),
    ),
    Guard(
        "what came of a run after its body counts",
        "    if is_completion(ended_in(state), task):\n        due.do()",
        "    if True:\n        due.do()",
        (UNIT + "copies.py",),
    ),
    Guard(
        "a message that ended without a lease is told too",
        "            self._completion = completion_of(self.delivery, ending.ended)",
        "            pass",
        (UNIT + "copies.py",),
    ),
    Guard(
        "a message that goes on is not told",
        "        return ended is EndedBy.IGNORED or",
        "        return False and",
        (UNIT + "copies.py",),
    ),
    Guard(
        "a first delivery asks too: its copy may have come before it",
        "        transport.asks_always\n        #",
        "        False\n        #",
        (UNIT + "copies.py",),
    ),
    Guard(
        "a named message asks, though nothing says that it is a copy",
        "        or header.publication is not None\n",
        "",
        ("tests/property/test_messages.py",),
    ),
    Guard(
        "a delivery asks whose worker has connected anew since it came",
        'return None if parts is None or parts.epoch == connection_epoch() else ""',
        "return None",
        (UNIT + "copies.py",),
    ),
    Guard(
        "what came by a lost connection is known before there is another one",
        "        if not stopping():\n            _count_connection()",
        "        return",
        (UNIT + "stopping.py",),
    ),
    Guard(
        "a process that dies as it sends a message again completes nothing",
        "        self._holding.sends()\n",
        "",
        (UNIT + "copies.py",),
    ),
    Guard(
        "what a dead child was sending again is not told",
        "    if claim.keys is None or not claim.publication:",
        "    if claim.keys is None:",
        (UNIT + "request.py",),
    ),
    Guard(
        "a send without an answer counts as one",
        "header=header, publication=publication, copy_since=since, is_sent_on=True",
        "header=header, publication=publication, is_sent_on=False",
        (UNIT + "copies.py",),
    ),
    Guard(
        "a copy waits no longer than an end can be told",
        "_WAITS_ITS_TURN = (Met.PUBLICATION, Met.ENDED,",
        "_WAITS_ITS_TURN = (Met.PUBLICATION,",
        (UNIT + "copies.py",),
    ),
    Guard(
        "an eager task needs no broker",
        "transport = NO_BROKER if is_eager else locks.transport",
        "transport = locks.transport",
        (UNIT + "copies.py",),
    ),
    Guard(
        "a message that lay here for long leaves a record",
        "return reconnected or acknowledged - parts.came > transport.visibility / 2",
        "return reconnected",
        (UNIT + "copies.py",),
    ),
    Guard(
        "a lost connection makes a copy possible",
        "reconnected = connection_epoch != parts.epoch",
        "reconnected = False",
        (UNIT + "copies.py",),
    ),
    Guard(
        "a retry with other arguments keeps nothing",
        "_key_of(delivery, want.bound, sent) != want.key for want in kept",
        "False for want in kept",
        (UNIT + "ending.py",),
    ),
    Guard(
        "the key of a revoked retry is the one that was kept",
        "names = header.all_kept or ([header.kept] if header.kept else None)",
        "names = None",
        (UNIT + "request.py",),
    ),
    Guard(
        "if one key of a list has been lost, its own lock says what is done",
        "on_lost = partial(interrupt.lost, key=name)",
        "on_lost = interrupt.lost",
        (UNIT + "several.py",),
    ),
    Guard(
        "the completion of a list lies beside one key, where its copies ask",
        "copy_since=delivery.copy_since if name == delivery.home else None,",
        "copy_since=None if name == delivery.home else delivery.copy_since,",
        (UNIT + "several.py",),
    ),
    Guard(
        "who waits claims anew what was undone",
        "asked = [_again(ask, number) for ask in asks] if undone else asks",
        "asked = asks",
        (UNIT + "several.py",),
    ),
    Guard(
        "a stop leaves none of the keys of a list",
        "self._undo(*(replace(claim, holder=holder) for claim in claims for holder in holders))",
        "self._undo(*(replace(claims[0], holder=holder) for holder in holders))",
        (UNIT + "several.py",),
    ),
    Guard(
        "a wait for one key of a list is none for another one",
        "is_another = name is not None and held.key != name",
        "is_another = False",
        (UNIT + "several.py",),
    ),
    Guard(
        "each release of a list leaves its key to the retry",
        "        for want in delivery.asked\n        if want.name in names\n",
        "        for want in delivery.asked[:1]\n",
        (UNIT + "several.py",),
    ),
    Guard(
        "what a dead child had is all freed",
        "            for key in claim.keys:\n",
        "            for key in claim.keys[:1]:\n",
        (UNIT + "request.py",),
    ),
    Guard(
        "a revoked retry frees all that was kept for it",
        "        for name in names:\n            locks_of(request.app).locker.free(",
        "        for name in names[:1]:\n            locks_of(request.app).locker.free(",
        (UNIT + "request.py",),
    ),
    Guard(
        "scopes in a list that hold each other up are refused",
        "        _refuse_mixed_scopes(name, one, other)\n",
        "",
        (UNIT + "lists.py",),
    ),
    Guard(
        "a single key is no key of a list",
        "    if not header.given or header.was_sent_again or header.retries or header.nesting:\n",
        "    if True:\n",
        (UNIT + "several.py",),
    ),
    Guard(
        "nobody is skipped for a claim that is undone",
        "        if ends and several not in store.features:\n",
        "        if False:\n",
        (UNIT + "lists.py",),
    ),
    Guard(
        "a wait goes on where a retry has interrupted it",
        "left = decision.blocks - self.delivery.header.waited",
        "left = decision.blocks",
        (UNIT + "retry_passes.py",),
    ),
    Guard(
        "an error that nobody foresaw loses no message",
        "if not isinstance(exc, Exception) or isinstance(exc, _STOPS):",
        "if True:",
        (UNIT + "sending.py",),
    ),
    Guard(
        "a retry that expires keeps nobody out after that",
        "return longest if left is None else max(1.0, min(longest, left))",
        "return longest",
        (UNIT + "ending.py",),
    ),
)

INTERRUPTS = (
    Guard(
        "only a body that runs is interrupted",
        "if self.armed and self.way is not None:",
        "if self.way is not None:",
        (UNIT + "interrupt.py",),
    ),
    Guard(
        "a signal that arrives after the end of the body does nothing",
        "if self._interrupt.armed and not self._arrived and self._interrupt.error is not None:",
        "if not self._arrived and self._interrupt.error is not None:",
        (UNIT + "interrupt.py",),
    ),
    Guard(
        "the body is disarmed before anything else is called",
        "self.armed = False  # no call before this: a handler that runs from here on is late",
        "pass",
        (UNIT + "interrupt.py",),
    ),
    Guard(
        "the end of a body waits for one who is sending",
        "with self.sending:  # who is sending has sent after this, and nobody begins",
        "if True:",
        (UNIT + "interrupt.py",),
    ),
    Guard(
        "what fell into the disarming does not stop it",
        "                self._disarm()\n                if error is not self.error:",
        "                if error is not self.error:",
        (UNIT + "interrupt.py",),
    ),
    Guard(
        "a greenlet that has left its body is left alone",
        "        if self._interrupt.armed:\n            self._greenlet",
        "        if True:\n            self._greenlet",
        (UNIT + "interrupt.py",),
    ),
    Guard(
        "a signal that a wait has missed is sent again",
        "if self._arrived or not self._interrupt.armed:",
        "if True:",
        (UNIT + "interrupt.py",),
    ),
    Guard(
        "a body is interrupted once",
        "            if self.error is not None:\n                return\n",
        "",
        (UNIT + "interrupt.py",),
    ),
    Guard(
        "a body whose lease is lost does not begin",
        "                if self.error is not None:\n                    raise self.error\n",
        "",
        (UNIT + "interrupt.py",),
    ),
    Guard(
        "a user's handler of the signal is put back",
        "signal.signal(self._number, BySignal.users)",
        "pass",
        (UNIT + "interrupt.py",),
    ),
    Guard(
        "an event is sent under the name of its worker",
        "default_dispatcher(hostname=self._hostname)",
        "default_dispatcher()",
        (UNIT + "observing.py",),
    ),
    Guard(
        "a monitor hears that a task has started before it hears of its lock",
        "own.leaves.wait(max(0.0, due - monotonic()))",
        "pass",
        (UNIT + "observing.py",),
    ),
    Guard(
        "no event of ours is the state of a task",
        'return str(self).removeprefix("task-").partition(sep)',
        "return str(self).partition(sep)",
        (UNIT + "task_events.py",),
    ),
    Guard(
        "a log line is not lost for a user's field of the same name",
        "{name: value for name, value in fields.items() if name not in taken}",
        "fields",
        (UNIT + "logs.py",),
    ),
    Guard(
        "the run hears of the loss",
        "            if ask.on_lost is not None:\n                ask.on_lost(reason, lease.by)\n",
        "            pass\n",
        (UNIT + "interrupt.py",),
    ),
    Guard(
        "the body of a bound task can be interrupted",
        "cls.run = _interruptible(body)",
        "pass",
        (UNIT + "interrupt.py",),
    ),
    Guard(
        "a class-based task that retries can be interrupted",
        'if "_orig_run" in mine:',
        "if False:",
        (UNIT + "interrupt.py",),
    ),
    Guard(
        "the renewal does not come back for ever to a lease that has ended",
        "lasting = [kept for kept in list(own.kept.values()) if kept.lease.reason is None]",
        "lasting = list(own.kept.values())",
        (UNIT + "keeper.py",),
    ),
)

TICKS = (
    Guard(
        "a schedule that piles up is warned of",
        "        warn_of_piling(worker.app)\n",
        "",
        ("tests/integration/test_worker_start.py",),
    ),
    Guard(
        "a copy of a tick with another task id waits too",
        "_WAITS_ITS_TURN = (Met.PUBLICATION, Met.ENDED, Met.TASK,",
        "_WAITS_ITS_TURN = (Met.ENDED, Met.TASK,",
        (UNIT + "tick_runs.py",),
    ),
    Guard(
        "a tick says for which publication it is one, so that its retry runs",
        "publication: str | None = carried(survives=_MESSAGE",
        "publication: str | None = carried(survives=_MESSAGE | _RETRY",
        (UNIT + "tick_runs.py", UNIT + "tick.py"),
    ),
    Guard(
        "a retry knows its tick",
        "carried(survives=_MESSAGE | _ANEW, read=tick)",
        "carried(survives=_MESSAGE, read=tick)",
        (UNIT + "tick_runs.py", UNIT + "tick.py"),
    ),
    Guard(
        "a retry keeps the time of its first publication",
        "carried(survives=_MESSAGE | _ANEW, read=moment)",
        "carried(survives=_MESSAGE, read=moment)",
        (UNIT + "tick_runs.py", UNIT + "tick.py"),
    ),
    Guard(
        "no app's entry is another's",
        'return text.replace("%", "%25").replace(":", "%3A")',
        "return text",
        (UNIT + "tick.py",),
    ),
    Guard(
        "calls within one message are warned of",
        "            if sender in CALLERS:",
        "            if False:",
        (UNIT + "in_one_message.py",),
    ),
    Guard(
        "a message has a name of its own",
        'put(headers, {"v": VERSION, "id": task_id, "publication": publication, **fields})',
        "put(headers, None)",
        (UNIT + "stamping.py",),
    ),
    Guard(
        "a message that is published anew has a new name",
        "marked(nonce or ticks or new_publication(), mark)",
        "marked(nonce or said.publication or new_publication(), mark)",
        (UNIT + "stamping.py",),
    ),
    Guard(
        "a header of another task is nobody's",
        "if id is not None and its is not None and its != id:",
        "if False:",
        (UNIT + "header.py",),
    ),
    Guard(
        "a key that a sender named is not handed on",
        "request_dict[HEADER] = named",
        "pass",
        (UNIT + "header.py",),
    ),
    Guard(
        "a header that was carried over is taken out",
        "if any(is_of_another(each, task_id) for each in written_in(headers)):",
        "if False:",
        (UNIT + "stamping.py",),
    ),
    Guard(
        "no other receiver writes over ours",
        "    _locked.add(name)\n    come_last()",
        "    _locked.add(name)",
        (UNIT + "stamping.py",),
    ),
    Guard(
        "no late receiver writes over what a body sends",
        "stamping.come_last()  # what the body sends may be given its own headers",
        "pass",
        (UNIT + "stamping.py",),
    ),
    Guard(
        "our header is found in the outer place",
        "outer, headers = getattr(request, HEADER, None), request.headers",
        "outer, headers = None, request.headers",
        (UNIT + "header.py",),
    ),
    Guard(
        "our header is written to the inner place too",
        "headers[INNER] = {**inner, HEADER: written}",
        "pass",
        (UNIT + "header.py",),
    ),
    Guard(
        "of two headers the higher attempt wins",
        "elif other.attempt > header.attempt:",
        "elif False:",
        (UNIT + "header.py",),
    ),
    Guard(
        "a name that was handed over is for one message",
        "nonce, self._nonce = self._nonce, None",
        "nonce = self._nonce",
        (UNIT + "stamping.py",),
    ),
    Guard(
        "one message in two queues is two publications",
        "return short(name) if parts is None else in_queue(name, parts.queue or _stand_in(parts))",
        "return short(name)",
        (UNIT + "delivery.py",),
    ),
    Guard(
        "the other message of an exchange is no copy",
        "return held.met is Met.TASK and are_siblings(self.publication, held.publication)",
        "return False",
        (UNIT + "named_runs.py",),
    ),
    Guard(
        "two queues of one topic are told apart",
        " or _by_hearing(message, info, queues)",
        "",
        (UNIT + "hearing.py",),
    ),
    Guard(
        "two equal messages are one no more once sent again",
        "named_by_contents(self.request) if redelivered else new_publication()",
        "named_by_contents(self.request)",
        (UNIT + "named_runs.py",),
    ),
    Guard(
        "a time of publication that is there is kept",
        "header.first_published is None and header.key is None:",
        "header.key is None:",
        (UNIT + "stamping.py",),
    ),
    Guard(
        "only the app that publishes writes the time",
        "return [app for app in apps if app.thread_oid == reply_to] or apps",
        "return apps",
        (UNIT + "stamping.py",),
    ),
    Guard(
        "an app with a wrong lock does not end the search for the one that sends",
        "except Exception:  # its worker says what; and it need not be the app that sends\n"
        "                continue",
        "except Exception:  # its worker says what; and it need not be the app that sends\n"
        "                raise",
        (UNIT + "stamping.py",),
    ),
    Guard(
        "an app that has bound nothing yet is looked at",
        "if name in _locked or not all(app.finalized for app in _get_active_apps()):",
        "if name in _locked:",
        (UNIT + "stamping.py",),
    ),
    Guard(
        "a message that is sent by name says its time",
        "app.finalize(auto=True)",
        "pass",
        (UNIT + "stamping.py",),
    ),
    Guard(
        "a key kept for a retry shows the tick of its message",
        "return bound.key.render(args, kwargs, context)",
        "return bound.key.render(args, kwargs)",
        (UNIT + "tick_runs.py",),
    ),
    Guard(
        "no lease of a task that runs is released with those of a purged queue",
        "if one.live and retry_of(one) is not None]",
        "if one.live]",
        (UNIT + "cli_queued.py",),
    ),
    Guard(
        "no key of another template is released with those of a purged queue",
        "if keys.has(key_of_name(name))]",
        "if True]",
        (UNIT + "cli_queued.py",),
    ),
    Guard(
        "what a call was given is not given to Celery a second time by its route",
        "if name in _ASKED or (value is not None and self._given.get(name) is None):",
        "if True:",
        (UNIT + "tenants_published.py",),
    ),
    Guard(
        "a header under another case is no reason for the default of all",
        "if text is None and not _is_near(context.headers, path[0]):",
        "if text is None:",
        (UNIT + "key_headers.py",),
    ),
    Guard(
        "quotes around the name of a header are refused",
        "if any(step != step.strip(_AROUND) for step in path):",
        "if False:",
        (UNIT + "key_headers.py",),
    ),
    Guard(
        "a header that stands there twice with two values makes no key",
        "if outer and inner and outer != inner:",
        "if False:",
        (UNIT + "key_headers.py",),
    ),
    Guard(
        "a header that says nothing makes no key",
        "return None if form is None else text_of(form) or None",
        "return text_of(form)",
        (UNIT + "key_headers.py",),
    ),
    Guard(
        "a retry keeps what its run has shown of headers and queue",
        "                    _say_what_was_shown(name, task_id, headers, bound)\n",
        "                    pass\n",
        (UNIT + "tenants.py",),
    ),
    Guard(
        "a retry in another queue has the key of the first one",
        'queue = context.shown.get("queue") or context.queue',
        'queue = context.queue or context.shown.get("queue")',
        (UNIT + "key_headers.py", UNIT + "tenants.py"),
    ),
    Guard(
        "a key across retries is left only to a retry whose headers ask for it",
        "    if bound.key.shows_sender:  # but headers of its own\n",
        "    if False:\n",
        (UNIT + "tenants.py",),
    ),
    Guard(
        "headers are those of the raw message, which no body changes",
        "        return _with(header, parts.headers, parts.queue)\n",
        "        return _with(header, request.headers, parts.queue)\n",
        (UNIT + "tenants.py",),
    ),
    Guard(
        "no default of a header stands for what a publisher does not see",
        "if scope.is_publishers and key.defaults:",
        "if False:",
        (UNIT + "tenants.py",),
    ),
    Guard(
        "a message goes to the queue that its key shows",
        'given["router"] = router = routed(task, args, kwargs, options)',
        "router = routed(task, args, kwargs, options)",
        (UNIT + "tenants.py",),
    ),
    Guard(
        "a parameter named beat is not taken for the tick",
        "if field.head in parameters.names:",
        "if False:",
        (UNIT + "key_context.py",),
    ),
)

BEATS = (
    Guard(
        "no tick before the store's clock says so",
        "name, expected, wanted, ttl=request.record_ttl, not_before=request.due",
        "name, expected, wanted, ttl=request.record_ttl",
        (UNIT + "beats.py",),
    ),
    Guard(
        "a claim is compared with what was known",
        "                name, expected, wanted, ttl",
        "                name, self.calls.read(name).stamp, wanted, ttl",
        (UNIT + "beats.py",),
    ),
    Guard(
        "a claim of another beat has its time",
        "return Wait(record, left) if left > 0 else TakeOver(record, claim)",
        "return TakeOver(record, claim)",
        (UNIT + "beats.py",),
    ),
    Guard(
        "a beat knows its own claim again",
        "if claim.by == by and answer.age < FRESH * claim.ttl:",
        "if False:",
        (UNIT + "beats.py",),
    ),
    Guard(
        "nobody takes over just after an outage",
        "left = max(left, claim.ttl - sure_for)",
        "pass",
        (UNIT + "ledger.py",),
    ),
    Guard(
        "a claim that has been confirmed is not met again",
        "return found.claim is not None and found.claim.next_base <= self.confirmed.at + SAME",
        "return False",
        (UNIT + "beats.py", UNIT + "ledger.py"),
    ),
    Guard(
        "who remembers knows better than who guesses",
        "return (not self.guessed, self.at) > (not other.guessed, other.at + SAME)",
        "return self.at > other.at + SAME",
        (UNIT + "beats.py",),
    ),
    Guard(
        "a run noted by a fast clock is not waited for",
        "return replace(run, at=min(run.at, self._calls.clock.now()))",
        "return run",
        (UNIT + "beats.py",),
    ),
    Guard(
        "a tick is confirmed by whom its claim was taken from",
        "not by who claimed it: it may be taken over\n            expected = answer.stamp",
        "not by who claimed it: it may be taken over\n            return",
        (UNIT + "beats.py", UNIT + "ledger.py"),
    ),
    Guard(
        "a pending confirm is sent later",
        "self._pending.append(tick)",
        "pass",
        (UNIT + "ledger.py",),
    ),
    Guard(
        "a silent store is left alone for a while",
        "        if self.open_for:\n",
        "        if False:\n",
        (UNIT + "beats.py",),
    ),
    Guard(
        "with a silent store a beat sleeps",
        "if silent and not self._deciding.fires:",
        "if False:",
        (UNIT + "beats.py",),
    ),
    Guard(
        "a beat that stood still does not publish",
        "if not self._deciding.ledger.may_go_on(tick):",
        "if False:",
        (UNIT + "beats.py",),
    ),
    Guard(
        "a tick that failed is given up",
        "        self._deciding.ledger.fail(tick)\n",
        "        pass\n",
        (UNIT + "beats.py",),
    ),
    Guard(
        "a tick that failed is planned for soon",
        "        self._lock_failed[tick.name] = 1.5 * tick.retry_in\n",
        "        pass\n",
        (UNIT + "beat_endings.py",),
    ),
    Guard(
        "the last run moves with the confirm",
        "            self._deciding.show_last_run(advanced)\n            self._lock_advanced",
        "            self._lock_advanced",
        (UNIT + "beats.py",),
    ),
    Guard(
        "the plan is by the store's clock",
        "return self._deciding.ledger.clock.now() + float(self.adjust(next_time_to_run) or 0)",
        "return float(super()._when(entry, next_time_to_run))",
        (UNIT + "beats.py",),
    ),
    Guard(
        "a jump of the store's clock voids the plan",
        "ledger.clock.jumped() or self._deciding",
        "self._deciding",
        (UNIT + "beats.py",),
    ),
    Guard(
        "an entry that paces itself is left to its pace",
        "                if situation.due and situation.due_times.ignores_last_run():\n"
        "                    return None, self._let_rest(entry, situation.delay)\n",
        "",
        (UNIT + "beats.py",),
    ),
    Guard(
        "a claimed tick of the past is left out",
        "if isinstance(found, Tick) and self._is_of_the_past(entry, found):",
        "if False:",
        (UNIT + "beats.py",),
    ),
    Guard(
        "a blank row is written where it begins",
        "        if begun:\n",
        "        if False:\n",
        (UNIT + "beats_database.py",),
    ),
    Guard(
        "a row that was changed is not written over",
        "rows.filter(pk=self.model.pk, date_changed=self.model.date_changed)",
        "rows.filter(pk=self.model.pk)",
        (UNIT + "beats_database.py",),
    ),
    Guard(
        "an entry with a start time is due as it may start",
        "entry.last_run_at = moment_like(run.at - _LONG_AGO, zone)",
        "pass",
        (UNIT + "beats_database.py",),
    ),
    Guard(
        "a due time has one name for all beats",
        "self._now = now = round(now, 6)",
        "self._now = now",
        (UNIT + "beat_due_times.py",),
    ),
    Guard(
        "a beat whose schedule cannot be stored stops",
        "            super().close()\n        except Exception:\n",
        "            super().close()\n        except ZeroDivisionError:\n",
        (UNIT + "beat_classes.py", UNIT + "beat_endings.py"),
    ),
    Guard(
        "an entry for once looks whether it has run",
        "return Step.LOOK if self.counts_runs and not self.is_sure else Step.CLAIM",
        "return Step.CLAIM",
        (UNIT + "beats.py",),
    ),
    Guard(
        "a closed beat gives its tick back",
        "                    ledger.fail(tick, after=0.0)\n                # else",
        "                    pass\n                # else",
        (UNIT + "beat_endings.py",),
    ),
    Guard(
        "a tick that is being sent is not given back",
        "elif (tick.sent and not tick.in_flight) or tick.sending is Sending.NOT_BEGUN:",
        "else:",
        (UNIT + "beat_endings.py",),
    ),
    Guard(
        "a schedule that cannot be stored is no failed tick",
        "if all(tick.sending is not Sending.BEGUN for tick in self._lock_granted.values()):",
        "if True:",
        (UNIT + "beat_endings.py",),
    ),
    Guard(
        "apps of one server keep their ticks apart",
        "return f\"beat:{app.main or ''}\"",
        'return "beat:"',
        (UNIT + "beats.py",),
    ),
    Guard(
        "an entry's own options are left alone",
        'headers = dict(options.get("headers") or {})',
        'headers = options.get("headers") or {}',
        (UNIT + "beats.py",),
    ),
    Guard(
        "a scheduler with its own tick is refused",
        "_check_tick(cls, klass, mixin)\n        if",
        "pass\n        if",
        (UNIT + "beat_classes.py",),
    ),
    Guard(
        "a slow answer does not set the clock back",
        "min(max(before, lowest), highest)",
        "lowest",
        (UNIT + "store_clock.py",),
    ),
    Guard(
        "an interval keeps its phase",
        "return due\n        return max(self._now, due)",
        "return self._now\n        return max(self._now, due)",
        (UNIT + "beats.py",),
    ),
)

SCHEDULES = (
    Guard(
        "lock beat keeps a name with a line break on its line",
        "name, said = plain(entry.name),",
        "name, said = entry.name,",
        (UNIT + "cli_beat.py",),
    ),
    Guard(
        "a record with a time that no clock shows is none of ours",
        "if not 0 <= seconds < _YEAR_9000:",
        "if False:",
        (UNIT + "beat_records.py",),
    ),
    Guard(
        "a record of an entry that has not run yet outlives a long interval",
        "fresh, ttl=record_ttl(following))",
        "fresh, ttl=30 * 86_400.0)",
        (UNIT + "beat_records.py",),
    ),
    Guard(
        "the record of an entry says its next due time, a late confirm too",
        "EntryRecord(tick.run, next_due=tick.next_due)",
        "EntryRecord(tick.run)",
        (UNIT + "beat_records.py",),
    ),
    Guard(
        "what a scheduler ran its own way is confirmed",
        "            self._confirm(tick, advanced)\n",
        "            self._confirm(tick, advanced) if tick.published else None\n",
        (UNIT + "beat_publishing.py",),
    ),
    Guard(
        "what fails above the mixin is given up",
        "            if tick is not None:\n                tick.failed = True\n            raise",
        "            raise",
        (UNIT + "beat_publishing.py",),
    ),
    Guard(
        "equal messages of a tick have numbers",
        "self._numbers[sent] = number + 1",
        "pass",
        (UNIT + "beat_fan_out.py",),
    ),
    Guard(
        "a message is named by what was added to it on its way",
        'f"{self._sent}{spelled(added)}" if added else self._sent',
        "self._sent",
        (UNIT + "beat_fan_out.py",),
    ),
    Guard(
        "what tools write anew is no part of a name",
        "not _is_trace(str(name))",
        "True",
        (UNIT + "beat_fan_out.py",),
    ),
    Guard(
        "a message that was sent for a tick is not sent again",
        "        if self._tick.has_sent(name):\n",
        "        if False:\n",
        (UNIT + "beat_fan_out.py",),
    ),
    Guard(
        "what was sent of a tick is written down before more is",
        "                self._write_sent(tick)\n",
        "                pass\n",
        (UNIT + "beat_fan_out.py",),
    ),
    Guard(
        "a message that cannot be sent holds up no later tick",
        "in_part = tick.was_given_up and bool(tick.sent)",
        "in_part = False",
        (UNIT + "beat_fan_out.py",),
    ),
    Guard(
        "an interval begins anew after a tick that was late",
        "                at = max(at, self.first_sent)\n",
        "                pass\n",
        (UNIT + "beat_outages.py",),
    ),
    Guard(
        "a tick that failed in part is tried again",
        "            self.tick.failed = True\n            raise\n        finally",
        "            raise\n        finally",
        (UNIT + "beat_fan_out.py",),
    ),
    Guard(
        "entries are loaded together after a silent start",
        "ledger.clock.jumped() or self._deciding.should_load():",
        "ledger.clock.jumped():",
        (UNIT + "beats.py",),
    ),
    Guard(
        "a record that was taken over lives its time",
        "found = self._meet(name, answer, move, request)",
        "found = self._meet(name, answer, move, TickRequest(0.0, 0.0, 10.0))",
        (UNIT + "beat_records.py",),
    ),
    Guard(
        "a schedule that does not say when is asked soon after a run",
        "delay = SOON if due else self.longest",
        "delay = self.longest",
        (UNIT + "beats.py",),
    ),
    Guard(
        "the last run of a relative interval is on its own clock",
        "zone = entry.schedule.now().tzinfo or zone",
        "pass",
        (UNIT + "beats.py",),
    ),
    Guard(
        "an entry named after an address is warned of",
        "            warn_of_name(entry.name)\n",
        "            pass\n",
        (UNIT + "beat_schedules.py",),
    ),
)

ADOPTED = (
    Guard(
        "a retry under another id is no heir",
        'if sent is not None and str(sent.options.get("task_id") or task_id) != task_id:',
        "if False:",
        (UNIT + "adopting.py",),
    ),
    Guard(
        "a message adopts what its publisher took",
        "    if _is_kept(want, delivery) or (want",
        "    if (want",
        (UNIT + "adopting.py",),
    ),
    Guard(
        "a message that goes back takes its key along",
        "        kept = [want for want in wants if _is_kept(want, delivery)]",
        "        kept = []",
        (UNIT + "adopting.py",),
    ),
    Guard(
        "the same task in its place takes the key along",
        "            holding.replacement = sig if",
        "            holding.replacement = None if",
        (UNIT + "adopting.py",),
    ),
    Guard(
        "a message that was given its lease is no duplicate later",
        " or self.header.wait or self._is_no_duplicate",
        " or self.header.wait",
        (UNIT + "adopting.py",),
    ),
    Guard(
        "what may have started before asks for no place",
        "if header.had or _may_have_started(header, request, transport):",
        "if header.had:",
        (UNIT + "adopting.py",),
    ),
    Guard(
        "a message that was given its place asks for none",
        "if header.had or _may_have_started(header, request, transport):",
        "if _may_have_started(header, request, transport):",
        (UNIT + "adopting.py",),
    ),
    Guard(
        "a place that was claimed is given back as the body starts",
        "            self._holding.leave_the_queue()\n",
        "            pass\n",
        (UNIT + "adopting.py",),
    ),
    Guard(
        "a place of a publisher is given back as the body starts",
        "            self._settling.start()\n",
        "            pass\n",
        (UNIT + "adopting.py",),
    ),
    Guard(
        "what ends without a body frees its lease",
        "            self._settling.end()\n",
        "            pass\n",
        (UNIT + "adopting.py",),
    ),
    Guard(
        "what is sent again takes its lease along",
        "goes_on = self.is_sent or ending.goes_back",
        "goes_on = ending.goes_back",
        (UNIT + "adopting.py",),
    ),
    Guard(
        "what is left to the same task in its place is not freed",
        "[name for name in self._queued.names if name not in self._adopted]",
        "self._queued.names",
        (UNIT + "adopting.py",),
    ),
    Guard(
        "nothing is recorded of a message that asks for nothing",
        "self.delivery.header.unlocked or not self.delivery.asked:",
        "self.delivery.header.unlocked:",
        (UNIT + "adopting.py",),
    ),
)
"""The lease of a publisher, where a run adopts it."""

SETTLED = (
    Guard(
        "a queue place is given back as a body without a lock starts",
        "        settling.start()\n        result",
        "        result",
        (UNIT + "settling.py",),
    ),
    Guard(
        "a lease that a task without a lock was sent with is freed",
        "    settling.end()\n    return result",
        "    return result",
        (UNIT + "settling.py",),
    ),
    Guard(
        "a body without a lock that goes back keeps its lease",
        "        if not goes_back(error, task):\n            settling.end()",
        "        settling.end()",
        (UNIT + "settling.py",),
    ),
    Guard(
        "a body that calls its own task settles once",
        "queued = None if within in _within else queued_of(request)",
        "queued = queued_of(request)",
        (UNIT + "settling.py",),
    ),
    Guard(
        "a message that fails before its claim frees its lease",
        "                settle(self, request, error)\n",
        "                pass\n",
        (UNIT + "settling.py",),
    ),
    Guard(
        "a run that never comes to our door frees the lease",
        "        signals.task_postrun.connect(_settle_unseen, weak=False)",
        "        pass",
        (UNIT + "settling.py",),
    ),
    Guard(
        "an eager call frees nobody's lease",
        "(outer is None and inner is None) or request.is_eager",
        "outer is None and inner is None",
        (UNIT + "settling.py",),
    ),
    Guard(
        "a freeing without an answer is tried again",
        "    except StoreError as error:\n        locker.pending.add(free, for_=FREED_FOR)",
        "    except StoreError as error:",
        (UNIT + "settling.py",),
    ),
    Guard(
        "a watch that breaks ends no wait",
        "        except StoreUnavailable:\n            return False\n        return True",
        "        except StoreUnavailable:\n            raise\n        return True",
        (UNIT + "locker.py",),
    ),
    Guard(
        "a lease of another store is told of once a minute",
        "_next_complaint[0] = steady() + _EVERY",
        "_next_complaint[0] = 0.0",
        (UNIT + "settling.py",),
    ),
    Guard(
        "a child that died before it adopted frees its lease",
        "    if not back:\n        free_queued(",
        "    if False:\n        free_queued(",
        (UNIT + "unrun.py",),
    ),
    Guard(
        "a message that goes back keeps its lease after a death",
        "    if not back:\n",
        "    if True:\n",
        (UNIT + "unrun.py",),
    ),
    Guard(
        "a lease is freed only when its child is gone",
        "        if not gone():\n            return NOT_YET\n        _free(",
        "        _free(",
        (UNIT + "unrun.py",),
    ),
    Guard(
        "what may have been sent again keeps its lease",
        "queued is None or is_ignored(error) or",
        "queued is None or",
        (UNIT + "unrun.py",),
    ),
    Guard(
        "a message that is revoked keeps nothing",
        "signals.task_revoked.connect(_on_revoked, weak=False)",
        "pass",
        (UNIT + "unrun.py",),
    ),
    Guard(
        "a message of an unknown task keeps nothing",
        "signals.task_unknown.connect(_on_unknown, weak=False)",
        "pass",
        (UNIT + "unrun.py",),
    ),
    Guard(
        "a message that is rejected keeps nothing",
        "signals.task_rejected.connect(_on_rejected, weak=False)",
        "pass",
        (UNIT + "unrun.py",),
    ),
    Guard(
        "a message that is done before keeps nothing",
        "            free_deduplicated(request)\n",
        "            pass\n",
        (UNIT + "unrun.py",),
    ),
    Guard(
        "an acknowledgement after a failure frees nothing",
        "if not (self._fails or request.acknowledged)",
        "if not request.acknowledged",
        (UNIT + "unrun.py",),
    ),
)
SETTLED += (
    Guard(
        "a retry that ends before its claim frees what was left to it",
        '*kept, *_texts(written.get("all_kept"))',
        "",
        (UNIT + "adopting.py",),
    ),
    Guard(
        "a retry takes the key from a try that left it behind",
        "return held.holder if it.retry_no < retry_no or replaced else",
        "return held.holder if replaced else",
        (UNIT + "adopting.py",),
    ),
    Guard(
        "a late copy takes nothing from the retry that came of it",
        "return held.holder if it.retry_no < retry_no or replaced else",
        "return held.holder if True else",
        (UNIT + "adopting.py",),
    ),
    Guard(
        "a retry frees what the tries before it have left behind",
        "its.retry_no <= own.retry_no",
        "its.retry_no == own.retry_no",
        (UNIT + "settling.py",),
    ),
    Guard(
        "a message that cannot be read keeps nothing",
        "    message_unreadable.connect(_on_rejected, weak=False)\n",
        "",
        (UNIT + "unrun.py",),
    ),
    Guard(
        "a message that is revoked as it waits for its eta keeps nothing",
        "    revoked_in_wait.connect(_on_revoke_command, weak=False)\n",
        "",
        (UNIT + "unrun.py",),
    ),
    Guard(
        "a retry that is revoked before its eta keeps nothing",
        '("scheduled_requests", "reserved_requests")',
        '("reserved_requests",)',
        (UNIT + "unrun.py",),
    ),
    Guard(
        "a revoke is answered while threads of the pool begin tasks",
        "for ref in each.data.copy()]",
        "for ref in [lambda one=one: one for one in each]]",
        (UNIT + "unrun.py",),
    ),
    Guard(
        "a message that came back and is revoked keeps nothing",
        "not (retry_no or came_back)",
        "not retry_no",
        (UNIT + "unrun.py",),
    ),
    Guard(
        "a time limit that falls into a freeing is raised",
        "        except LockError as error:\n            left(subject, error)\n        except",
        "        except Exception as error:\n            left(subject, error)\n        except",
        (UNIT + "settling.py",),
    ),
)
"""The lease of a publisher, where no run adopts it."""

OUTSIDE = (
    Guard(
        "a key that nobody is left to give back is given back",
        "        own, now = self._own.value, self._clock()\n        self.let_go()\n",
        "        own, now = self._own.value, self._clock()\n",
        (UNIT + "hold_interrupted.py",),
    ),
    Guard(
        "a collector of garbage makes no call to the store",
        "later=kind is not None and issubclass(kind, GeneratorExit)",
        "later=False",
        (UNIT + "hold_interrupted.py",),
    ),
    Guard(
        "a block that was stopped as it ends is over, though its hold is not",
        "                leaver.entry = entry\n",
        "                self._entries.append(entry)\n",
        (UNIT + "hold_interrupted.py",),
    ),
    Guard(
        "a hold that was stopped after its grant is undone",
        "            self._locker.abandon(ask.claim)\n        self._grant = self._ask = None",
        "            pass\n        self._grant = self._ask = None",
        (UNIT + "hold_interrupted.py",),
    ),
    Guard(
        "a function that is stopped as it is left is left all the same",
        "that comes once\n                    entry.leave()\n                    raise",
        "that comes once\n                    raise",
        (UNIT + "hold_interrupted.py",),
    ),
    Guard(
        "a message comes again soon however long its store was down",
        "self._resend(outage_pause(), str(error))",
        "self._resend(_TURNS(self.delivery.header.outages), str(error))",
        (UNIT + "run.py",),
    ),
    Guard(
        "a store that has hung is not asked by each run",
        "        self.acquire, self.release = self._acquire, self._release\n        self.wake",
        "        self.wake",
        (UNIT + "breaker.py",),
    ),
    Guard(
        "a store that renews without asking is not taken for one that answers",
        "        if probe is not None:\n",
        "        if False and probe is not None:\n",
        (UNIT + "breaker.py",),
    ),
    Guard(
        "a store that hangs as another part of it opens is shut",
        "        if self._shut:  # another thread has found out in this moment\n",
        "        if False:\n",
        (UNIT + "breaker_races.py",),
    ),
    Guard(
        "a store that hangs as another part of it opens is asked again",
        "        return self._due if self._shut else math.inf\n",
        "        self._due = self._due if self._shut else math.inf\n        return self._due\n",
        (UNIT + "breaker_races.py",),
    ),
    Guard(
        "a store is asked again though the one who found out was stopped",
        "        self.wake(self._due)  # a stop may",
        "        # a stop may",
        (UNIT + "breaker_races.py",),
    ),
    Guard(
        "a server that hangs is not asked because another one answers",
        "        return [outcome is not Outcome.UNKNOWN for outcome in outcomes]\n",
        "        return [True for outcome in outcomes]\n",
        (UNIT + "breaker_races.py",),
    ),
    Guard(
        "calls that were under way do not put off the probe that waits for long",
        "        if known is None or known.process is not process:\n",
        "        if True:\n",
        (UNIT + "breaker_races.py",),
    ),
    Guard(
        "a store that fails fast is asked each time",
        "        if not error.asked or now - began < COSTLY * self._deadline:",
        "        if not error.asked:",
        (UNIT + "breaker.py",),
    ),
    Guard(
        "a store that needs long to refuse is not asked for each task",
        "        soon = clock() - began < COSTLY * deadline\n",
        "        soon = True\n",
        (UNIT + "breaker.py",),
    ),
    Guard(
        "a forked child finds out by itself that a store has hung",
        "        if shut.process is not this_process.value:",
        "        if False:",
        (UNIT + "breaker.py",),
    ),
    Guard(
        "what waits is done as soon as a store that has hung answers",
        "            call.due = min(call.due, now)\n",
        "            pass\n",
        (UNIT + "breaker.py",),
    ),
    Guard(
        "a process that leaves asks a store that has hung once more",
        "            self._breaker.probe()\n",
        "            pass\n",
        (UNIT + "breaker.py",),
    ),
    Guard(
        "a list of which the store hung half-way is undone",
        "                error.asked = error.asked or bool(leases)\n",
        "",
        (UNIT + "breaker.py",),
    ),
    Guard(
        "what is held as the main thread leaves is given back",
        "            leaving=partial(self.keeper.let_go, leaving=True),\n",
        "",
        (UNIT + "hold_interrupted.py",),
    ),
    Guard(
        "an alarm whose thread has ended is not nudged",
        "if thread is not None and thread.is_alive() and self.time >",
        "if self.time >",
        (UNIT + "alarm.py",),
    ),
    Guard(
        "coroutines do not share the key of a block",
        "if stay is not None and stay.place == place]",
        "if stay is not None and place]",
        (UNIT + "hold.py",),
    ),
    Guard(
        "coroutines do not share the key of a body",
        "is_place = self.is_here and self._within is running_task()",
        "is_place = self.is_here",
        (UNIT + "hold.py",),
    ),
    Guard(
        "what a block has lost is not held any more",
        "            and lease.is_at_home\n            and lease.reason is None\n",
        "            and lease.is_at_home\n",
        (UNIT + "hold.py",),
    ),
    Guard(
        "a forked child does not hold what its parent holds",
        "            and lease.is_at_home\n            and lease.reason is None\n",
        "            and lease.reason is None\n",
        (UNIT + "hold.py",),
    ),
    Guard(
        "an eager wait does not wait for the block around it",
        "return holders.union(*(one.holders for one in around()))",
        "return set[str]().union(*(one.holders for one in around()))",
        (UNIT + "hold.py",),
    ),
    Guard(
        "a key that was cut is not cut again",
        "            return self._compiled(inspect.Signature()).render((), {})\n"
        "        return self._literal",
        "            pass\n        return self._compiled(inspect.Signature()).render((), {})",
        (UNIT + "hold_key.py",),
    ),
    Guard(
        "what runs later gets no key",
        "        if type(result) is kind:\n",
        "        if False:\n",
        (UNIT + "hold.py",),
    ),
    Guard(
        "the threads of a web server find its app",
        "    if len(others) == 1:\n        return others[0]\n",
        "",
        (UNIT + "hold_app.py",),
    ),
    Guard(
        "Django's apps are ready before a key is held",
        "if by_django and not (registry is not None and registry.apps.models_ready):",
        "if False:",
        (UNIT + "hold_app.py",),
    ),
    Guard(
        "permits need a store that has them, outside a task too",
        "        if self._terms.limit > 1:\n",
        "        if False:\n",
        (UNIT + "hold.py",),
    ),
)

PUBLISHED = (
    Guard(
        "publish: a send that fails gives the lease back",
        "    except BaseException:\n        leases.undo()\n        raise\n    if not is_sent",
        "    except BaseException:\n        raise\n    if not is_sent",
        (UNIT + "publishing.py",),
    ),
    Guard(
        "publish: a message that does not go takes no key",
        "    if not is_sent:  # a class",
        "    if False:  # a class",
        (UNIT + "publishing.py",),
    ),
    Guard(
        "publish: who may never have sent is no reason to drop",
        "if held.met is Met.UNCONFIRMED or unsure:",
        "if False:",
        (UNIT + "publishing.py",),
    ),
    Guard(
        "publish: a result of another task answers no duplicate",
        "    if live and not own:\n",
        "    if False:\n",
        (UNIT + "publishing.py",),
    ),
    Guard(
        "publish: a member of a canvas is always sent",
        "if call.in_canvas and conflict.holder.task_id != call.task_id:",
        "if False:",
        (UNIT + "publishing.py",),
    ),
    Guard(
        "publish: nobody waits for a result that is not stored",
        "_is_stored(task, own[0]) and _reads(task.backend)",
        "_reads(task.backend)",
        (UNIT + "publishing.py",),
    ),
    Guard(
        "publish: nobody waits for a result that cannot be read",
        "_is_stored(task, own[0]) and _reads(task.backend)",
        "_is_stored(task, own[0])",
        (UNIT + "publishing.py",),
    ),
    Guard(
        "publish: an answer that was lost leaves no key taken",
        "            if is_asked and error.asked:\n                self._undo_soon()",
        "            if False:\n                self._undo_soon()",
        (UNIT + "publishing.py",),
    ),
    Guard(
        "publish: a confirmation without an answer is made again",
        "            self._leave_soon([left[at] for at in unknown])\n",
        "            pass\n",
        (UNIT + "publishing.py",),
    ),
    Guard(
        "publish: a confirmation that nobody waits for is made again",
        "        self._leave_soon(left)\n\n",
        "        pass\n\n",
        (UNIT + "publishing.py",),
    ),
    Guard(
        "publish: a confirmation that comes behind a duplicate is not overlooked",
        "                return self._claim()\n            return met",
        "                pass\n            return met",
        (UNIT + "publishing.py",),
    ),
    Guard(
        "publish: a nonce that ends like a kept key keeps none",
        "        return None\n    kept = _QUEUED.fullmatch(holder)\n    return None if kept",
        "        pass\n    kept = _QUEUED.fullmatch(holder)\n    return None if kept",
        (UNIT + "holder.py",),
    ),
    Guard(
        "publish: who leaves hears what nobody waited for",
        "            hear()  # what nobody",
        "            pass  # what nobody",
        (UNIT + "publishing.py",),
    ),
    Guard(
        "redis: a reply that is left is read before the next one",
        "        if self._owed is not None:\n            self.hear(ends)",
        "        if self._owed is not None:\n            pass",
        ("tests/contract/test_redis_connections.py",),
    ),
    Guard(
        "redis: a reply that is left is its process's own",
        "or sock is None or self._process is not this_process.value:\n            return",
        "or sock is None:\n            return",
        ("tests/contract/test_redis_connections.py",),
    ),
    Guard(
        "redis: a reply that is left to a server in doubt is not waited for",
        "            if self._doubts != self._directory.doubts:\n                self.close()",
        "            if False:\n                self.close()",
        ("tests/contract/test_redis_connections.py",),
    ),
    Guard(
        "redis: a stop that falls into a reply that is left is heard",
        "            failed(DeadlineExceeded(), ends)  # whoever",
        "            # whoever",
        ("tests/contract/test_redis_connections.py",),
    ),
    Guard(
        "redis: a script is waited for once before it is not",
        "            if script in connection.known:\n",
        "            if True:\n",
        ("tests/contract/test_redis_unheard.py",),
    ),
    Guard(
        "redis: what nobody waited for is run again before the next call",
        "                    run_script(connection, call, ends)\n                elif",
        "                    pass\n                elif",
        ("tests/contract/test_redis_unheard.py",),
    ),
    Guard(
        "redis: an error that nobody waited for is heard",
        "                failed(self._failure(failure, connection, self.deadline))\n",
        "                pass\n",
        ("tests/contract/test_redis_unheard.py",),
    ),
    Guard(
        "redis: a connection that died before is replaced where nobody waits",
        "                except ConnectionLost:\n                    pass  # it is sent",
        "                except PoolExhausted:\n                    pass  # it is sent",
        ("tests/contract/test_redis_unheard.py",),
    ),
    Guard(
        "publish: a retry takes nothing where it is published",
        '                options.get("retries")\n                or "lock"',
        '                "lock"',
        (UNIT + "publishing.py",),
    ),
    Guard(
        "publish: a tick that is a duplicate is no error",
        "not (call.is_tick or _by_beat())",
        "True",
        (UNIT + "publishing.py",),
    ),
    Guard(
        "publish: a verdict is carried out without a claim",
        "if header.verdict is not None:",
        "if False:",
        (UNIT + "publishing.py",),
    ),
    Guard(
        "publish: a task that is not bound yet is bound",
        "            type(self).bind(self.app)\n",
        "            pass\n",
        (UNIT + "publishing.py",),
    ),
    Guard(
        "publish: a task that is bound once more keeps its lock meanwhile",
        '        klass._refused, klass._bound_to = "", app\n        bound:',
        '        klass._refused, klass._publishes = "", False\n        bound:',
        (UNIT + "publishing.py",),
    ),
    Guard(
        "publish: long names that differ at their end stay apart",
        "nonce = _digest(nonce)[:_LONGEST_NONCE]",
        "nonce = nonce[:_LONGEST_NONCE]",
        (UNIT + "marks.py",),
    ),
)
"""The lease of a publisher, where it is taken."""

ZOOKEEPER = (
    Guard(
        "a write in ZooKeeper fails if a sweep has come by since the read",
        "operations: list[Any] = [CheckVersion(path, v) for path, v in sight.shards.items()]",
        "operations: list[Any] = []",
        (REGISTERS,),
    ),
    Guard(
        "a node of ZooKeeper is remembered with the version that its shard had then",
        "version = self.memory.shard(shard) if node is None else node.shard",
        "version = self.memory.shard(shard)",
        (REGISTERS,),
    ),
    Guard(
        "what is swept in ZooKeeper has been over for a minute",
        "paths.read(one[0])[1].until + GRACE < clock[0]",
        "True",
        (REGISTERS,),
    ),
    Guard(
        "an answer of ZooKeeper that was lost is that of the first asking",
        "if _stands(sight, data):",
        "if False:",
        (REGISTERS,),
    ),
    Guard(
        "what others write in ZooKeeper holds up no batch of renewals",
        "if sight is not None and sight.current and not patient:",
        "if False:",
        (REGISTERS,),
    ),
    Guard(
        "what is only looked at in ZooKeeper is not decided by what is remembered",
        "if not writes and sight.current:",
        "if not writes:",
        (REGISTERS, "tests/contract/test_zookeeper_store.py"),
    ),
    Guard(
        "a moment of ZooKeeper's leader is not named before one that was",
        "self._latest = hi = max(hi, self._latest)",
        "self._latest = hi",
        (UNIT + "zookeeper_clock.py",),
    ),
    Guard(
        "the clock of ZooKeeper's leader is no nearer than its answer",
        "most = (self.written + 1) * 1000 + (now - self.sent) * 1e6 * (1 + DRIFT)",
        "most = (self.written + 1) * 1000 + (now - self.heard) * 1e6 * (1 + DRIFT)",
        (UNIT + "zookeeper_clock.py",),
    ),
)

ETCD_LEASES = UNIT + "etcd_leases.py"
ETCD_PLAYED = "tests/contract/test_etcd_played.py"
ETCD_FAULTS = "tests/contract/test_etcd_faults.py"
ETCD_MACHINE = "tests/property/test_etcd_machine.py"

ETCD = (
    Guard(
        "a claim is granted in etcd only where nobody came since it was looked",
        '            nothing_since(self.base + b"f", self.base + b"m", revision),\n',
        "",
        (ETCD_PLAYED,),
    ),
    Guard(
        "a claim that etcd executes after its end is given nothing",
        '            missing(self.base + f"r-{self.nonce}".encode()),\n',
        "",
        (ETCD_LEASES,),
    ),
    Guard(
        "an undone claim is refused in etcd though the key is free",
        "            missing(self.base + undone_name(claim.holder).encode()),\n",
        "",
        (ETCD_PLAYED,),
    ),
    Guard(
        "a copy is refused in etcd though the key is free",
        "            compare.append(nothing_since(self.done, after(self.done), revision))\n",
        "            pass\n",
        (ETCD_PLAYED,),
    ),
    Guard(
        "a lease of etcd is kept alive where less is left than a claim is for",
        "if not (lease.id and lease.ends >= needed):\n            if not lease.asking",
        "if not lease.id:\n            if not lease.asking",
        (ETCD_LEASES,),
    ),
    Guard(
        "what is overdue in etcd is deleted before its neighbours are kept alive",
        "for home in homes.values():\n        for sweep in call.leases.sweeps(home):",
        "for home in homes.values():\n        for sweep in ():",
        (ETCD_LEASES,),
    ),
    Guard(
        "what is overdue in etcd is no renewal",
        "if one.known.until <= call.place.clock():",
        "if False:",
        (ETCD_LEASES,),
    ),
    Guard(
        "what nobody knows of is searched on a lease of etcd",
        "if sent - home.searched > SEARCHED_EVERY:",
        "if False:",
        (ETCD_LEASES,),
    ),
    Guard(
        "a publisher's lease does not live on what its process keeps alive in etcd",
        "if claim.unconfirmed:\n        home = Home",
        "if False:\n        home = Home",
        (ETCD_LEASES,),
    ),
    Guard(
        "an undone adoption that has lapsed gives the key back to its message in etcd",
        'if entry.value["by"] == claim.holder and not _came_after(view, slot, entry):',
        "if False:",
        (ETCD_PLAYED, ETCD_MACHINE),
    ),
    Guard(
        "a mark of etcd is of what comes after it",
        "return str(self.revision + 1)",
        "return str(self.revision)",
        (ETCD_MACHINE,),
    ),
    Guard(
        "a completion in etcd is known for as long as it was to be",
        "life = max(life, whole(seen[0]))",
        "pass",
        (ETCD_LEASES,),
    ),
    Guard(
        "a member of etcd that hangs does not spend the time of the next",
        "share = monotonic() + (ends - monotonic()) / max(1, members + 1 - tried)",
        "share = ends",
        (ETCD_FAULTS,),
    ),
    Guard(
        "a login at etcd that has run out is made once more",
        "if token and any(isinstance(one, Refusal) and one.is_login for one in answers):",
        "if False:",
        (ETCD_FAULTS,),
    ),
    Guard(
        "what etcd writes behind the text of an error is read",
        "        while self._row():  # what follows the last piece: an error has such lines\n"
        "            pass\n",
        "",
        (ETCD_FAULTS,),
    ),
)

GUARDS: tuple[Guard, ...] = (
    *STORES,
    *REDLOCK,
    *UNDONE,
    *PERMITS,
    *LIFETIMES,
    *TEXTS,
    *KEPT,
    *LEASES,
    *DECLARED,
    *MESSAGES,
    *SENDING,
    *TASKS,
    *INTERRUPTS,
    *OUTSIDE,
    *SERVER,
    *COMMANDS,
    *ENDINGS,
    *ADOPTED,
    *SETTLED,
    *PUBLISHED,
    *TICKS,
    *BEATS,
    *SCHEDULES,
    *ZOOKEEPER,
    *ETCD,
)
