"""All keys of one beginning are named, and none of another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ..model import End, Feature, Holder, LockStore
from .fixture import StoreFixture
from .granting import ODD_KEYS

__all__ = ["Listing"]


class Listing(StoreFixture):
    """For stores with `Feature.LISTING`."""

    def test_the_keys_of_one_beginning_are_named(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.LISTING)
        for name in ("order:b", "order:a", "orders", "user:a"):
            self.granted(store, self.a_claim(f"{key}:{name}"))

        assert store.keys(f"{key}:order:") == [f"{key}:order:a", f"{key}:order:b"]
        assert store.keys(f"{key}:order") == [
            f"{key}:{x}" for x in ("order:a", "order:b", "orders")
        ]
        assert store.keys(f"{key}:nobody") == []

    def test_what_is_kept_for_a_message_is_named(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.LISTING)
        self.need(store, Feature.HEIRS)
        claim = replace(self.a_claim(f"{key}:a", task="job"), unconfirmed=True)
        end = End(heir=str(Holder.for_retry("job", 0)), heir_ttl=30)
        store.release(self.granted(store, claim), end)

        assert store.keys(f"{key}:") == [f"{key}:a"]

    def test_what_lies_beside_a_key_is_no_key(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.LISTING)
        claim = self.a_claim(f"{key}:a")
        lease = self.granted(store, claim)
        if Feature.COPIES in store.features:
            store.release(lease, End(publication=claim.publication, remember=30))
            self.granted(store, self.a_claim(f"{key}:a"))
        if Feature.WATCH in store.features:
            store.acquire(self.a_claim(f"{key}:a", watching=True))
            store.free(f"{key}:a", claim.holder)

        assert store.keys(f"{key}:") == [f"{key}:a"]

    def test_another_prefix_has_other_keys(self, store: LockStore, key: str) -> None:
        self.need(store, Feature.LISTING)
        other = self.open_store("contract-too:")
        self.granted(store, self.a_claim(f"{key}:a"))
        self.granted(other, self.a_claim(f"{key}:b"))

        assert store.keys(key) == [f"{key}:a"]
        assert other.keys(key) == [f"{key}:b"]
        other.close()

    @pytest.mark.parametrize("odd", ODD_KEYS, ids=ascii)
    def test_an_odd_key_is_named_as_it_is(self, store: LockStore, key: str, odd: str) -> None:
        self.need(store, Feature.LISTING)
        self.granted(store, self.a_claim(key + odd))
        self.granted(store, self.a_claim(f"{key}other"))

        assert store.keys(key + odd) == [key + odd]
        assert store.keys(key + odd[:1]) == [key + odd] + [f"{key}other"] * (odd[:1] == "")

    @pytest.mark.parametrize("odd", ["*", "?", "[a]", "[^b]", "\\", "a-z"])
    def test_a_beginning_is_no_pattern(self, store: LockStore, key: str, odd: str) -> None:
        self.need(store, Feature.LISTING)
        for name in (f"{odd}:1", "a:1", "ab:1", "m:1"):
            self.granted(store, self.a_claim(f"{key}:{name}"))

        assert store.keys(f"{key}:{odd}") == [f"{key}:{odd}:1"]

    def test_many_keys_are_all_named(self, store: LockStore, key: str) -> None:
        """More than a server looks at in one step."""
        self.need(store, Feature.LISTING)
        names = [f"{key}:{number:04}" for number in range(1100)]
        for name in names:
            self.granted(store, self.a_claim(name, ttl=300))

        assert store.keys(f"{key}:") == names
