"""Try an ensemble once, as a worker starts: can it be used, and what should its owner know?"""

from __future__ import annotations

import re
import time
from contextlib import suppress

from ...model import LockStore
from ..link.tls import unverified
from ..own_key import try_own_key
from .registers import Registers

__all__ = ["checkup", "version"]

CLOCKS = 1.0
"""Seconds by which the leader's clock may differ from this machine's before that is said: the next
leader's clock is another one, and what differs for us differs for it."""


def checkup(store: LockStore, registers: Registers) -> list[str]:
    """Return warnings; raise `StoreError` where the ensemble cannot be used."""
    try_own_key(store, "is it one ensemble?")
    warnings = []
    clock = registers.clock.interval()
    if clock is not None:
        apart = max(clock[0] / 1e6 - time.time(), time.time() - clock[1] / 1e6)
        if apart > CLOCKS:
            warnings.append(
                f"the clock of the leader of {store.url} and the one of this machine differ by"
                f" {apart:.1f} s. After a change of the leader leases live longer or shorter by as"
                " much as the two leaders' clocks differ: keep all of them together (NTP)"
            )
    if not registers.verified:
        warnings.append(unverified(store.url))
    return warnings


def version(registers: Registers, ends: float) -> str:
    """Return what one server runs: `ZooKeeper 3.8.0`; empty: it does not tell, or not now."""
    with suppress(Exception):  # the word may be forbidden, and kazoo asks over a connection apart
        found = re.search(r"version: (\d[\d.]*)", registers.link.say(b"srvr", ends))
        return f"ZooKeeper {found[1]}" if found else ""
    return ""
