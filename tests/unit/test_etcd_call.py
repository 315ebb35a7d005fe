"""One call of the store on etcd: all that it asks has one deadline, which its errors name."""

from __future__ import annotations

import pytest

from celery_lock.stores.etcd.place import Place
from celery_lock.stores.manual_clock import ManualClock
from tests.fake_etcd import FakeEtcd

pytestmark = pytest.mark.unit


def test_what_a_call_asks_last_has_what_is_left_and_the_name_of_the_whole() -> None:
    clock = ManualClock(1000.0)
    fake = FakeEtcd(clock)
    call = Place(fake, "celery-lock:", clock=clock).call(0.5)

    clock.move(0.25)
    call.ask("/v3/kv/range", {"key": "YQ=="})

    assert fake.times == (0.25, 0.5)
