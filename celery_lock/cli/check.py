"""`celery -A app lock check`: can the locks of an app live in its store?"""

from __future__ import annotations

import json
import time
from statistics import median
from typing import Any, NamedTuple

import click

from ..app.bound import lacks_of, refuse_what_lacks
from ..app.locks import AppLocks, locks_of
from ..app.start_checks import done_less_well
from ..errors import LockConfigurationError, StoreError
from ..model import Feature, LockStore
from .commands import app_given, lock
from .opening import NotDone, opened

__all__ = ["check"]

_CALLS = 20
"""How many calls the latency is taken from."""
_KEY = "celery-lock check"


@lock.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of words.")
@click.pass_context
def check(ctx: click.Context, as_json: bool) -> None:
    """Say which store the app has, what that can do, and how it is.

    It takes a key of its own and gives it back. So what its user may not do shows now.

    Exits with 0 if the locks can live there, also where it warns. Exits with 1 if the store gives
    no answer, or refuses. Exits with 2 if there is no store, if a setting is wrong, or if a lock
    needs what the store has not.
    """
    app, given = ctx.obj.app, app_given(ctx)
    with opened(lambda: _open(app, given), app_given=given) as store:
        locks = locks_of(app)
        found: dict[str, Any] = {
            "store": store.url,
            "prefix": locks.settings.key_prefix,
            "features": [each.value for each in Feature if each in store.features],
            "lacks": {each.value: others for each, others in lacks_of(store).items()},
            "tasks": sorted(locks.bound),
        }
        error: StoreError | None = None
        try:
            found |= _look(store, locks)
        except StoreError as refused:
            error = refused
        if as_json:
            said = None if error is None else str(error)
            click.echo(json.dumps(dict.fromkeys(_LOOKED) | found | {"error": said}))
        else:
            click.echo("\n".join(_words(found)))
        try:
            refuse_what_lacks(store, locks.bound)
        except LockConfigurationError:
            if error is not None:
                click.echo(f"Error: {error}", err=True)
            raise
    if error is not None:
        raise NotDone(str(error)) from error


def _open(app: Any, given: bool) -> LockStore:
    if given:
        app.loader.import_default_modules()
        len(app.tasks)  # which binds them
    return locks_of(app).open_store()


_LOOKED = ("version", "latency", "latency_most", "clock_ahead", "warnings", "permissions")
"""What only a store says that answers."""


def _look(store: LockStore, locks: AppLocks) -> dict[str, Any]:
    """Return how the store is. Raises `StoreError`."""
    warnings = [*store.check(), *done_less_well(store, locks.bound)]
    took = [_took(store) for _ in range(_CALLS)]
    version: Any = getattr(store, "version", str)
    return {
        "version": version() or None,
        "latency": median(took),
        "latency_most": max(took),
        "clock_ahead": _ahead(store),
        "warnings": warnings,
        "permissions": getattr(store, "permissions", None),
    }


def _took(store: LockStore) -> float:
    began = time.perf_counter()
    store.peek(_KEY)
    return time.perf_counter() - began


class _Ahead(NamedTuple):
    seconds: float
    within: float


def _ahead(store: LockStore) -> float | None:
    """Return how far the store's clock is ahead of this machine's; `None`: it has none to ask."""
    if not {Feature.CLOCK, Feature.RECORDS} <= store.features:
        return None
    asked = []
    for _ in range(5):
        sent = time.time()
        _, now = store.records(_KEY, [_KEY])
        came = time.time()
        asked.append(_Ahead(now - (sent + came) / 2, came - sent))
    return min(asked, key=lambda one: one.within).seconds  # the quickest answer knows it best


def _words(found: dict[str, Any]) -> list[str]:
    rows = [
        ("store", f"{found['store']}, lock_key_prefix {found['prefix']!r}"),
        ("version", found.get("version")),
        ("features", ", ".join(found["features"]) or "none"),
        *(("lacks", _lacked(*each)) for each in found["lacks"].items()),
        ("tasks", f"{len(found['tasks'])} with a lock"),
    ]
    if "latency" in found:
        least, most = found["latency"] * 1000, found["latency_most"] * 1000
        rows.append(("latency", f"{least:.2f} ms, the slowest of {_CALLS} calls {most:.2f} ms"))
        rows.append(("clock", _clock(found["clock_ahead"])))
        rows.append(("rights", found["permissions"]))
        rows += [("warning", said) for said in found["warnings"]]
    return [f"{name:<9} {value}" for name, value in rows if value]


def _lacked(name: str, others: tuple[str, ...]) -> str:
    return f"{name}, which these have: {', '.join(others)}" if others else name


def _clock(ahead: float | None) -> str:
    if ahead is None:
        return "the store has none to ask"
    which = "ahead of" if ahead >= 0 else "behind"
    return f"the store's is {abs(ahead) * 1000:.1f} ms {which} this machine's"
