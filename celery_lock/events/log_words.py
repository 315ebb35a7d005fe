"""The words of a log line: what the person on call needs to know about one fact.

That is the key, who holds it, where and since when, when it is free at the latest, and what was
decided. Whatever another program may have written is kept on one line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import enumeration, span
from ..model import Holder
from .facts import (
    Acquired,
    Conflicted,
    CopyDropped,
    Fact,
    Lost,
    Released,
    StoreFailed,
    SwitchedOff,
)
from .plain_text import moment, plain

__all__ = ["words"]

_SHOWN = 3
"""How many holders a line names at most, each with its node and pid: a key may have 256 permits."""


def words(fact: Fact) -> tuple[Any, ...]:
    """Return a template for `logger.log`, and its values.

    They stay apart, since error trackers group lines by the template.
    """
    template, *values = _SAY[type(fact)](fact)
    if isinstance(fact, StoreFailed) and fact.call == "tick":
        return (template, *values)  # a beat's own, and no task's
    if not fact.task:
        return (f"hold(): {template}", *values)
    return (f"Task %s[%s]: {template}", fact.task, plain(fact.task_id), *values)


def _acquired(fact: Acquired) -> tuple[Any, ...]:
    what = f"{_slot(fact.slot)}{_token(fact.token)}"
    return "lock %r taken%s, after a wait of %s", fact.key, what, span(fact.waited)


def _conflicted(fact: Conflicted) -> tuple[Any, ...]:
    decision, holder = fact.decision, fact.holder
    says = decision.says_at_last if fact.waited_out else decision.says
    if len(fact.holders) > 1:
        template = (
            "%s: lock %r is taken %d times, by %s; the first permit is free in at most %s"
            " unless renewed; attempt %d"
        )
        all_of_them = enumeration([_having(one) for one in fact.holders], _SHOWN)
        left = span(fact.expires_in)
        return template, says, fact.key, len(fact.holders), all_of_them, left, fact.attempt
    if not fact.live:
        template = (
            "%s: lock %r is kept taken by at_least, free in %s;"
            " its last holder was %s%s; attempt %d"
        )
        left = span(fact.expires_in)
        return template, says, fact.key, left, _who(holder), _since(holder.since), fact.attempt
    since, left = _since(holder.since), span(fact.expires_in)
    if holder.retry_no == 0:
        template = "%s: lock %r is kept for task %s, queued%s, for at most %s; attempt %d"
        return template, says, fact.key, plain(holder.task_id), since, left, fact.attempt
    if holder.retry_no is not None:
        template = "%s: lock %r is kept for retry %d of task %s%s, for at most %s; attempt %d"
        task = plain(holder.task_id)
        return template, says, fact.key, holder.retry_no, task, since, left, fact.attempt
    template = "%s: lock %r is held by %s%s, free in at most %s unless renewed; attempt %d"
    return template, says, fact.key, _who(holder), since, left, fact.attempt


def _copy_dropped(fact: CopyDropped) -> tuple[Any, ...]:
    return (
        "not run: it is a copy of a message that was completed under lock %r (publication %s)",
        fact.key,
        plain(fact.publication),
    )


def _lost(fact: Lost) -> tuple[Any, ...]:
    return (
        "lock %r LOST (%s%s)%s: from now on another task may run beside this one",
        fact.key,
        fact.reason,
        f" by {plain(fact.by)}" if fact.by else "",
        f"{_slot(fact.slot)}{_token(fact.token)}",
    )


def _released(fact: Released) -> tuple[Any, ...]:
    what = f"{_slot(fact.slot)}{_token(fact.token)}"
    if fact.in_time:
        return "lock %r given back after %s%s", fact.key, span(fact.held), what
    return (
        "lock %r given back after %s%s, but its lease had ended before:"
        " another task may have run at the same time",
        fact.key,
        span(fact.held),
        what,
    )


def _switched_off(fact: SwitchedOff) -> tuple[Any, ...]:
    return "runs WITHOUT its lock %r: its call said lock=None", fact.key


def _store_failed(fact: StoreFailed) -> tuple[Any, ...]:
    if fact.call == "tick":
        return (
            "beat: no tick can be claimed%s: %s; %s",
            "" if fact.url in fact.error else f" at the store {fact.url}",
            plain(fact.error),
            _ANSWERED.get(fact.answer, fact.answer),
        )
    return (
        "%s of lock %r failed%s: %s; %s",
        fact.call,
        fact.key,
        "" if fact.url in fact.error else f" at the store {fact.url}",
        plain(fact.error),
        _ANSWERED.get(fact.answer, fact.answer) if fact.task else _answered_outside(fact.answer),
    )


_SAY: dict[type[Fact], Callable[[Any], tuple[Any, ...]]] = {
    Acquired: _acquired,
    Conflicted: _conflicted,
    CopyDropped: _copy_dropped,
    Lost: _lost,
    Released: _released,
    StoreFailed: _store_failed,
    SwitchedOff: _switched_off,
}

_ANSWERED = {
    "requeue": "the task is sent again to run later",
    "run": "the task runs WITHOUT a lock",
    "fail": "the task fails",
    "send": "it is sent without its lease, and its worker asks for one",
    "retry": "it is tried again in the background",
    "wait": "what is due waits, and runs once when it answers",
    "fire": "every beat publishes what is due, with the same task id",
}


def _slot(slot: int | None) -> str:
    return "" if slot is None else f", slot {slot}"


def _answered_outside(answer: str) -> str:
    return "hold() raises it" if answer == "fail" else _ANSWERED.get(answer, answer)


def _token(token: int | None) -> str:
    return "" if token is None else f", token {token}"


def _who(holder: Holder) -> str:
    node = f" on {plain(holder.node)}" if holder.node else ""
    pid = f" (pid {holder.pid})" if holder.pid else ""
    who = "hold()" if holder.is_hold else f"task {plain(holder.task_id)}"
    return f"{who}{node}{pid}"


def _having(holder: Holder) -> str:
    if holder.retry_no == 0:
        return f"task {plain(holder.task_id)}, queued{_since(holder.since)}"
    if holder.retry_no is not None:
        return f"retry {holder.retry_no} of task {plain(holder.task_id)}"
    return f"{_who(holder)}{_since(holder.since)}"


def _since(seconds: float | None) -> str:
    return "" if seconds is None else f" since {moment(seconds)}"
