"""The scripts of the store, as the files in `lua/` have them."""

from __future__ import annotations

from importlib.resources import files

from .link.script import Script

__all__ = [
    "ACQUIRE",
    "CHANGE",
    "FREE",
    "NAMES",
    "PEEK",
    "RECORDS",
    "RELEASE",
    "RENEW",
    "UNDO",
]


def _read(name: str) -> Script:
    lua = files("celery_lock.stores.redis") / "lua"
    return Script(name, (lua / f"{name}.lua").read_text("utf-8"))


ACQUIRE = _read("acquire")
RELEASE = _read("release")
RENEW = _read("renew")
FREE = _read("free")
UNDO = _read("undo")
PEEK = _read("peek")
CHANGE = _read("change")
RECORDS = _read("records")
NAMES = _read("names")
