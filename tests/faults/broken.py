"""The store without one of its guards, to see that the matrix notices it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery_lock.model import Lease, Outcome
from celery_lock.stores.redis import RedisStore

BARE_DELETE = "a bare DEL for a release"
NO_RENEWAL = "renewal off"
CONTROLS = (BARE_DELETE, NO_RENEWAL)


def break_store(control: str) -> None:
    """Take the guard away, in this process and those that it forks."""
    broken: Any = RedisStore
    if control == BARE_DELETE:
        broken.release = _bare_delete
    elif control == NO_RENEWAL:
        broken.renew = _no_renewal
    else:
        raise ValueError(f"{control!r} is no control; there are {', '.join(CONTROLS)}")


def _bare_delete(self: Any, lease: Lease, *_: Any, **__: Any) -> bool:
    self._server.say("DEL", self._state(lease.key))
    return True


def _no_renewal(self: Any, renewals: Sequence[tuple[Lease, float]], **_: Any) -> list[Outcome]:
    return [Outcome.RENEWED for _ in renewals]
