"""The locks that a task declares in a list: which of them make no sense together."""

from __future__ import annotations

from dataclasses import fields
from itertools import combinations
from typing import Any

from ..errors import LockConfigurationError
from ..model import Lock, Scope

__all__ = ["MOST_LOCKS", "checked_list", "is_declared"]

MOST_LOCKS = 16
"""Locks of one task at most. All are judged in one step of the store, which does nothing else
meanwhile."""


def is_declared(given: Any) -> bool:
    """Whether this is a lock, or a list of nothing but locks."""
    return isinstance(given, Lock) or (
        isinstance(given, (list, tuple)) and any(isinstance(one, Lock) for one in given)
    )


def checked_list(given: Any, name: str) -> tuple[Lock, ...]:
    """Return the locks that the task `name` declares; raises `LockConfigurationError`."""
    if isinstance(given, Lock):
        return (given,)
    locks = tuple(given)
    for number, lock in enumerate(locks):
        if not isinstance(lock, Lock):
            meant = f'write Lock("{lock}")' if isinstance(lock, str) else "leave it out"
            raise LockConfigurationError(
                f"task {name}: lock=[...] has at place {number} {lock!r}, which is no Lock; {meant}"
            )
    if len(locks) > MOST_LOCKS:
        raise LockConfigurationError(
            f"task {name} has {len(locks)} locks, and a task may have {MOST_LOCKS} at most, for the"
            " store judges all of them in one step; let several of them be one key that stands for"
            " all, or split the task"
        )
    for one, other in combinations(locks, 2):
        _refuse_mixed_scopes(name, one, other)
        _refuse_other_settings(name, one, other)
    return locks


def _refuse_mixed_scopes(name: str, one: Lock, other: Lock) -> None:
    scopes = (Scope(one.scope), Scope(other.scope))
    if Scope.UNTIL_STARTED in scopes or scopes[0] is scopes[1]:
        return
    raise LockConfigurationError(
        f"task {name} has a lock {_called(one)} with Scope.{scopes[0].name} and a lock"
        f" {_called(other)} with Scope.{scopes[1].name}: a message that waits in its queue would"
        " keep the one while a body that runs waits for it with the other, and neither goes on;"
        " give all locks of a list one scope (Scope.UNTIL_STARTED alone may stand beside another)"
    )


def _refuse_other_settings(name: str, one: Lock, other: Lock) -> None:
    waits = [Scope(each.scope) is Scope.UNTIL_STARTED for each in (one, other)]
    if one.key != other.key or waits[0] is not waits[1]:
        return
    for field in fields(Lock):
        mine, its = getattr(one, field.name), getattr(other, field.name)
        if mine != its:
            raise LockConfigurationError(
                f"task {name} has the lock {_called(one)} twice, with {field.name}={mine!r} and"
                f" with {field.name}={its!r}; leave one of them out, or give them two templates."
                " One template may stand twice in a list only where one of both is"
                " scope=Scope.UNTIL_STARTED: one waits while another one runs"
            )


def _called(lock: Lock) -> str:
    if lock.key is None:
        return "on all arguments"
    return repr(lock.key) if isinstance(lock.key, str) else getattr(lock.key, "__name__", "?")
