"""Leases that are kept for messages in a queue, found by the template of their keys."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click

from ..app.bound import each_lock
from ..app.locks import locks_of
from ..errors import LockConfigurationError, StoreError, StoreUnavailable, did_you_mean, span
from ..events.plain_text import moment, plain
from ..keys import KeysOfTemplate
from ..model import Feature, Held, Holder, LockStore
from ..model.scope import key_of_name
from .key_words import permits_of, retry_of
from .opening import Wrong

__all__ = ["keys_meant", "queued_leases", "shown"]

_MOST = 20  # lines


def keys_meant(app: Any, template: str, *, given: bool) -> KeysOfTemplate:
    """Return the keys that a template makes; a note on stderr says that no task has it.

    `given`: the command line names the app.
    """
    if given:
        with suppress(Exception):  # a module of the user's: no reason to release nothing
            app.loader.import_default_modules()
            len(app.tasks)  # which binds them
    bound = locks_of(app).bound
    for task, lock in each_lock(bound):
        if template == lock.key.template and not isinstance(lock.lock.key, str):
            if lock.lock.key is None:
                return KeysOfTemplate.of_task(task)
            raise Wrong(
                f"the keys of task {task} are made by the function {template}, and have no form by"
                " which they are known; release them one by one: lock release KEY"
            )
    if template in bound:
        known = " or ".join(repr(lock.key.template) for lock in bound[template])
        raise Wrong(f"{template!r} is the name of a task; give the template of its lock, {known}")
    try:
        keys = KeysOfTemplate(template)
    except LockConfigurationError as error:
        raise Wrong(str(error)) from error
    known_templates = {lock.key.template for _, lock in each_lock(bound)}
    if template not in known_templates:
        hint = did_you_mean(template, sorted(known_templates))
        click.echo(f"note: no task of this app has the template {template!r}{hint}", err=True)
    return keys


def queued_leases(store: LockStore, keys: KeysOfTemplate) -> list[Held]:
    """Return who has the leases of these keys that are kept for messages, the oldest first."""
    if Feature.LISTING not in store.features:
        raise Wrong(
            f"the store {store.url} cannot list its keys; release them one by one: lock release KEY"
        )
    names = [name for name in store.keys(keys.beginning) if keys.has(key_of_name(name))]
    permits = [one for held in _read(store, names) for one in permits_of(held)]
    queued = [one for one in permits if one.live and retry_of(one) is not None]
    return sorted(queued, key=lambda one: (one.since, one.key))


def _read(store: LockStore, names: Sequence[str]) -> list[Held]:
    """Return who has these keys. Notes on stderr name those that are not read: another program has
    put something there, or a newer release. Raises `StoreError` where none can be read."""
    found, unread = [], 0
    for name in names:
        try:
            held = store.peek(name)
        except StoreUnavailable:
            raise
        except StoreError as error:
            unread += 1
            if unread == len(names):
                raise
            click.echo(f"note: {plain(key_of_name(name))!r} is left out: {error}", err=True)
        else:
            if held is not None:
                found.append(held)
    return found


def shown(found: list[Held], keys: KeysOfTemplate) -> str:
    """Say what was found, a line each."""
    many = len(found) > 1
    head = (
        f"{len(found)} leases of {keys.template!r} are kept for messages that nobody runs:"
        if many
        else f"1 lease of {keys.template!r} is kept for a message that nobody runs:"
    )
    lines = [
        f"  {plain(one.key)}  task {plain(Holder.parse(one.holder).task_id)},"
        f" since {moment(one.since)}, {span(max(0.0, one.now - one.since))} ago"
        for one in found[:_MOST]
    ]
    if len(found) > _MOST:
        lines.append(f"  and {len(found) - _MOST} more")
    return "\n".join([head, *lines])
