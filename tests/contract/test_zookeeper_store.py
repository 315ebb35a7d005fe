"""The contract, on one server of ZooKeeper."""

from __future__ import annotations

import pytest

from tests.contract.on_zookeeper import OnZooKeeper
from tests.services import ZooKeeperServer

pytestmark = pytest.mark.contract


class TestZooKeeper(OnZooKeeper):
    @pytest.fixture(autouse=True)
    def _server(self, zookeeper_server: ZooKeeperServer) -> None:
        self.urls = [zookeeper_server.url_for("/contract")]
