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


KEPT = "-- kept.lua\n"
"""The line at which a script refuses a time that the server cannot keep, before it writes."""


def composed(name: str) -> str:
    """Return the whole text of a script."""
    text = _text(name).replace(SHARED, SHARED + _text("shared"))
    return text.replace(KEPT, KEPT + _text("kept"))


def _text(name: str) -> str:
    return (files("celery_lock.stores.redis") / "lua" / f"{name}.lua").read_text("utf-8")


def _script(name: str) -> Script:
    return Script(name, composed(name))


ACQUIRE = _script("acquire")
RELEASE = _script("release")
RENEW = _script("renew")
FREE = _script("free")
COMPLETE = _script("complete")
UNDO = _script("undo")
PEEK = _script("peek")
CHANGE = _script("change")
RECORDS = _script("records")
NAMES = _script("names")
