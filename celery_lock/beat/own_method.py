"""A method of a class that tools may patch later: looked up at each call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["own_method"]


def own_method(owner: Any, name: str) -> Callable[..., Any]:
    """Return what calls a method of a scheduler's or an app's class, as the class has it at each
    call.

    Sentry puts its own into Celery's class as a beat starts, when the scheduler is there already.
    """
    there: Callable[..., Any] | None = vars(owner).get(name)

    def call(*args: Any, **options: Any) -> Any:
        return getattr(type(owner), name)(owner, *args, **options)

    return there or call
