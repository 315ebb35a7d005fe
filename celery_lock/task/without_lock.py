"""A call with `lock=None`: this one run goes without the lock of its task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..message import headers_in
from ..message.carried import is_of_another, put, written_in
from ..message.header import VERSION

__all__ = ["is_without_lock", "without_lock"]


def without_lock(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a call that says `lock=None`, with that in the message's header."""
    said = {name: value for name, value in options.items() if name != "lock"}
    headers = dict(headers_in(said))
    written = {"v": VERSION, "unlocked": True}
    for each in written_in(headers):
        if isinstance(each, Mapping) and not is_of_another(each, str(said.get("task_id"))):
            written = {**each, **written}
            break
    put(headers, written)
    return {**said, "headers": headers}


def is_without_lock(options: Mapping[str, Any]) -> bool:
    """Whether a call says, or has in its header, that it goes without the lock of its task.

    The header is that of a call in another language, or of a run whose retry this is.
    """
    if "lock" in options:
        return options["lock"] is None
    return any(
        isinstance(each, Mapping)
        and each.get("unlocked") is True
        and not is_of_another(each, str(options.get("task_id")))
        for each in written_in(headers_in(options))
    )
