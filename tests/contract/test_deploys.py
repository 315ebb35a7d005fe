"""Half a deploy: the wheel of the layout's first release and this code keep to each other's keys.

`tests/wheels/` has the wheel. Whoever changes the layout of the keys keeps another one beside it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from celery_lock.model import Claim, Completion, Held, Lease, Met, Outcome
from celery_lock.stores.redis import RedisStore
from tests.contract.conftest import OpenStore, claim_of

pytestmark = pytest.mark.contract

WHEELS = Path(__file__).parents[1] / "wheels"
(WHEEL,) = WHEELS.glob("*.whl")

PROGRAM = """
import sys
from celery_lock.model import Claim, Lease, Outcome
from celery_lock.stores.redis import RedisStore
import celery_lock
assert ".whl" in celery_lock.__file__, celery_lock.__file__
store = RedisStore(sys.argv[1])
"""


def run(path: list[Path], tmp_path: Path, code: str, *args: str) -> str:
    """Run a program that finds its packages along this path, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        cwd=tmp_path,  # not where the package of this checkout would be found first
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def in_the_wheel(tmp_path: Path, url: str, code: str) -> str:
    """Run this with the package of the wheel, and return what it prints."""
    return run([WHEEL], tmp_path, PROGRAM + code, url)


def test_the_app_of_the_fault_plays_runs_with_the_wheel_too(tmp_path: Path) -> None:
    """What it imports of the package the wheel has: half of the workers of a play are of it."""
    code = "import tests.faults.scope_app, celery_lock; print(celery_lock.__file__)"

    assert ".whl" in run([WHEEL, WHEELS.parents[1]], tmp_path, code)


@pytest.fixture
def store(redis_url: str, open_redis: OpenStore) -> RedisStore:
    return open_redis(redis_url)


def granted(store: RedisStore, claim: Claim) -> Lease:
    answer = store.acquire(claim)
    assert isinstance(answer, Lease), answer
    return answer


def test_what_this_code_holds_the_wheel_is_refused(
    store: RedisStore, redis_url: str, tmp_path: Path
) -> None:
    lease = granted(store, claim_of("order:7"))

    seen = in_the_wheel(
        tmp_path,
        redis_url,
        "held = store.acquire(Claim('order:7', 'old#n#1#0a', 30.0))\n"
        "print(type(held).__name__, held.holder)",
    )

    assert seen == f"Held {lease.holder}"
    assert store.release(lease)


def test_what_the_wheel_holds_this_code_is_refused(
    store: RedisStore, redis_url: str, tmp_path: Path
) -> None:
    in_the_wheel(tmp_path, redis_url, "store.acquire(Claim('order:7', 'old#n#1#0a', 30.0, 60.0))")

    held = store.acquire(claim_of("order:7"))

    assert isinstance(held, Held)
    assert (held.holder, held.live) == ("old#n#1#0a", True)
    assert 50 < held.expires_in <= 60


def test_permits_of_both_count_together(store: RedisStore, redis_url: str, tmp_path: Path) -> None:
    mine = granted(store, claim_of("order:7", limit=3))
    in_the_wheel(
        tmp_path, redis_url, "store.acquire(Claim('order:7', 'old#n#1#0a', 30.0, limit=3))"
    )
    third = granted(store, claim_of("order:7", limit=3))

    refused = store.acquire(claim_of("order:7", limit=3))

    assert (mine.slot, third.slot) == (0, 2)
    assert isinstance(refused, Held)
    assert [one.holder for one in refused.holders] == [mine.holder, "old#n#1#0a", third.holder]


def test_one_renews_and_gives_back_what_the_other_was_given(
    store: RedisStore, redis_url: str, tmp_path: Path
) -> None:
    """A worker of the release before was killed, and its main process is of this one."""
    said = in_the_wheel(
        tmp_path,
        redis_url,
        "lease = store.acquire(Claim('order:7', 'old#n#1#0a', 30.0))\n"
        "print(lease.token, lease.slot)",
    )
    token, slot = map(int, said.split())
    lease = Lease("order:7", "old#n#1#0a", token, slot=slot)

    assert store.renew([(lease, 60.0)]) == [Outcome.RENEWED]
    assert store.release(lease)

    assert store.peek("order:7") is None


def test_what_one_has_completed_the_other_takes_for_no_new_message(
    store: RedisStore, redis_url: str, tmp_path: Path
) -> None:
    """What the wheel has recorded with a result still to come may have followers that never came:
    a copy of that waits, and runs then."""
    store.complete([Completion("order:7", "new", 100.0)])

    said = in_the_wheel(
        tmp_path,
        redis_url,
        "from celery_lock.model import End\n"
        "copy = Claim('order:7', 'copy#n#1#0c', 30.0, publication='new', copy_since='')\n"
        "held = store.acquire(copy)\n"
        "for name, due in ('told', False), ('due', True):\n"
        "    lease = store.acquire(Claim('order:7', f'{name}#n#1#0a', 30.0, publication=name))\n"
        "    store.release(lease, End(publication=name, remember=100.0, result_due=due))\n"
        "print(held.done, held.result_due)",
    )

    copies = [
        store.acquire(claim_of("order:7", publication=name, copy_since=""))
        for name in ("told", "due")
    ]
    assert said == "True False"
    assert [held.met for held in copies if isinstance(held, Held)] == [Met.DONE, Met.ENDED]


def test_a_dead_holder_of_one_is_freed_by_the_other(
    store: RedisStore, redis_url: str, tmp_path: Path
) -> None:
    granted(store, Claim("order:7", "new#n#1#0b", 30.0))

    said = in_the_wheel(tmp_path, redis_url, "print(store.free('order:7', 'new#n#1#').holder)")

    assert said == "new#n#1#0b"
    assert store.peek("order:7") is None


def test_a_state_that_the_wheel_does_not_know_is_an_error_and_no_conflict(
    store: RedisStore, redis_url: str, redis_server: Any, tmp_path: Path
) -> None:
    """No policy is asked then: to skip for the sake of what nobody understands loses a task."""
    granted(store, claim_of("order:7"))
    with redis_server.client() as client:
        client.hset("celery-lock:2:{order:7}", mapping={"s": "z9", "x": 1})

    said = in_the_wheel(
        tmp_path,
        redis_url,
        "from celery_lock.errors import StoreError\n"
        "for ask in (lambda: store.acquire(Claim('order:7', 'old#n#1#0a', 30.0)),\n"
        "            lambda: store.peek('order:7')):\n"
        "    try:\n"
        "        print(ask())\n"
        "    except StoreError as error:\n"
        "        print(error)\n",
    )

    assert said.count("a newer release") == 2
