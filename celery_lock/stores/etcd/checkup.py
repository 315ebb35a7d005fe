"""Try a cluster once, as a worker starts: can it be used, and what should its owner know?"""

from __future__ import annotations

import ssl
from typing import Any

from ...errors import StoreError
from ...model import LockStore
from ..link.tls import unverified
from ..own_key import try_own_key
from .errors import Refusal
from .gateway import Gateway
from .txn import RANGE

__all__ = ["checkup", "version"]

_STATUS = "/v3/maintenance/status"
_ALARM = "/v3/maintenance/alarm"
_FULL = 0.8
"""Part of the quota from which on the database is called nearly full."""
_NEVER = 100
"""Revisions from which on one looks whether a server has ever compacted anything."""


def checkup(store: LockStore, gateway: Gateway) -> list[str]:
    """Return warnings; raise `StoreError` where the cluster cannot be used.

    What it does not tell this user is unknown, and no warning.
    """
    try_own_key(store, "is it one cluster?")
    status = _told(gateway, _STATUS, {})
    alarms = _told(gateway, _ALARM, {"action": "GET"})
    warnings = [*_of_version(gateway, status), *_of_space(gateway, status, alarms)]
    tls = gateway.address.tls
    if tls is not None and tls["ssl_cert_reqs"] != ssl.CERT_REQUIRED:
        warnings.append(unverified(gateway.shown))
    return warnings


def version(gateway: Gateway) -> str:
    """Return what the member that is asked runs: `etcd 3.4.23`; empty: it does not tell."""
    number = str(_told(gateway, _STATUS, {}).get("version", ""))
    return f"etcd {number}" if number else ""


def _told(gateway: Gateway, path: str, asked: Any) -> Any:
    """Return what the cluster says, nothing where it is forbidden or not known."""
    try:
        return gateway.ask(path, asked)
    except (Refusal, StoreError):
        return {}


def _of_version(gateway: Gateway, status: Any) -> list[str]:
    number = str(status.get("version", ""))
    numbers = tuple(int(part) for part in number.split(".")[:3] if part.isdigit())
    if len(numbers) < 3 or numbers >= (3, 5, 13) or (3, 4, 31) <= numbers < (3, 5):
        return []
    return [
        f"{gateway.shown} runs etcd {number}, which may take leases away that were renewed when"
        " its leader was frozen and goes on: the task learns later than it should that its lease"
        " is lost. Update it to 3.4.31, 3.5.13 or later"
    ]


def _of_space(gateway: Gateway, status: Any, alarms: Any) -> list[str]:
    warnings, shown = [], gateway.shown
    kinds = {str(one.get("alarm", "")) for one in alarms.get("alarms", ())}
    if "NOSPACE" in kinds:
        warnings.append(
            f"{shown} has raised the alarm NOSPACE and takes no writes: compact and defragment it,"
            " then disarm the alarm (etcdctl alarm disarm)"
        )
    if "CORRUPT" in kinds:
        warnings.append(f"{shown} has raised the alarm CORRUPT: its members do not agree")
    size, quota = int(status.get("dbSize", 0)), _quota(gateway, status)
    if quota and size >= _FULL * quota:
        warnings.append(
            f"the database of {shown} has {size >> 20} of the {quota >> 20} MiB that its quota"
            " allows; when it is full no more locks are given. Compact and defragment it"
        )
    if _has_never_compacted(gateway, status):
        warnings.append(
            f"{shown} has never compacted its history, which grows by some 500 bytes for each lock"
            " until its quota is reached: start it with --auto-compaction-retention=1"
        )
    return warnings


def _quota(gateway: Gateway, status: Any) -> int:
    if "dbSizeQuota" in status:
        return int(status["dbSizeQuota"])
    page = _told(gateway, "/metrics", None)
    rows = page.decode("utf-8", "replace").splitlines() if isinstance(page, bytes) else []
    for row in rows:
        if row.startswith("etcd_server_quota_backend_bytes "):
            return int(float(row.split()[1]))
    return 0


def _has_never_compacted(gateway: Gateway, status: Any) -> bool:
    if int(status.get("header", {}).get("revision", 0)) < _NEVER:
        return False
    if _is_told_to_compact(gateway):
        return False
    try:
        gateway.ask(RANGE, {"key": "AA==", "revision": "1", "count_only": True})
    except (Refusal, StoreError):
        return False
    return True


def _is_told_to_compact(gateway: Gateway) -> bool:
    """Its own words say so, or names a file that may."""
    page = _told(gateway, "/debug/vars", None)
    words = page.get("cmdline", ()) if isinstance(page, dict) else ()
    for word in words:
        option, _, value = str(word).lstrip("-").partition("=")
        if option == "config-file" or (option == "auto-compaction-retention" and value != "0"):
            return True
    return False
