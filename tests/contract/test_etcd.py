"""The contract, on one member of etcd: over a plain connection and over TLS in turn."""

from __future__ import annotations

import pytest

from celery_lock.contract.side_by_side import side_by_side
from tests.contract.by_entry_point import ByEntryPoint
from tests.services import EtcdServer

pytestmark = pytest.mark.contract


@side_by_side
class TestEtcd(ByEntryPoint):
    schemes = ("etcd", "etcds")

    @pytest.fixture(autouse=True)
    def _server(self, etcd_server: EtcdServer) -> None:
        self.urls = [etcd_server.url, etcd_server.tls_url()]
