"""The contract, on one server of ZooKeeper."""

from __future__ import annotations

import pytest

from tests.contract.by_entry_point import ByEntryPoint
from tests.services import ZooKeeperServer

pytestmark = pytest.mark.contract


class TestZooKeeper(ByEntryPoint):
    schemes = ("zookeeper",)

    @pytest.fixture(autouse=True)
    def _server(self, zookeeper_server: ZooKeeperServer) -> None:
        self.urls = [zookeeper_server.url_for("/contract")]
