"""Whether the mixin can lie over a scheduler class, found out as the class is made."""

from __future__ import annotations

import inspect
from typing import Any

from celery.beat import Scheduler

from ..errors import LockConfigurationError

__all__ = ["check_scheduler", "sends_once"]


def check_scheduler(cls: Any, mixin: type) -> None:
    """Raise `LockConfigurationError` for a class in which ticks would pass by the ledger.

    In such a class `tick()` is its own and does not call Celery's, or the mixin comes too late:
    the ticks are published without asking, or asked for twice.
    """
    mro = cls.__mro__
    if Scheduler not in mro:
        bases = ", ".join(base.__name__ for base in cls.__bases__)
        raise LockConfigurationError(
            f"{cls.__name__}({bases}) is no scheduler of Celery's; name one after {mixin.__name__},"
            f" such as class {cls.__name__}({mixin.__name__}, celery.beat.PersistentScheduler)"
        )
    place = mro.index(mixin)
    for klass in mro[: mro.index(Scheduler)]:
        if klass is mixin:
            continue
        _check_tick(cls, klass, mixin)
        if mro.index(klass) < place and Scheduler in klass.__mro__ and mixin not in klass.__mro__:
            raise LockConfigurationError(
                f"{cls.__name__} has {klass.__name__} before {mixin.__name__}, whose methods are"
                f" never reached then; write class {cls.__name__}({mixin.__name__},"
                f" {klass.__name__})"
            )


def sends_once(cls: Any, mixin: type) -> bool:
    """Whether a scheduler class sends as Celery does: one message for a tick."""
    own = {name for klass in cls.__mro__ if klass not in (mixin, Scheduler) for name in vars(klass)}
    return not own & {"apply_entry", "apply_async", "send_task"}


def _check_tick(cls: Any, klass: Any, mixin: type) -> None:
    tick = vars(klass).get("tick")
    code = getattr(inspect.unwrap(tick), "__code__", None) if tick is not None else None
    if tick is None or (code is not None and {"super", "tick"} <= set(code.co_names)):
        return
    raise LockConfigurationError(
        f"{cls.__name__} cannot be a {mixin.__name__}: {klass.__name__} has a tick() of its own,"
        " which does not call super().tick() and so publishes without asking which beat may. The"
        " mixin lies over schedulers that keep Celery's tick(), such as"
        " celery.beat.PersistentScheduler; instead of RedBeat use"
        " celery_lock.beat:LockedScheduler, which needs no schedule file"
    )
