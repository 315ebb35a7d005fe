"""The group of commands `celery -A app lock`, and the two that are about one key."""

from __future__ import annotations

import getpass
import json
import socket
import sys
from contextlib import AbstractContextManager
from typing import Any

import celery._state
import click
from celery.bin.base import handle_preload_options

from ..app.by_hand import free_by
from ..app.locks import locks_of
from ..model import Held, LockStore, Scope
from ..model.scope import is_queue_place
from .key_words import fields, permit_of, released, retry_of, words
from .meant import named_in_redis, what_was_meant
from .opening import NotDone, Wrong, opened
from .queued import keys_meant, queued_leases, shown
from .typed_key import find, unquoted

__all__ = ["app_given", "lock", "release", "said", "show"]


@click.group(name="lock")
@click.pass_context
@handle_preload_options  # a project may load its settings by an option of its own
def lock(ctx: click.Context, **_: Any) -> None:
    """See who holds a key, free one that is stuck, and see what beats do.

    KEY is written as logs and events show it, such as order:7.
    """


@lock.command()
@click.argument("key")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of words.")
@click.pass_context
def show(ctx: click.Context, key: str, as_json: bool) -> None:
    """Say who holds KEY, where, since when, and when it is free.

    Changes nothing. Exits with 0 whether it is held or free, with 1 if the store gives no
    answer, with 2 if there is no store.
    """
    with _store_of(ctx) as store:
        typed, (key, held) = key, find(store, key)
        _say_whose_place_it_is(store, key, held)
    _say_what_was_meant(ctx, typed, held)
    if as_json:
        click.echo(json.dumps(fields(key, held)))
    else:
        click.echo(said(ctx, store, key, held))


@lock.command()
@click.argument("key", required=False)
@click.option("--slot", type=int, help="Which permit, where several are taken.")
@click.option("--force", is_flag=True, help="Do not ask.")
@click.option("--queued", metavar="TEMPLATE", help="Release what is kept for queued messages.")
@click.pass_context
def release(
    ctx: click.Context, key: str | None, slot: int | None, force: bool, queued: str | None
) -> None:
    """Take KEY away from its holder, and end its at_least.

    This shows the holder, and asks. The next renewal of the holder finds the key taken, so its
    lease is lost within a third of the ttl. The command does not stop its task.

    With --queued it takes no KEY, but the template of a lock, such as 'order:{order_id}'. It
    releases all leases of its keys that are kept for messages, and no lease of a task that runs:
    this is for a queue that was purged.

    Exits with 0 if the key is free now, with 1 if it is not, with 2 if nobody can be asked.
    """
    if (key is None) == (queued is None) or (key is None and slot is not None):
        raise click.UsageError("give KEY, or --queued TEMPLATE alone", ctx)
    if key is None:
        _release_queued(ctx, str(queued), force=force)
        return
    with _store_of(ctx) as store:
        typed, (key, held) = key, find(store, key)
        _say_what_was_meant(ctx, typed, held)
        _say_whose_place_it_is(store, key, held)
        if held is None:
            click.echo(f"lock {key!r} is free already: there is nothing to release")
            return
        click.echo(words(held))
        held = _one_of(held, slot)
        if held is None:
            click.echo(f"slot {slot} of lock {key!r} is free already: there is nothing to release")
            return
        if not force:
            _ask(held)
        # somebody else may have it by now: the key is taken only from the holder that was shown
        ended = free_by(store, held, f"`lock release` ({_operator()})")
        if ended is not None:
            click.echo(released(ended))
            return
        now = store.peek(key)
        if now is not None and slot is not None:
            now = permit_of(now, slot)
        if now is not None:
            raise NotDone(f"nothing was released, the key has changed hands: {words(now)}")
        click.echo(f"lock {key!r} has become free by itself: nothing was released")


def _release_queued(ctx: click.Context, template: str, *, force: bool) -> None:
    keys = keys_meant(ctx.obj.app, template, given=app_given(ctx))
    with _store_of(ctx) as store:
        found = queued_leases(store, keys)
        if not found:
            click.echo(f"no lease of {template!r} is kept for a message: nothing to release")
            return
        click.echo(shown(found, keys))
        if not force:
            _confirm("Release them? A message that is still in a queue comes all the same.")
        # a message may have come for its lease since
        freed = sum(store.free(one.key, one.holder) is not None for one in found)
    click.echo(f"{freed} of {len(found)} released")


def _store_of(ctx: click.Context) -> AbstractContextManager[LockStore]:
    """Give the store of the app's locks."""
    return opened(lambda: locks_of(ctx.obj.app).open_store(), app_given=app_given(ctx))


def said(ctx: click.Context, store: LockStore, key: str, held: Held | None) -> str:
    """Say who has a key, or where it is free."""
    if held is not None:
        return words(held)
    prefix = locks_of(ctx.obj.app).settings.key_prefix
    return f"lock {key!r} is free (in {store.url}, lock_key_prefix {prefix!r})"


def app_given(ctx: click.Context) -> bool:
    """Whether an app was named, by -A or otherwise: Celery makes one of its own if none was.

    An app of a user may be the default one of its process too: that of Django and of Flask is.
    """
    named = ctx.find_root().params.get("app") is not None
    return named or ctx.obj.app is not celery._state.default_app  # type: ignore[attr-defined]


def _say_what_was_meant(ctx: click.Context, typed: str, held: Held | None) -> None:
    """Write a note on stderr if the text that was typed is no key, but says which one is meant."""
    if held is None or typed != held.key:
        note = what_was_meant(ctx.obj.app, unquoted(typed), given=app_given(ctx))
        if note is not None and (held is None or named_in_redis(unquoted(typed))):
            click.echo(f"note: {note}", err=True)


def _say_whose_place_it_is(store: LockStore, key: str, held: Held | None) -> None:
    """Write a note on stderr if nobody runs under the key, and a message waits to."""
    place = Scope.UNTIL_STARTED.name_of(key)
    if held is None and not is_queue_place(key) and store.peek(place) is not None:
        click.echo(
            f"note: nobody runs under this key; a message in a queue has the place {place!r}, which"
            " show and release take too",
            err=True,
        )


def _one_of(held: Held, slot: int | None) -> Held | None:
    """Return the permit that is meant; `None`: nobody has that one."""
    if slot is None:
        if len(held.holders) < 2:
            return held
        raise Wrong(
            f"nothing was released: lock {held.key!r} is taken {len(held.holders)} times; say"
            f" which permit, as in --slot {held.holders[0].slot}"
        )
    return permit_of(held, slot)


def _ask(held: Held) -> None:
    runs = held.live and retry_of(held) is None
    _confirm("Release it, though its body may still run?" if runs else "Release it?")


def _confirm(question: str) -> None:
    if not _can_ask():
        raise Wrong(
            "nothing was released: this asks first, and there is no terminal to ask at."
            " Add --force to release without being asked"
        )
    if not click.confirm(question):
        raise NotDone("nothing was released")


def _operator() -> str:
    """Return who types the command, and where: for the task that loses its lease."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user without a name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


def _can_ask() -> bool:
    return sys.stdin.isatty()
