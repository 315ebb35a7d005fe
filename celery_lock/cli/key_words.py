"""What the commands print about a key: words for people, fields for programs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..errors import span
from ..events.plain_text import moment, plain
from ..model import Held, HeldPermit, Holder

__all__ = ["fields", "permit_of", "permits_of", "released", "retry_of", "words"]


def words(held: Held) -> str:
    """Say who has a key, a line for each thing there is to know; of each of its permits, if more
    than one is taken."""
    permits = permits_of(held)
    if len(permits) == 1:
        return _block(f"lock {held.key!r} is", held, _slot_of(held) or None)
    blocks = [_block(f"slot {_slot_of(one)} is", one) for one in permits]
    return "\n".join([f"lock {held.key!r} is taken {len(permits)} times", *blocks])


def _block(what: str, held: Held, slot: int | None = None) -> str:
    holder, retry = Holder.parse(held.holder), retry_of(held)
    ends = f"until {moment(held.now + held.expires_in)}, in {span(held.expires_in)}"
    if not held.live:
        head, end = "held by nobody: at_least keeps it taken", ("taken", ends)
    elif retry is not None:
        message = "a retry" if retry else "a message in a queue"
        head, end = f"kept for {message} that nobody runs yet", ("kept", f"{ends} at most")
    elif held.is_unconfirmed:
        head, end = "taken for a message that is being sent", ("lease", f"{ends} at most")
    else:
        head, end = "held", ("lease", f"{ends} unless renewed")
    by = ("by", "hold()") if holder.is_hold else ("task", plain(holder.task_id))
    lines = [by if held.live else (f"last {by[0]}", by[1])]
    if retry:
        lines += [("retry", str(retry))]
    elif holder.node:
        lines += [("node", plain(holder.node)), ("pid", str(holder.pid))]
    lines += [("since", f"{moment(held.since)}, {span(held.now - held.since)} ago"), end]
    if slot is not None:
        lines.append(("slot", str(slot)))
    if held.token:
        lines.append(("token", str(held.token)))
    return "\n".join([f"{what} {head}", *(f"  {name:<9} {value}" for name, value in lines)])


def permits_of(held: Held) -> list[Held]:
    """Return who has each permit of a key, each as if it had no other, in the order of slots."""
    return [_alone(held, one) for one in held.holders] or [held]


def permit_of(held: Held, slot: int) -> Held | None:
    """Return the same of one permit; `None`: nobody has that one."""
    return next((_alone(held, one) for one in held.holders if one.slot == slot), None)


def _alone(held: Held, one: HeldPermit) -> Held:
    return replace(
        held,
        holder=one.holder,
        since=one.since,
        expires_in=one.expires_in,
        live=one.live,
        publication=one.publication,
        token=one.token,
        holders=(one,),
    )


def _slot_of(held: Held) -> int:
    return next((one.slot for one in held.holders if one.holder == held.holder), 0)


def retry_of(held: Held) -> int | None:
    """Return the number of the retry that the key is kept for; `None`: a process has it."""
    return Holder.parse(held.holder).retry_no


def released(held: Held) -> str:
    """Say what the release has done, and what comes of it."""
    said = f"lock {held.key!r} is released"
    if not held.live:
        return f"{said}: at_least no longer keeps it taken"
    retry = retry_of(held)
    if retry is not None:
        comes = "The retry" if retry else "The message"
        return f"{said}. {comes} comes all the same, and takes the key again if it is free then"
    return (
        f"{said}. Its holder learns of it at its next renewal, within a third of its ttl; until it"
        " has ended, another one may run beside it"
    )


def fields(key: str, held: Held | None) -> dict[str, Any]:
    """Return what a program reads of a key: every field is always there."""
    if held is None:
        return dict.fromkeys(_NAMES) | {"key": key, "state": "free", "holders": []}
    now = {"key": key, "now": held.now}
    holders = [_permit(one) for one in permits_of(held)]
    return dict.fromkeys(_NAMES) | now | _permit(held) | {"holders": holders}


def _permit(held: Held) -> dict[str, Any]:
    holder, retry = Holder.parse(held.holder), retry_of(held)
    return {
        "state": held.state,
        "holder": held.holder,
        "task_id": holder.task_id,
        "node": holder.node or None if retry is None else None,
        "pid": holder.pid or None if retry is None else None,
        "retry": retry,
        "since": held.since,
        "expires_in": held.expires_in,
        "token": held.token or None,
        "slot": _slot_of(held),
    }


_NAMES = (
    "key",
    "state",
    "holder",
    "task_id",
    "node",
    "pid",
    "retry",
    "since",
    "now",
    "expires_in",
    "token",
    "slot",
    "holders",
)
