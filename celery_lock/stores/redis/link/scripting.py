"""Scripts over one connection: named by their digest, and in full where a server lacks them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .connection import Connection
from .linking import Call
from .resp import ErrorReply, Reply, command

__all__ = ["ask", "in_full_where_forgotten", "is_forgotten", "packed", "plainly", "run_script"]

Say = Callable[[Connection, bytes, float], Reply]
"""Sends a command over a connection, and returns its reply before an end."""

SayEach = Callable[[Sequence[bytes], Sequence[Call], float], Sequence[Reply | Exception]]
"""Sends a command for each of these calls, and returns the outcome of each before an end."""

_ASKING = command("ASKING")

plainly: Say = Connection.exchange_behind


def ask(connection: Connection, command: bytes, ends: float) -> Reply:
    """Send a command about keys that are on their way to this server: it may have some of them."""
    reply: Reply = None
    for outcome in connection.exchange_each((_ASKING, command), ends):
        if isinstance(outcome, Exception):
            raise outcome
        reply = outcome
    return reply


def run_script(connection: Connection, call: Call, ends: float, how: Say = plainly) -> Reply:
    """Run one script, and return its answer."""
    script, keys, args = call
    try:
        return how(connection, script.call(keys, args), ends)
    except ErrorReply as error:
        if not is_forgotten(error):
            raise
        # the server is new, or has been told to forget; this time it remembers
        return how(connection, script.call_in_full(keys, args), ends)


def packed(calls: Sequence[Call]) -> list[bytes]:
    """Return the commands that name these scripts by their digests."""
    return [script.call(keys, args) for script, keys, args in calls]


def lasts(calls: Sequence[Call]) -> bool:
    """Whether one of these scripts writes what is to last."""
    return any(script.lasts for script, _, _ in calls)


def claims(calls: Sequence[Call]) -> bool:
    """Whether one of these scripts gives a key."""
    return any(script.grants for script, _, _ in calls)


def in_full_where_forgotten(
    exchange: SayEach,
    calls: Sequence[Call],
    outcomes: Sequence[Reply | Exception],
    ends: float,
) -> list[Reply | Exception]:
    """Run in full what the server does not remember, and return all outcomes with those."""
    known = list(outcomes)
    lacking = [
        place
        for place, outcome in enumerate(known)
        if isinstance(outcome, Exception) and is_forgotten(outcome)
    ]
    if lacking:
        in_full = [calls[place][0].call_in_full(*calls[place][1:]) for place in lacking]
        answers = exchange(in_full, [calls[place] for place in lacking], ends)
        for place, answer in zip(lacking, answers, strict=True):
            known[place] = answer
    return known


def is_forgotten(error: Exception) -> bool:
    """Whether the server lacks the script."""
    return isinstance(error, ErrorReply) and error.code == "NOSCRIPT"
