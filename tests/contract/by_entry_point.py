"""The contract on stores that an entry point opens: which scheme of URLs a class stands for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import ClassVar

from celery_lock.contract import StoreContract
from celery_lock.model import LockStore
from celery_lock.stores import open_store

__all__ = ["ByEntryPoint"]


class ByEntryPoint(StoreContract):
    """A subclass says `schemes`, and has a fixture that sets `urls`: one for each of them.

    `tests/unit/test_contract_covers.py` looks for a scheme that no subclass has.
    """

    schemes: ClassVar[tuple[str, ...]] = ()
    deadline: ClassVar[float] = 2.0
    """Seconds of a call: more where forty connections at once take long to be made."""
    urls: Sequence[str] = ()
    """Of one server, so that stores which are opened by different ones see each other."""

    _opened: ClassVar = count()

    def open_store(self, prefix: str) -> LockStore:
        """Open it as a worker does, by each of the URLs in turn."""
        assert tuple(url.partition("://")[0] for url in self.urls) == self.schemes
        url = self.urls[next(self._opened) % len(self.urls)]
        return open_store(url, prefix=prefix, deadline=self.deadline)
