"""Errors that Python ignores, since they were raised where nothing can be.

That is in a `__del__`, or in the callback of a weak reference, which the collector of garbage calls
at any step of any code.

Who raises an error in another thread hears of it here, and raises it once more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

__all__ = ["hear_of", "no_more_of"]

_wanted: list[tuple[BaseException, Callable[[], None]]] = []
"""Its own operations are atomic, and nothing is locked: the collector may run at any step."""


class _Hook:
    """Python's hook for what it ignores: what is asked for goes there, the rest to the hook before.

    It stays once it is in place: what somebody has put over it meanwhile may call it.
    """

    def __init__(self, before: Callable[[Any], object]) -> None:
        self._before = before

    def __call__(self, ignored: Any) -> None:
        for error, then in list(_wanted):
            if error is not ignored.exc_value:
                continue
            while True:  # anew if it is raised in here, which Python would tell nobody of
                try:
                    then()
                    return
                except BaseException as raised:
                    if raised is not error:
                        raise
        self._before(ignored)


def hear_of(error: BaseException, then: Callable[[], None]) -> None:
    """Call `then` each time that Python ignores this very error, in the place where it does.

    `then` neither raises nor waits: anything may be on the stack below it.
    """
    before = sys.unraisablehook
    if not isinstance(before, _Hook):
        sys.unraisablehook = _Hook(before)
    _wanted.append((error, then))


def no_more_of(error: BaseException) -> None:
    """Hear no more of it; more than once is once."""
    for one in [each for each in list(_wanted) if each[0] is error]:
        with suppress(ValueError):
            _wanted.remove(one)
