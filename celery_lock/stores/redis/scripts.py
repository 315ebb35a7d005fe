"""The scripts of the store, as the files in `lua/` have them."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

from .link.resp import Reply
from .link.script import Script

__all__ = [
    "ACQUIRE",
    "ACQUIRE_ALL",
    "CHANGE",
    "COMPLETE",
    "FREE",
    "GUARD",
    "NAMES",
    "PEEK",
    "RECORDS",
    "RELEASE",
    "RELEASE_ALL",
    "RENEW",
    "UNDO",
    "composed",
]


SHARED = "-- shared.lua\n"
"""The line at which a script has what it shares with others. It stands behind what the usual call
needs: to make the shared functions costs a script a tenth of its time."""


KEPT = "-- kept.lua\n"
"""The line at which a script refuses a time that the server cannot keep, before it writes."""


_CLOCK = "local time = redis.call('TIME')\nlocal now = time[1] * 1000000 + time[2]\n"
_IN_A_FUNCTION = {
    _CLOCK: "",
    "-- once granted\n": "return nil, function()\n",
    "-- once refused\n": "return met, function()\n",
    "-- so far\n": "end, smallest - taken\n",
}
"""What becomes of the text of a script that has several keys done, at one time; several claims
are judged before one of them is done."""


def composed(name: str) -> str:
    """Return the whole text of a script."""
    text = _text(name)
    for other in ("acquire", "release"):
        text = text.replace(f"-- {other}.lua\n", _in_a_function(_text(other)))
    text = text.replace(SHARED, SHARED + _text("shared"))
    return text.replace(KEPT, KEPT + _text("kept"))


def _text(name: str) -> str:
    return (files("celery_lock.stores.redis") / "lua" / f"{name}.lua").read_text("utf-8")


def _in_a_function(text: str) -> str:
    for line, other in _IN_A_FUNCTION.items():
        text = text.replace(line, other)
    return text


def _script(
    name: str, *, lasts: bool = False, refused: Callable[[Reply], bool] | None = None
) -> Script:
    return Script(name, composed(name), lasts=lasts, refused=refused)


def _says_whom_it_met(answer: Reply) -> bool:
    return isinstance(answer, list) and isinstance(answer[0], bytes)


def _says_which_was_refused(answer: Reply) -> bool:
    return isinstance(answer, list) and isinstance(answer[-1], list)


ACQUIRE = _script("acquire", lasts=True, refused=_says_whom_it_met)
ACQUIRE_ALL = _script("acquire_all", lasts=True, refused=_says_which_was_refused)
RELEASE = _script("release", lasts=True)
RELEASE_ALL = _script("release_all", lasts=True)
RENEW = _script("renew", lasts=True)
# what these two write may be forgotten: the key stays taken for longer, and no two have it
FREE = _script("free")
UNDO = _script("undo")
COMPLETE = _script("complete", lasts=True)
PEEK = _script("peek")
CHANGE = _script("change", lasts=True)
RECORDS = _script("records")
NAMES = _script("names")
GUARD = _script("guard")
