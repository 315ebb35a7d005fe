"""Writing the time of publication into messages of tasks whose keys show it.

By a receiver of Celery's `before_task_publish`, which sees whatever is published and however:
`delay`, canvas, beat, `send_task`, `celery call`. It is there only where a bucket is declared,
and from the declaration on: a process that publishes by name may bind its tasks only after that,
or in the receiver itself.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import replace
from typing import Any

from celery import signals
from celery._state import _get_active_apps  # type: ignore[attr-defined]  # not in the stubs

from ..errors import LockError
from ..keys import at_first_bucket
from ..message import HEADER, Header
from .locks import locks_of

__all__ = ["begin", "expect"]

_timed: set[str] = set()
"""Names of tasks that show the time; in some app, and not for ever."""


def begin() -> None:
    """Stamp from the first declared bucket on; more than once is once."""
    at_first_bucket(_connect)


def expect(name: str) -> None:
    """A task of this name shows the time of publication in its key."""
    _timed.add(name)


def _connect() -> None:
    signals.before_task_publish.connect(_stamp, weak=False)


def _stamp(
    sender: Any = None,
    headers: MutableMapping[str, Any] | None = None,
    properties: Any = None,
    **_: Any,
) -> None:
    """Never raises: what is wrong with a header, its worker says."""
    name = str(sender)
    if name not in _timed and all(app.finalized for app in _get_active_apps()):
        return  # a task that shows no time: a few microseconds
    app = next((app for app in _publishers(properties) if _shows_time(app, name)), None)
    if headers is None or app is None:
        return
    try:
        header = Header.read(
            headers,
            retries=headers.get("retries") or 0,
            nesting=headers.get("replaced_task_nesting") or 0,
        )
    except LockError:
        return
    if header.first_published is None and header.key is None:  # a given key shows no time
        headers[HEADER] = replace(header, first_published=locks_of(app).now()).write()


def _publishers(properties: Any) -> list[Any]:
    """Return the app that publishes; all that it could be, where the message does not tell.

    The signal does not name it. Where to send the reply does, unless somebody has said it.
    """
    apps = list(_get_active_apps())
    reply_to = (properties or {}).get("reply_to")
    return [app for app in apps if app.thread_oid == reply_to] or apps


def _shows_time(app: Any, name: str) -> bool:
    if name not in app._tasks and not app.finalized and app.autofinalize:
        # `celery call` and `send_task` publish by name and bind nothing
        app.finalize(auto=True)
    bound = getattr(app._tasks.get(name), "_bound_lock", None)
    return bound is not None and bound.key.timed
