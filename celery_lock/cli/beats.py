"""`celery -A app lock beat`: what the beats of an app have done, and what they are at."""

from __future__ import annotations

import json
from typing import Any

import click

from ..app.locks import locks_of
from ..beat.begin import space_of, store_for_ticks
from ..errors import did_you_mean
from ..events.plain_text import plain
from ..model import RecordStore
from .commands import app_given, lock
from .entry_words import block, entry_fields, table
from .opening import Wrong, opened
from .seen_entries import SeenEntry, declared_entries, read_entries

__all__ = ["beat"]


@lock.command()
@click.argument("entry", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of words.")
@click.pass_context
def beat(ctx: click.Context, entry: str | None, as_json: bool) -> None:
    """Say what the beats of celery_lock.beat have run last, and what they run next.

    Shows all entries that they have in the store and all of beat_schedule, or ENTRY alone.
    Changes nothing. Exits with 0, with 1 if the store gives no answer, with 2 if there is no
    store that keeps records, or no such entry.
    """
    app = ctx.obj.app
    with opened(lambda: store_for_ticks(app), app_given=app_given(ctx)) as store:
        found = _all(app, store) if entry is None else [_one(app, store, entry)]
        where = f"{store.url}, lock_key_prefix {locks_of(app).settings.key_prefix!r}"
    if as_json:
        click.echo(json.dumps({"app": app.main, "entries": [entry_fields(each) for each in found]}))
        return
    if entry is not None:
        click.echo(block(found[0], app.timezone))
        return
    if not any(each.record for each in found):
        click.echo(
            f"no beat of the app {app.main or ''!r} with a scheduler of celery_lock.beat has run"
            f" yet (in {where})"
        )
    if found:
        click.echo(table(found, app.timezone))


def _all(app: Any, store: RecordStore) -> list[SeenEntry]:
    named = declared_entries(app).keys() | set(store.names(space_of(app)))
    # a record may have ended since it was named
    return [each for each in read_entries(app, store, named) if each.exists]


def _one(app: Any, store: RecordStore, written: str) -> SeenEntry:
    """Return the entry that was meant: as it is named, or as the list of all shows it."""
    (found,) = read_entries(app, store, [written])
    if found.exists:
        return found
    everything = _all(app, store)
    for each in everything:
        if plain(each.name) == written:
            return each
    hint = did_you_mean(written, [each.name for each in everything])
    raise Wrong(
        f"there is no entry {written!r}{hint}: no beat of the app {app.main or ''!r} has read one"
        " of this name, and beat_schedule has none; without a name this shows them all"
    )
