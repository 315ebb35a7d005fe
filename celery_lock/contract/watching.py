"""Whoever waits for a key hears of its release, and gives up in time."""

from __future__ import annotations

import threading
from time import monotonic

from ..model import Feature, Held, Lease, LockStore
from .fixture import StoreFixture

__all__ = ["Watching"]

LONG = 10.0
"""Seconds of a watch that ought to end much sooner."""


class Watching(StoreFixture):
    """For stores with `Feature.WATCH`."""

    def watcher(self, store: LockStore, key: str, timeout: float) -> threading.Thread:
        """Watch in a thread of its own."""
        thread = threading.Thread(target=store.watch, args=(key, timeout), daemon=True)
        thread.start()
        return thread

    def test_a_release_ends_a_watch(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.WATCH)
        lease = self.granted(store, self.a_claim(key))
        self.refused(store, self.a_claim(key, watching=True))
        watcher = self.watcher(store, key, LONG)

        store.release(lease)

        watcher.join(self.soon)
        assert not watcher.is_alive()

    def test_a_release_before_the_watch_is_not_missed(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.WATCH)
        lease = self.granted(store, self.a_claim(key))
        self.refused(store, self.a_claim(key, watching=True))
        store.release(lease)

        watcher = self.watcher(store, key, LONG)

        watcher.join(self.soon)
        assert not watcher.is_alive()

    def test_a_death_ends_a_watch(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.WATCH)
        claim = self.a_claim(key)
        self.granted(store, claim)
        self.refused(store, self.a_claim(key, watching=True))
        watcher = self.watcher(store, key, LONG)

        store.free(key, claim.holder)

        watcher.join(self.soon)
        assert not watcher.is_alive()

    def test_who_waits_gets_a_key_whose_lease_runs_out(self, store: LockStore, key: str) -> None:
        """Nobody gives it back, so nobody says so: the waiter goes by the time in the answer."""
        self.need(store, Feature.WATCH)
        dead = self.granted(store, self.a_claim(key, ttl=self.short))
        claim = self.a_claim(key, watching=True)
        given_up = monotonic() + self.soon

        while isinstance(answer := store.acquire(claim), Held) and monotonic() < given_up:
            watcher = self.watcher(store, key, max(answer.expires_in, 0.001))
            while watcher.is_alive() and monotonic() < given_up:
                self.elapse(self.short / 10)

        assert isinstance(answer, Lease)
        assert answer.holder == claim.holder
        assert not store.release(dead)

    def test_an_undo_ends_a_watch(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.WATCH)
        claim = self.a_claim(key)
        self.granted(store, claim)
        self.refused(store, self.a_claim(key, watching=True))
        watcher = self.watcher(store, key, LONG)

        store.undo(claim)

        watcher.join(self.soon)
        assert not watcher.is_alive()

    def test_a_watch_in_vain_ends_in_time(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.WATCH)
        self.granted(store, self.a_claim(key))
        self.refused(store, self.a_claim(key, watching=True))
        watcher = self.watcher(store, key, self.short * 2)

        given_up = monotonic() + self.soon
        while watcher.is_alive() and monotonic() < given_up:
            self.elapse(self.short)

        assert not watcher.is_alive()

    def test_watchers_of_one_key_are_served_one_after_the_other(
        self, store: LockStore, key: str
    ) -> None:
        self.need(store, Feature.WATCH)
        lease = self.granted(store, self.a_claim(key))
        served: list[str] = []

        def wait_for_it() -> None:
            claim = self.a_claim(key, watching=True)
            given_up = monotonic() + self.soon
            while monotonic() < given_up:
                answer = store.acquire(claim)
                if isinstance(answer, Lease):
                    served.append(claim.holder)
                    store.release(answer)
                    return
                store.watch(key, LONG)

        threads = [threading.Thread(target=wait_for_it, daemon=True) for _ in range(6)]
        for thread in threads:
            thread.start()

        store.release(lease)

        for thread in threads:
            thread.join(self.soon)
        assert len(set(served)) == 6
