"""Who a beat is, as its claims say it: `host#pid#nonce`."""

from __future__ import annotations

import os
import socket

__all__ = ["beat_id", "host_and_pid"]


def beat_id() -> str:
    """Name this beat. The nonce is fresh for each beat: no other one is taken for it."""
    return f"{socket.gethostname().replace('#', '_')}#{os.getpid()}#{os.urandom(4).hex()}"


def host_and_pid(by: str) -> tuple[str | None, int | None]:
    """Read the host and the process of a beat; nothing of a claim that another program wrote."""
    host, pid, *rest = [*by.split("#"), ""]
    if host and pid.isdecimal() and rest:
        return host, int(pid)
    return None, None
