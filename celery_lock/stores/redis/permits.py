"""How the scripts name a holder, and how they show a permit."""

from __future__ import annotations

from typing import Any

from ...model import Held, HeldPermit, Holder, Met, Release
from ...model.holder import retry_no_of

__all__ = ["held", "named", "parts", "released", "state_of"]


def parts(holder: str) -> tuple[str, str, str, str]:
    """Split a written holder into task id, node, pid and nonce, each a value of its own.

    A text of another form is a task id whole.
    """
    found = holder.rsplit("#", 3)
    if len(found) == 4 and found[2].isdigit():
        return found[0], found[1], found[2], found[3]
    return holder, "", "", ""


def state_of(holder: str) -> str:
    """Return the state of a permit that is kept for this holder's retry; empty: it is none."""
    if not holder:
        return ""
    retry_no = retry_no_of(holder)
    return "" if retry_no is None else f"q{retry_no}"


def named(holder: str) -> tuple[str, str, str, str, str, str] | None:
    """Return task id, node, pid, nonce, state, and "1" where the nonce is only its beginning.

    `None`: the beginning of a holder that ends too soon to name one.
    """
    if not holder.endswith(("#", ".")):
        kept = state_of(holder)
        if kept:
            return Holder.parse(holder).task_id, "", "", "", kept, "0"
        return *parts(holder), "", "0"
    found = parts(holder)
    return (*found, "", "1") if found[2] else None


def held(key: str, met: Met, now: int, free_at: int, shown: list[Any], taken: list[Any]) -> Held:
    """Read the answer of a script that says who has a key."""
    whom = _holding(shown, now) if shown else HeldPermit("", 0.0, 0.0, False, token=0)
    return Held(
        key=key,
        holder=whom.holder,
        since=whom.since,
        now=now / 1e6,
        expires_in=(free_at - now) / 1e6,
        live=whom.live,
        publication=whom.publication,
        token=whom.token,
        met=met,
        mark=str(now),
        holders=tuple(_holding(one, now) for one in taken),
    )


def released(answer: int) -> Release:
    """Read the answer to a release."""
    return _RELEASES[answer]


_RELEASES = [Release.of(answer % 2 == 1, answer > 1) for answer in range(4)]


def _holding(shown: list[Any], now: int) -> HeldPermit:
    slot, task, node, pid, nonce, state, since, expiry, floor, token, publication = shown
    unconfirmed = state == b"u"
    if state and not unconfirmed:
        holder = str(Holder.for_retry(_text(task), int(state[1:] or 0)))
    elif pid:
        holder = "#".join(map(_text, (task, node, pid, nonce)))
    else:
        holder = _text(task)
    return HeldPermit(
        holder=holder,
        since=since / 1e6,
        expires_in=(max(expiry, floor, now) - now) / 1e6,
        live=expiry > now,
        publication=_text(publication),
        token=token,
        slot=slot,
        unconfirmed=unconfirmed and expiry > now,
    )


def _text(said: bytes) -> str:
    try:
        return said.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:  # another program has written it
        return said.decode("utf-8", "backslashreplace")
