"""The contract on stores that an entry point opens: which scheme of URLs a class stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import count
from typing import Any, ClassVar

import pytest

from celery_lock.contract import StoreContract
from celery_lock.engine.breaker import Breaker
from celery_lock.errors import StoreUnavailable
from celery_lock.model import Lease, LockStore
from celery_lock.model.clock import monotonic
from celery_lock.stores import open_store
from tests.contract.with_celery import WithCelery

__all__ = ["ByEntryPoint"]


class ByEntryPoint(WithCelery, StoreContract):
    """A subclass says `schemes`, and has a fixture that sets `urls`: one for each of them.

    `tests/unit/test_contract_covers.py` looks for a scheme that no subclass has.
    """

    schemes: ClassVar[tuple[str, ...]] = ()
    deadline: ClassVar[float] = 20.0
    """Seconds of a call: more than any needs, on however busy a machine."""
    urls: Sequence[str] = ()
    """Of one server, so that stores which are opened by different ones see each other."""

    _opened: ClassVar = count()

    def open_store(self, prefix: str) -> LockStore:
        """Open it as a worker does, by each of the URLs in turn."""
        assert tuple(url.partition("://")[0] for url in self.urls) == self.schemes
        url = self.urls[next(self._opened) % len(self.urls)]
        return open_store(url, prefix=prefix, deadline=self.deadline)

    def test_a_store_that_hung_is_asked_again_once_it_answers(
        self, store: LockStore, key: str
    ) -> None:
        woken: list[float] = []
        breaker = Breaker(store, deadline=self.deadline, clock=monotonic)
        breaker.wake = woken.append
        breaker.failed(StoreUnavailable(store.url, "it hung"), key, monotonic() - self.deadline)
        with pytest.raises(StoreUnavailable, match="it hung, so it is not asked"):
            breaker.acquire(self.a_claim(key))
        assert woken

        breaker.probe()

        assert store.peek(key) is None
        lease = breaker.acquire(self.a_claim(key))
        assert isinstance(lease, Lease)
        assert breaker.release(lease)

    def test_a_store_says_what_its_servers_run(self, store: LockStore) -> None:
        version: Any = getattr(store, "version", None)
        if version is None:
            pytest.skip("it has no servers")
        store.check()

        assert re.fullmatch(r"\w+ \d+\.[\w.+-]+", version())
