"""The key that somebody has typed: as it is, or as a line of the log shows it."""

from __future__ import annotations

import re

import click

from ..errors import LockError
from ..keys import check_key
from ..model import Held, LockStore
from .meant import named_in_redis

__all__ = ["find", "unquoted"]

_ESCAPE = re.compile(
    r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U(00(?:0[0-9a-f]|10)[0-9a-f]{4})|([\\'\"]))"
)


def find(store: LockStore, typed: str) -> tuple[str, Held | None]:
    """Return the key that was meant, and who has it."""
    held = _peek(store, typed)
    for meant in (unquoted(typed), named_in_redis(unquoted(typed))):
        if held is not None:
            break
        if meant and meant != typed:
            typed, held = meant, _peek(store, meant)
    return typed, held


def _peek(store: LockStore, key: str) -> Held | None:
    try:
        check_key(key)
    except LockError as error:
        raise click.BadParameter(str(error), param_hint="KEY") from error
    return store.peek(key)


def unquoted(typed: str) -> str:
    """Return the key that a line of the log shows in quotes, with some characters escaped."""
    if len(typed) > 2 and typed[0] == typed[-1] and typed[0] in "'\"":
        typed = typed[1:-1]
    return _ESCAPE.sub(lambda m: m[4] or chr(int(m[1] or m[2] or m[3], 16)), typed)
