"""Whoever waits for an etcd that hangs does not take it for one that answers."""

from __future__ import annotations

import pytest

from celery_lock.errors import StoreUnavailable
from celery_lock.stores.etcd import EtcdStore
from tests.services import EtcdServer

pytestmark = pytest.mark.contract


def test_a_member_that_hangs_has_no_answer_for_a_probe(etcd_server: EtcdServer) -> None:
    store = EtcdStore(etcd_server.url, deadline=5.0)
    store.probe("order:7", 5.0)

    etcd_server.pause()
    try:
        with pytest.raises(StoreUnavailable):
            store.probe("order:7", 0.2)
    finally:
        etcd_server.resume()
        store.close()
