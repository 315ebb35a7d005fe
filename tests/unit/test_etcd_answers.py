"""What a member of etcd answers, in the forms that its releases have."""

from __future__ import annotations

import json
from typing import Any

import pytest

from celery_lock.stores.etcd.connection import Answer, NoEtcd
from celery_lock.stores.etcd.errors import Refusal
from celery_lock.stores.etcd.gateway import _read

pytestmark = pytest.mark.unit

TEXT = "etcdserver: invalid auth token"


def read(status: int, said: Any) -> Any:
    return _read(Answer(status, json.dumps(said).encode()))


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({"error": TEXT, "code": 16}, id="3.4, short"),
        pytest.param({"error": TEXT, "message": TEXT, "code": 16}, id="3.4 and 3.5"),
        pytest.param({"code": 16, "message": TEXT}, id="Debian's 3.5.16"),
        pytest.param({"code": 16, "message": TEXT, "details": []}, id="3.6"),
        pytest.param({"error": {"grpc_code": 16, "message": TEXT}}, id="3.5, a stream"),
        pytest.param({"error": {"code": 16, "message": TEXT, "details": []}}, id="3.6, a stream"),
    ],
)
def test_a_refusal_is_read_in_the_form_of_each_release(said: Any) -> None:
    refusal = read(401, said)

    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.text) == (16, TEXT)
    assert refusal.is_login


@pytest.mark.parametrize(
    "said", [{}, {"message": "no such page"}, {"code": "E_NONE", "message": ""}, {"code": 404}]
)
def test_a_refusal_of_something_else_is_none_of_etcd(said: Any) -> None:
    with pytest.raises(NoEtcd, match="HTTP status 404"):
        read(404, said)
