"""Greenlets contend for the keys of a store. Import it after gevent has patched everything."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gevent

from celery_lock.model import Lease, LockStore
from tests.contract.conftest import claim_of


def contend(
    store: LockStore,
    greenlets: int,
    *,
    keys: int,
    enter: Callable[[str], Lease] | None = None,
    inside: Callable[[Lease], object] = lambda lease: gevent.sleep(0.001),
) -> None:
    """Each greenlet holds one of the keys once, and no two hold a key at the same time."""
    holders: dict[str, int] = {}
    done: list[str] = []

    def work(number: int) -> None:
        key = f"shared:{number % keys}"
        lease = (enter or watching(store))(key)
        holders[key] = holders.get(key, 0) + 1
        assert holders[key] == 1, "two holders"
        inside(lease)
        holders[key] -= 1
        assert store.release(lease)
        done.append(lease.holder)

    with gevent.Timeout(60):
        gevent.joinall(
            [gevent.spawn(work, number) for number in range(greenlets)], raise_error=True
        )
    assert len(set(done)) == greenlets


def watching(store: LockStore) -> Callable[[str], Lease]:
    """Entering a key as a waiting task does: it watches the key until it is free."""

    def enter(key: str) -> Lease:
        claim = claim_of(key, watching=True)
        while not isinstance(lease := store.acquire(claim), Lease):
            store.watch(key, 5.0)
        return lease

    return enter


@contextmanager
def others_run(more_than: int, *, every: float = 0.001) -> Iterator[None]:
    """Another greenlet goes on meanwhile, more than so many times: nobody blocks the loop.

    `every`: seconds between two times. 0: with each turn of the loop, however quick all else is.
    """
    beats: list[int] = []

    def beat() -> None:
        while True:
            beats.append(1)
            gevent.sleep(every)

    pulse = gevent.spawn(beat)
    try:
        yield
    finally:
        pulse.kill()
    assert len(beats) > more_than, f"the others went on {len(beats)} times"
