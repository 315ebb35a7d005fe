"""The names of options that somebody has meant for a lock, and what to write instead of each."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ..model import Lock
from ..policies import KINDS

__all__ = ["COMMON", "COMMON_OF_CALLS", "LIST", "STRONG", "WRITE", "has_locks"]

LIST = "lock=[Lock(...), Lock(...)]"
"""What to write instead of several locks."""

_POLICY = {kind.word: kind.written for kind in KINDS}
_OPTIONS = [f.name for f in fields(Lock)]
_SENT = 'Lock("order:{order_id}", scope=Scope.UNTIL_FINISHED'
"""What a library that locks as a task is sent has, but for its end."""

WRITE = {
    **{name: f"lock=Lock(..., {name}=...)" for name in _OPTIONS},
    **{f"lock_{name}": f"lock=Lock(..., {name}=...)" for name in _OPTIONS},
    "key": 'lock=Lock("order:{order_id}")',
    "lock_name": 'lock=Lock("order:{order_id}")',
    "lock_id": 'lock=Lock("order:{order_id}")',
    "lock_keys": 'lock=Lock("order:{order_id}")',
    "lock_args": 'lock=Lock("order:{order_id}")',
    "unique_on": f"lock={_SENT}), with the arguments that count as fields",
    "unique_key": 'lock=Lock("order:{order_id}")',
    "once": f"lock={_SENT}, on_conflict={_POLICY['skip']})",
    "heimdall": f"lock={_SENT})",
    "singleton": "lock=Lock()",
    "unique": "lock=Lock()",
    "max_concurrency": "lock=Lock(..., limit=...)",
    "max_concurrent": "lock=Lock(..., limit=...)",
    "lock_concurrency": "lock=Lock(..., limit=...)",
    "locks": LIST,
    "locked": "lock=Lock()",
    "mutex": "lock=Lock()",
    "raise_on_duplicate": f"lock={_SENT}, on_conflict={_POLICY['fail']})",
    "graceful": f"lock=Lock(..., on_conflict={_POLICY['skip']})",
    "lock_expiry": "lock=Lock(..., scope=Scope.UNTIL_FINISHED, queue_ttl=...)",
    "lock_expire": "lock=Lock(..., ttl=...)",
    "lock_expires": "lock=Lock(..., ttl=...)",
    "lock_timeout": "lock=Lock(..., ttl=...)",
    "lock_blocking": f"lock=Lock(..., on_conflict={_POLICY['wait']})",
    "lock_wait": f"lock=Lock(..., on_conflict={_POLICY['wait']})",
    "lock_policy": "lock=Lock(..., on_conflict=...)",
    "max_wait": f"lock=Lock(..., on_conflict={_POLICY['wait']})",
    "max_attempts": "lock=Lock(..., on_conflict=requeue(max_attempts=3))",
    "blocking_timeout": f"lock=Lock(..., on_conflict={_POLICY['wait']})",
    "backoff": "lock=Lock(..., on_conflict=requeue(exponential()))",
    **{kind.word: f"lock=Lock(..., on_conflict={kind.written})" for kind in KINDS},
}
"""What to write instead of each option, of ours and of other libraries, that is read nowhere."""

COMMON = {
    *("key", "ttl", "scope", "limit", "unique", "locked", "singleton", "mutex", "once", "graceful"),
    *("max_wait", "max_attempts", "blocking_timeout", "backoff"),
    *("unique_key", "lock_name", "lock_id", "lock_keys"),
    *(kind.word for kind in KINDS),
}
"""Words that a class may well have for something else. On the task itself they are refused too; in
a base class of somebody's own they are his."""

STRONG = sorted(set(WRITE) - COMMON)
"""Words that are hardly anything else."""

COMMON_OF_CALLS = {"key", "ttl", "scope", "limit", "once"}
"""Common words that look like a lock's in a call, and in a base class of somebody's own."""


def has_locks(value: Any) -> bool:
    """Whether this is several locks, and nothing else."""
    return (
        isinstance(value, (list, tuple, set, frozenset))
        and bool(value)
        and all(isinstance(one, Lock) for one in value)
    )
