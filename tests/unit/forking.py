"""Running a function in a forked child, for what must survive a fork."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable


def holds_in_a_child(check: Callable[[], bool], fork: Callable[[], int] = os.fork) -> bool:
    """Return what `check` says in a child; a child that hangs is ended and says no."""
    child = fork()
    if child == 0:  # pragma: no cover - runs in the child
        verdict = False
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(20)
            verdict = check()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0 if verdict else 1)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0
