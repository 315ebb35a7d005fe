"""What was meant by a key that nobody holds: a name in Redis, a template, a task, a task's id."""

from __future__ import annotations

import re
from typing import Any

from ..app.bound import each_lock
from ..app.locks import locks_of
from ..errors import did_you_mean
from ..events.plain_text import plain

__all__ = ["named_in_redis", "what_was_meant"]

_IN_REDIS = re.compile(r"(?P<prefix>\S*?)(?P<layout>\d+):\{(?P<key>[^{}]+)\}\S*")
"""How Redis names what belongs to a key: prefix, layout, and the key between braces."""
_ESCAPED = {"%25": "%", "%7B": "{", "%7D": "}"}
_FIELD = re.compile(r"\{[^{}]+\}")
_LOG_LINE = re.compile(r"\block (?P<quote>['\"])(?P<key>.+?)(?P=quote) is ")
_TASK_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def named_in_redis(typed: str) -> str | None:
    """Return the key that this is the name of in Redis, or that a line of a log is about."""
    name = _IN_REDIS.fullmatch(typed)
    if name is not None:
        return re.sub("%25|%7B|%7D", lambda one: _ESCAPED[one[0]], name["key"])
    line = _LOG_LINE.search(typed)
    return None if line is None else line["key"]


def what_was_meant(app: Any, typed: str, *, given: bool) -> str | None:
    """Say what was typed instead of a key, and what to type; `None`: it may well be a key.

    `given`: the command line names the app.
    """
    name = _IN_REDIS.fullmatch(typed)
    if name is not None:
        return _of_a_name(app, typed, name)
    if _TASK_ID.fullmatch(typed):
        return (
            f"{typed} looks like the id of a task; give the key of its lock, which the worker's log"
            " shows beside the id"
        )
    if not given:
        return "no app was given, so its tasks are not known; write celery -A APP lock ..."
    return _of_a_task(app, typed)


def _of_a_name(app: Any, typed: str, name: re.Match[str]) -> str:
    said = f"{plain(typed)} is how Redis names the key {named_in_redis(typed)!r}"
    prefix = locks_of(app).settings.key_prefix
    if name["prefix"] != prefix:
        said += (
            f"; its prefix is {name['prefix']!r}, and the lock_key_prefix of this app is"
            f" {prefix!r}, so it may belong to another app"
        )
    return said


def _of_a_task(app: Any, typed: str) -> str | None:
    """Say whose template or name it is. What the app cannot load is not known."""
    try:
        app.loader.import_default_modules()
        tasks = {name: task for name, task in app.tasks.items() if not name.startswith("celery.")}
    except Exception:  # a module of the user's: no reason to show nothing of a key
        tasks = {}
    bound = locks_of(app).bound
    meant = [(name, lock) for name, lock in each_lock(bound) if typed in _spellings(lock)]
    if any(typed == _of_every_call(lock) for _, lock in meant):
        return None
    sharing = sorted({name for name, _ in meant})
    if sharing:
        fields = _FIELD.findall(typed)
        what = f"values in place of {', '.join(fields)}" if fields else "what it makes of one call"
        return (
            f"{typed!r} is the template of the lock of task {', '.join(sharing)}, and no key; give"
            f" the key of one call, with {what}"
        )
    if typed in bound:
        return _of_a_name_of(typed, bound)
    if typed in tasks:
        return f"{typed!r} is the name of a task without a lock"
    if _FIELD.search(typed):
        known = [lock.key.template for _, lock in each_lock(bound)]
        return (
            f"{typed!r} has the form of a template{did_you_mean(typed, known)}; give the key of one"
            " call, with values in place of the fields"
        )
    if "." in typed:
        hint = did_you_mean(typed, tasks)
        return f"no task has this name either{hint}; give the key of a call" if hint else None
    return None


def _spellings(lock: Any) -> set[str]:
    declared = lock.lock.key
    return {lock.key.template} | ({declared} if isinstance(declared, str) else set())


def _of_a_name_of(task: str, bound: Any) -> str:
    templates = " and ".join(repr(lock.key.template) for lock in bound[task])
    return (
        f"{task!r} is the name of a task, whose keys are made by {templates}; give the key of one"
        f" call, which the worker's log shows, and celery -A APP lock key {task} --args '[...]'"
    )


def _of_every_call(lock: Any) -> str | None:
    """Return the key of a task's call without arguments, if it can be called so."""
    try:
        return str(lock.key.render((), {}))
    except Exception:  # a function of the user's may make it
        return None
