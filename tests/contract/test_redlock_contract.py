"""The contract, on three servers that know nothing of each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from celery_lock.model import LockStore
from celery_lock.stores import open_store
from tests.contract.by_entry_point import ByEntryPoint
from tests.services.redlock_nodes import RedlockNodes

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def three_nodes(
    redis_binary: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedlockNodes]:
    with RedlockNodes(redis_binary, tmp_path_factory.mktemp("redlock"), 3) as nodes:
        nodes.wait_grown_up()
        yield nodes


class TestRedlock(ByEntryPoint):
    schemes = ("redlock",)

    @pytest.fixture(autouse=True)
    def _servers(self, three_nodes: RedlockNodes) -> None:
        three_nodes.empty()
        self.urls = [three_nodes.url]

    def open_store(self, prefix: str) -> LockStore:
        # the nodes are seconds old, and nobody loses a lease that they have forgotten
        options = {"longest_ttl": 0.05}
        return open_store(self.urls[0], options=options, prefix=prefix, deadline=self.deadline)
