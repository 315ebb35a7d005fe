"""One fact of each kind, for the tests of those who are told."""

from __future__ import annotations

from typing import Any

from celery_lock.events import (
    Acquired,
    Conflicted,
    CopyDropped,
    Fact,
    Lost,
    Released,
    StoreFailed,
    Subject,
    SwitchedOff,
)
from celery_lock.model import Decision, Holder
from celery_lock.policies import skip

SUBJECT = Subject(task="shop.charge", task_id="id-1", template="user:{user_id}")
HOLDER = Holder("id-2", node="web-1", pid=17, nonce="ab", since=1_700_000_000.0)


def acquired(subject: Subject = SUBJECT, **changed: Any) -> Acquired:
    values = {"key": "user:7", "holder": "id-1#web-2#18#cd", "token": 5, "waited": 0.0}
    return Acquired(subject=subject, **{**values, **changed})


def conflicted(
    decision: Decision | None = None, attempt: int = 1, subject: Subject = SUBJECT, **changed: Any
) -> Conflicted:
    values = {"key": "user:7", "holder": HOLDER, "expires_in": 12.25}
    return Conflicted(
        subject=subject, decision=decision or skip(), attempt=attempt, **{**values, **changed}
    )


def copy_dropped(subject: Subject = SUBJECT, **changed: Any) -> CopyDropped:
    return CopyDropped(subject=subject, **{"key": "user:7", "publication": "tag-1", **changed})


def lost(subject: Subject = SUBJECT, **changed: Any) -> Lost:
    values = {"key": "user:7", "holder": "h", "token": 5, "reason": "expired", "by": None}
    return Lost(subject=subject, **{**values, **changed})


def released(subject: Subject = SUBJECT, **changed: Any) -> Released:
    values = {"key": "user:7", "holder": "h", "token": 5, "held": 1.5, "in_time": True}
    return Released(subject=subject, **{**values, **changed})


def store_failed(subject: Subject = SUBJECT, **changed: Any) -> StoreFailed:
    values = {
        "key": "user:7",
        "url": "redis://db:6379/1",
        "call": "acquire",
        "error": "the lock store redis://db:6379/1 is not available: no answer within 2 s",
        "answer": "requeue",
    }
    return StoreFailed(subject=subject, **{**values, **changed})


def switched_off(subject: Subject = SUBJECT, **changed: Any) -> SwitchedOff:
    return SwitchedOff(subject=subject, **{"key": "user:7", **changed})


ONE_OF_EACH: tuple[Fact, ...] = (
    acquired(),
    conflicted(),
    copy_dropped(),
    lost(),
    released(),
    store_failed(),
    switched_off(),
)
