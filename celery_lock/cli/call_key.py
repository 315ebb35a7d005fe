"""`celery -A app lock key`: the key of a call, and who has it."""

from __future__ import annotations

import json
from typing import Any

import click
from celery.exceptions import QueueNotFound
from kombu.utils.json import loads

from ..app.locks import locks_of
from ..errors import LockError, did_you_mean
from ..task.call_keys import keys_of_call
from .commands import app_given, lock, said
from .key_words import fields
from .opening import Wrong, opened

__all__ = ["key"]


@lock.command()
@click.argument("task")
@click.option("--args", "-a", default="[]", metavar="JSON", help="Its arguments: '[7]'.")
@click.option("--kwargs", "-k", default="{}", metavar="JSON", help="Those by name: '{\"x\": 1}'.")
@click.option("--headers", default="{}", metavar="JSON", help="What {header[...]} shows of a call.")
@click.option("--queue", "-Q", help="What {queue} shows; without it where the call is routed to.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of words.")
@click.pass_context
def key(  # one parameter for each option of the command
    ctx: click.Context,
    task: str,
    args: str,
    kwargs: str,
    headers: str,
    queue: str | None,
    as_json: bool,
) -> None:
    """Say which key a call of TASK has, and who holds it.

    With several locks it says so of each. The key is written first, on a line of its own. Nothing
    is called, and nothing changes.

    Exits with 0 whether it is held or free, with 1 if the store gives no answer, with 2 if there
    is no such task, no such call or no store.
    """
    app, given = ctx.obj.app, app_given(ctx)
    options: dict[str, Any] = {"headers": _read("--headers", headers, dict)}
    if queue is not None:
        options["queue"] = queue
    called, named = _read("--args", args, list), _read("--kwargs", kwargs, dict)
    try:
        keys = keys_of_call(_task(app, task, given=given), called, named, options)
    except LockError as error:
        raise Wrong(str(error)) from error
    except QueueNotFound as error:
        raise Wrong(f"the call cannot be routed: {error.args[0]}") from error
    if not as_json:
        click.echo("\n".join(keys))
    with opened(lambda: locks_of(app).open_store(), app_given=given) as store:
        held = [store.peek(each) for each in keys]
    if as_json:
        found = [fields(*pair) for pair in zip(keys, held, strict=True)]
        click.echo(json.dumps({"task": task, "keys": found}))
        return
    for each, has in zip(keys, held, strict=True):
        click.echo(said(ctx, store, each, has))


def _read(option: str, text: str, kind: type) -> Any:
    try:
        value = loads(text)
    except ValueError as error:
        raise click.BadParameter(f"it is no JSON: {error}", param_hint=option) from error
    if not isinstance(value, kind):
        what = "a list, as in '[7]'" if kind is list else "an object, as in '{\"user_id\": 7}'"
        raise click.BadParameter(f"{text} is not {what}", param_hint=option)
    return value


def _task(app: Any, name: str, *, given: bool) -> Any:
    if not given:
        raise Wrong("no app was given: write celery -A APP lock key ...")
    app.loader.import_default_modules()
    task = app.tasks.get(name)
    if task is None:
        known = sorted(each for each in app.tasks if not each.startswith("celery."))
        locked = ", ".join(sorted(locks_of(app).bound)) or "none"
        raise Wrong(
            f"there is no task {name!r} in this app{did_you_mean(name, known)}; its tasks with a"
            f" lock: {locked}"
        )
    return task
