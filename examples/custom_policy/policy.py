"""The policy: one function, pure, so that a test needs nothing but a Conflict."""

from __future__ import annotations

import time

from celery_lock import Conflict, constant, fail, requeue, skip

STUCK = 600.0
"""Seconds after which a holder is no longer busy, but stuck, and somebody has to look."""


def patience(conflict: Conflict) -> requeue | skip | fail:
    """Wait for a short while; for ever if somebody needs the result; not for a stuck holder."""
    since = conflict.holder.since
    if since is not None and time.time() - since > STUCK:
        return fail()  # a visible failure, whose message names the holder
    if conflict.in_canvas:
        return requeue(constant(0.2))  # a chain goes on with what this task returns
    if conflict.attempt <= 2:
        return requeue(constant(0.2))
    return skip()  # the holder is doing the same work just now
