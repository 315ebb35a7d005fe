"""What a key shows of a message's headers and of its queue.

A tool may put headers a second time into an inner dict, `headers`, since Celery shows a task those
alone where there are any (celery#4875). They are the message's own as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import LockError, did_you_mean
from .json_form import json_form, text_of
from .message_context import MessageContext, NotInMessage

__all__ = ["queue_of", "sender_reader"]

_INNER, _STAMPS = "headers", "stamps"
_MOST_NAMES = 20  # in a message

_CELERYS = {
    *("lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries"),
    *("timelimit", "root_id", "parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result"),
    *("replaced_task_nesting", "stamped_headers", "stamps", "celery_lock", "meth", _INNER),
}
"""What Celery and we write; the names of all others are shown in an error."""


def sender_reader(
    place: str, path: Sequence[str], default: str | None
) -> Callable[[MessageContext], str]:
    """Return what reads a header of a message: the text of its value.

    `None` and an empty text say nothing: such a header is as if it were not there. Then the run
    before counts, whose retry the message is, and then `default`.

    The reader raises `NotInMessage` where none of them says anything, and `LockError` for a value
    that cannot be used.
    """

    def read(context: MessageContext) -> str:
        text = _text_in(context.headers, path) or context.shown.get(place)
        if text is None and not _is_near(context.headers, path[0]):
            text = default  # not for the sake of a wrong letter: all would share it
        if text is None:
            raise NotInMessage(_missing(context.headers, path))
        return text

    return read


def queue_of(context: MessageContext) -> str:
    """Return the name of the queue of a message; a retry's is that of the first run.

    Raises `NotInMessage` where nobody knows it.
    """
    queue = context.shown.get("queue") or context.queue
    if not queue:
        raise NotInMessage(
            "it is not known which queue the message is in: its exchange leads to several, or to"
            " none that the app has, as that of a broadcast does; send it with queue=..., or leave"
            " {queue} out"
        )
    return queue


def _text_in(headers: Mapping[str, Any], path: Sequence[str]) -> str | None:
    outer, inner = _text(headers, path), _text(headers.get(_INNER), path)
    if outer and inner and outer != inner:
        raise LockError(
            f"the message has the header {_written(path)} twice, once in an inner dict 'headers',"
            " and they differ: nobody can say which one counts; send it once"
        )
    return outer or inner


def _text(headers: Any, path: Sequence[str]) -> str | None:
    """Return the text of what stands there in its JSON form; `None`: nothing does."""
    if not isinstance(headers, Mapping):
        return None
    value = headers.get(path[0])
    try:
        form = json_form(value)
    except Exception as exc:  # the text of this exception may hold the value
        raise LockError(
            f"the header {_written(path)} of the message ({type(value).__name__}) has no JSON form,"
            f" which the key needs: {type(exc).__name__}; send a text"
        ) from exc
    for step in path[1:]:
        form = _item(form, step, path)
    if path[0] == _STAMPS and isinstance(form, list) and len(form) == 1:
        form = form[0]  # Celery makes a list of a stamp wherever it adds to it, and in eager mode
    return None if form is None else text_of(form) or None


def _item(form: Any, step: str, path: Sequence[str]) -> Any:
    if form is None:
        return None
    if isinstance(form, dict):
        return form.get(step)
    if isinstance(form, (list, tuple)):
        return form[int(step)] if step.isdecimal() and int(step) < len(form) else None
    raise LockError(
        f"the header {path[0]!r} of the message is a {type(form).__name__}, which has no item"
        f" {step!r}"
    )


def _names(headers: Mapping[str, Any]) -> set[str]:
    """Return the names of all headers, inner ones too."""
    inner = headers.get(_INNER)
    return {str(name) for name in (*headers, *(inner if isinstance(inner, Mapping) else ()))}


def _is_near(headers: Mapping[str, Any], name: str) -> bool:
    """There is a header whose name has the same letters in another case, or such a stamp."""
    names, letters = _names(headers) - {name}, name.lower()
    return any(each.lower() == letters for each in (*names, *_stamps(headers)))


def _stamps(headers: Mapping[str, Any]) -> list[str]:
    stamps = headers.get(_STAMPS)
    return [str(name) for name in stamps] if isinstance(stamps, Mapping) else []


def _missing(headers: Mapping[str, Any], path: Sequence[str]) -> str:
    names = _names(headers) - _CELERYS
    shown = sorted(names)
    name = _written(path)
    said = f"the message has no header {name}" + (did_you_mean(path[0], shown) if shown else "")
    if path[0] in names:
        said = f"the header {name} of the message is empty, or not there"
    elif shown:
        more = ", ..." if len(shown) > _MOST_NAMES else ""
        said += f"; it has {', '.join(map(repr, shown[:_MOST_NAMES]))}{more}"
    if path[0] in _stamps(headers):
        return f"{said}; it is a stamp, so write {{header[stamps][{path[0]}]}}"
    field = "".join(f"[{step}]" for step in path)
    return (
        f"{said}; send it, as in apply_async(..., headers={{{path[0]!r}: ...}}), or write a default"
        f" for a key that the worker takes: {{header{field}|public}}"
    )


def _written(path: Sequence[str]) -> str:
    return repr(path[0]) + "".join(f"[{step}]" for step in path[1:])
