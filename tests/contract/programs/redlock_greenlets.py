"""A hundred greenlets share one Redlock: `redlock_greenlets.py URL`; it prints `well`."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402
import time  # noqa: E402

import gevent  # noqa: E402

from celery_lock.model import Claim, Lease  # noqa: E402
from celery_lock.stores.redlock import RedlockStore  # noqa: E402

store = RedlockStore(sys.argv[1], options={"longest_ttl": 0.05}, deadline=20.0)
inside: dict[str, int] = {}
done: list[str] = []
beats: list[float] = []


def work(number: int) -> None:
    key, tries = f"shared:{number % 20}", 0
    while True:
        tries += 1
        lease = store.acquire(Claim(key, f"task-{number}#node#1#{tries:04x}", 30.0))
        if isinstance(lease, Lease):
            break
        gevent.sleep(0.01)
    inside[key] = inside.get(key, 0) + 1
    assert inside[key] == 1, "two holders"
    gevent.sleep(0.001)
    inside[key] -= 1
    assert store.release(lease)
    done.append(lease.holder)


def beat() -> None:
    """Runs while the others wait for answers: nothing blocks the whole process."""
    while True:
        beats.append(time.monotonic())
        gevent.sleep(0)


with gevent.Timeout(60):
    beating = gevent.spawn(beat)
    gevent.joinall([gevent.spawn(work, number) for number in range(100)], raise_error=True)
    beating.kill()
assert len(set(done)) == 100
assert len(beats) > 20, beats
print("well")
