"""Several store objects on one server are one store: what one has given the other can end."""

from __future__ import annotations

import pickle
import threading

from ..model import Feature, Held, Lease, LockStore, Outcome
from .fixture import StoreFixture

__all__ = ["Sharing"]


class Sharing(StoreFixture):
    """Proofs that travel, many claimants, and nothing that stays behind."""

    def test_a_proof_serves_another_store_object(self, store: LockStore, key: str) -> None:
        other = self.open_store("contract:")
        lease = self.granted(store, self.a_claim(key))

        assert other.renew([(lease, 60)]) == [Outcome.RENEWED]
        assert other.release(lease)

        assert store.peek(key) is None
        other.close()

    def test_a_proof_serves_another_process(self, store: LockStore, key: str) -> None:
        """It gets there as plain values: whoever renews there makes a lease of them."""
        lease = self.granted(store, self.a_claim(key))
        travelled = (lease.key, lease.holder, lease.known_token, lease.slot, lease.proof)

        name, holder, token, slot, proof = pickle.loads(pickle.dumps(travelled))
        arrived = Lease(name, holder, token, slot=slot, proof=proof)

        other = self.open_store("contract:")
        assert other.renew([(arrived, 60)]) == [Outcome.RENEWED]
        assert other.release(arrived)
        assert store.release(lease)
        other.close()

    def test_of_forty_claimants_over_four_store_objects_one_is_granted_at_a_time(
        self, store: LockStore, key: str
    ) -> None:
        stores = [store, *(self.open_store("contract:") for _ in range(3))]
        start = threading.Barrier(40)
        inside, most, wrong = [0], [0], list[str]()
        guard = threading.Lock()

        def claimant(number: int) -> None:
            mine = stores[number % 4]
            start.wait()
            for _ in range(3):
                answer = mine.acquire(self.a_claim(key))
                if isinstance(answer, Held):
                    continue
                with guard:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                with guard:
                    inside[0] -= 1
                if not mine.release(answer):
                    wrong.append(answer.holder)

        threads = [threading.Thread(target=claimant, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert (most, inside, wrong) == ([1], [0], [])
        assert store.peek(key) is None
        for other in stores[1:]:
            other.close()

    def test_a_key_that_was_used_in_every_way_is_free_at_last(
        self, store: LockStore, key: str
    ) -> None:
        store.release(self.granted(store, self.a_claim(key, ttl=self.short)))
        undone = self.a_claim(key)
        self.granted(store, undone)
        store.undo(undone)
        dead = self.a_claim(key)
        self.granted(store, dead)
        store.free(key, dead.holder)
        if Feature.FLOORS in store.features:
            store.release(self.granted(store, self.a_claim(key, at_least=self.short)))
        self.outlast(self.short)

        assert store.peek(key) is None
        lease = self.granted(store, self.a_claim(key))
        assert lease.slot == 0
        assert store.release(lease)
