"""Being told to stop: Ctrl-C is noted when it comes and raised where nothing is half done."""

from __future__ import annotations

import signal
import time
from types import FrameType

_asked: int | None = None


class Stopped(Exception):
    """Somebody asked for the end. `status` is the exit status that says so to a shell."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


def listen() -> None:
    """From now on a stop signal raises nothing by itself: `check()` and `pause()` do.

    An exception out of a signal handler can fall between the start of a process and the moment
    it is written down, and nobody would ever end that process.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is None or (name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN):
            continue  # not on this system; or started with nohup
        signal.signal(number, _note)


def check() -> None:
    """Raise `Stopped` if somebody has asked for the end."""
    if _asked is not None:
        raise Stopped(_asked)


def pause(seconds: float) -> None:
    """Sleep, and `check()`. A signal does not cut it short: keep it under 0.1 s."""
    time.sleep(seconds)
    check()


def _note(number: int, frame: FrameType | None) -> None:
    global _asked
    if _asked is None:
        _asked = number
