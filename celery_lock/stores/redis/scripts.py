"""The scripts of the store, as the files in `lua/` have them."""

from __future__ import annotations

from importlib.resources import files

from .link.script import Script

__all__ = [
    "ACQUIRE",
    "CHANGE",
    "COMPLETE",
    "FREE",
    "NAMES",
    "PEEK",
    "RECORDS",
    "RELEASE",
    "RENEW",
    "UNDO",
    "composed",
]


SHARED = "-- shared.lua\n"
"""The line at which a script has what it shares with others. It stands behind what the usual call
needs: to make the shared functions costs a script a tenth of its time."""


def composed(name: str) -> str:
    """Return the whole text of a script of leases."""
    return _text(name).replace(SHARED, SHARED + _text("shared"))


def _text(name: str) -> str:
    return (files("celery_lock.stores.redis") / "lua" / f"{name}.lua").read_text("utf-8")


def _of_records(name: str) -> Script:
    return Script(name, _text(name))


def _of_leases(name: str) -> Script:
    return Script(name, composed(name))


ACQUIRE = _of_leases("acquire")
RELEASE = _of_leases("release")
RENEW = _of_leases("renew")
FREE = _of_leases("free")
COMPLETE = _of_leases("complete")
UNDO = _of_leases("undo")
PEEK = _of_leases("peek")
CHANGE = _of_records("change")
RECORDS = _of_records("records")
NAMES = _of_records("names")
