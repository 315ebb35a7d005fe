"""Waiting for a key: one watcher for each, and a stream that begins where the claim was refused."""

from __future__ import annotations

import threading

from ...model import Held
from ...model.clock import monotonic
from ...model.per_process import PerProcess
from ..link.watchers import Watchers
from .gateway import Gateway
from .names import after, encoded
from .place import Place

__all__ = ["Watching"]

_WATCH = "/v3/watch"


class _Refused(threading.local):
    """The mark at which this thread was refused a key that it is about to watch."""

    def __init__(self) -> None:
        self.at: dict[str, int] = {}


class Watching:
    """The watches of one store."""

    LONGEST = 10.0
    """Seconds that one watch lasts at most."""
    REMEMBERED = 100
    """Keys that a thread was refused, at most: it watches the last one, mostly."""

    def __init__(self, place: Place, gateway: Gateway, watchers: int) -> None:
        self._place = place
        self._gateway = gateway
        self._watchers = PerProcess(lambda: Watchers(watchers))
        self._refused = _Refused()

    def remember(self, held: Held) -> None:
        """Know when this thread was refused a key: what ends after that is not to be missed."""
        if len(self._refused.at) >= self.REMEMBERED:
            self._refused.at.clear()
        self._refused.at[held.key] = int(held.mark)

    def watch(self, key: str, timeout: float) -> None:
        """Return when `key` may be free, or after `timeout` seconds."""
        until = monotonic() + min(timeout, self.LONGEST)
        watchers = self._watchers.value
        revision = self._refused.at.pop(key, 0)
        while (left := until - monotonic()) > 0 and watchers.enter(key, left):
            try:
                self._follow(key, revision, until)
                return
            finally:
                watchers.leave(key)

    def _follow(self, key: str, revision: int, until: float) -> None:
        base = self._place.names.key(key)
        if not revision:  # nothing is known of it: is it free?
            view = self._place.call().view(base)
            if not (any(view.of("l")) or any(view.of("f"))):
                return
            revision = int(view.mark)
        asked = {
            "create_request": {
                "key": encoded(base + b"f"),
                "range_end": encoded(after(base + b"l")),
                "start_revision": str(revision),
                "filters": ["NOPUT"],
            }
        }
        with self._gateway.follow(_WATCH, asked, until - monotonic()) as pieces:
            for piece in pieces:
                if b'"events"' in piece or b'"canceled"' in piece:
                    return
