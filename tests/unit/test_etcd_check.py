"""What is said of a cluster of etcd as a worker starts."""

from __future__ import annotations

from typing import Any

import pytest

from celery_lock.stores.etcd.address import Address
from celery_lock.stores.etcd.checkup import checkup
from celery_lock.stores.etcd.connection import Request
from celery_lock.stores.etcd.errors import Refusal
from celery_lock.stores.etcd.gateway import Gateway
from celery_lock.stores.manual_clock import ManualClock
from tests.fake_etcd import FakeEtcd

pytestmark = pytest.mark.unit

SAYS: dict[str, Any] = {
    "/v3/maintenance/status": {
        "version": "3.5.21",
        "dbSize": "1000000",
        "header": {"revision": "50000"},
    },
    "/v3/maintenance/alarm": {},
    "/metrics": b"# HELP\netcd_server_quota_backend_bytes 2.147483648e+09\n",
    "/debug/vars": {"cmdline": ["etcd", "--auto-compaction-retention=1"]},
    "/v3/kv/range": Refusal(11, "etcdserver: mvcc: required revision has been compacted"),
}


class Said(Gateway):
    """A gateway whose member says what a test wants."""

    def __init__(self, url: str, said: dict[str, Any]) -> None:
        super().__init__(Address.parse(url), deadline=1.0, connections=1)
        self.said = {**SAYS, **said}

    def ask_each(self, requests: Any, within: float | None = None, **_: Any) -> list[Any]:
        asked: list[Request] = list(requests)
        return [self.said.get(path, Refusal(12, "unknown")) for path, _ in asked]


def warnings_of(url: str = "etcd://h", **said: Any) -> str:
    names = {
        "status": "/v3/maintenance/status",
        "alarm": "/v3/maintenance/alarm",
        "metrics": "/metrics",
        "vars": "/debug/vars",
        "range": "/v3/kv/range",
    }
    store = FakeEtcd(ManualClock()).store()
    gateway = Said(url, {names[name]: value for name, value in said.items()})
    return " ".join(checkup(store, gateway))


def status(**changed: Any) -> dict[str, Any]:
    return {**SAYS["/v3/maintenance/status"], **changed}


def test_a_cluster_that_is_well_has_no_warnings() -> None:
    assert warnings_of() == ""


@pytest.mark.parametrize("version", ["3.4.23", "3.4.30", "3.5.0", "3.5.12", "3.4.9"])
def test_a_version_that_takes_renewed_leases_away_is_named(version: str) -> None:
    said = warnings_of(status=status(version=version))

    assert f"runs etcd {version}" in said
    assert "3.4.31, 3.5.13 or later" in said


@pytest.mark.parametrize("version", ["3.4.31", "3.4.37", "3.5.13", "3.6.0", "4.0.0", "3.7.0-alpha"])
def test_a_version_that_does_not_is_not(version: str) -> None:
    assert warnings_of(status=status(version=version)) == ""


@pytest.mark.parametrize(
    ("said", "warns"),
    [
        ({"status": status(dbSize=str(1_700_000_000))}, False),
        ({"status": status(dbSize=str(1_800_000_000))}, True),
        ({"status": status(dbSize=str(1_900_000_000), dbSizeQuota=str(8 << 30))}, False),
        ({"status": status(dbSize=str(7 << 30), dbSizeQuota=str(8 << 30))}, True),
        ({"status": status(dbSize=str(1_900_000_000)), "metrics": Refusal(7, "no")}, False),
    ],
)
def test_a_database_that_is_nearly_full_is_named(said: dict[str, Any], warns: bool) -> None:
    assert ("quota" in warnings_of(**said)) is warns


def test_alarms_are_named() -> None:
    said = warnings_of(alarm={"alarms": [{"alarm": "NOSPACE"}, {"alarm": "CORRUPT"}]})

    assert "NOSPACE and takes no writes" in said
    assert "CORRUPT" in said


@pytest.mark.parametrize(
    ("said", "warns"),
    [
        ({"range": {"count": "0"}, "vars": {"cmdline": ["etcd"]}}, True),
        ({"range": {"count": "0"}, "vars": Refusal(7, "no")}, True),
        ({"range": {"count": "0"}, "vars": {"cmdline": ["etcd", "--config-file=/x"]}}, False),
        (
            {
                "range": {"count": "0"},
                "vars": {"cmdline": ["etcd", "--auto-compaction-retention", "5m"]},
            },
            False,
        ),
        (
            {
                "range": {"count": "0"},
                "vars": {"cmdline": ["etcd", "--auto-compaction-retention=0"]},
            },
            True,
        ),
        (
            {
                "range": {"count": "0"},
                "vars": {"cmdline": ["etcd"]},
                "status": status(header={"revision": "12"}),
            },
            False,
        ),
        ({"vars": {"cmdline": ["etcd"]}}, False),
    ],
)
def test_a_history_that_was_never_compacted_is_named(said: dict[str, Any], warns: bool) -> None:
    assert ("compacted" in warnings_of(**said)) is warns


def test_a_certificate_that_nobody_verifies_is_named() -> None:
    assert "is not verified" in warnings_of("etcds://h?ssl_cert_reqs=none")


def test_what_is_forbidden_is_unknown() -> None:
    nothing = {name: Refusal(7, "permission denied") for name in ("status", "alarm", "metrics")}

    assert warnings_of("etcd://h", **nothing) == ""
