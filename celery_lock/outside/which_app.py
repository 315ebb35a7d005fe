"""The app whose locks are meant where no task says which."""

from __future__ import annotations

import sys
from typing import Any

from celery import _state
from celery._state import get_current_task

from ..app.locks import AppLocks, checked_app, locks_of
from ..errors import LockConfigurationError, UnsupportedFeature

__all__ = ["locks_for"]


def locks_for(who: str, app: Any) -> AppLocks:
    """Return the locks of `app`, or of the one that is meant where that is `None`.

    Raises `LockConfigurationError` where there is none, or Django is not ready for it; `who` is
    what the message says was called.
    """
    if app is None:
        app = _meant(who)
    else:
        write = "app=celery_app, or leave it out where there is one in the process"
        app = checked_app(app, f"{who}: app={app!r}", write)
    _refuse_unready_django(who, app)
    return locks_of(app)


def _meant(who: str) -> Any:
    """Return the app of the task that runs here, else the current one, else the only one.

    Celery's current app is one of a thread: it is known where the app was made, and the threads
    of a web server find an empty one that Celery makes for them. Locks in its store would be
    other locks.
    """
    task: Any = get_current_task()  # the stubs say that there is always one
    if task is not None:
        return task.app
    state: Any = _state
    current = state._tls.current_app or state.default_app
    if current is not None and not _made_by_celery(current):
        return current
    others = [app for app in list(state._get_active_apps()) if not _made_by_celery(app)]
    if len(others) == 1:
        return others[0]
    if others:
        names = ", ".join(sorted(repr(app.main or "?") for app in others))
        raise LockConfigurationError(
            f"{who}: there are several Celery apps in this process ({names}), and none of them is"
            f" the current one in this thread; write app=..., or call set_default() of one"
        )
    return _empty(who)


def _made_by_celery(app: Any) -> bool:
    return app.main == "default" and app is _state.default_app  # type: ignore[attr-defined]


def _empty(who: str) -> Any:
    """Return the app that Celery makes by itself, if its configuration module names a store."""
    app: Any = _state.get_current_app()
    try:
        _ = locks_of(app).locker  # made once: each hold() comes by
    except UnsupportedFeature:
        raise
    except LockConfigurationError as error:
        raise LockConfigurationError(
            f"{who}: no Celery app is known in this process, so nobody says where the locks are"
            f" kept; import the module that makes your app first, or write app=... ({error})"
        ) from error
    return app


def _refuse_unready_django(who: str, app: Any) -> None:
    from celery.fixups.django import DjangoFixup  # imports no Django by itself

    registry = sys.modules.get("django.apps")
    by_django = any(isinstance(fixup, DjangoFixup) for fixup in getattr(app, "_fixups", None) or ())
    if by_django and not (registry is not None and registry.apps.models_ready):
        raise LockConfigurationError(
            f"{who}: Django's apps are not ready yet, so its settings may not be complete; a key"
            " can be held in a view, a command or AppConfig.ready(), and not while a module is"
            " imported. In a script call django.setup() first"
        )
