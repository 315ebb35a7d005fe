"""What a field of the header declares: what it survives, and which values it may have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import field
from enum import Flag, auto
from typing import Any

from ..errors import LockError
from .times import moment_of, read_moment

__all__ = [
    "HEADER",
    "INNER",
    "Survives",
    "carried",
    "count",
    "flag",
    "is_of_another",
    "leased",
    "met",
    "moment",
    "name_its_task",
    "one_of",
    "put",
    "seconds",
    "switch",
    "text",
    "texts",
    "texts_by_name",
    "tick",
    "written_in",
]

HEADER = "celery_lock"
INNER = "headers"
"""Where tools put headers a second time, since Celery shows a task those alone where there are any
(celery#4875). A message of Celery's protocol 1 arrives in this form too."""

Reader = Callable[[str, Any], Any]
"""Returns the value of a field, given its name and what was sent; `LockError` refuses that."""


class Survives(Flag):
    """What a message goes through on its way, and a field of its header comes out of."""

    MESSAGE = auto()
    """It is the same message: a broker delivers it again, or we send it again."""
    ANEW = auto()
    """Celery publishes its task anew, with the same id: a retry, or a replacement (`replace`)."""
    ANEW_IF_GIVEN = auto()
    """The same, but only where the message's sender named the key."""
    TICK = auto()
    """The scheduler publishes one more tick with the header that the entry's author wrote."""


def carried(
    default: Any = None,
    *,
    survives: Survives,
    read: Reader | None = None,
    make: Callable[[], Any] | None = None,
) -> Any:
    """Declare a field of the header.

    Args:
        default: its value where a message does not have it.
        survives: what it comes through; nothing else.
        read: returns its value. `None`: no message has a field of this name.
        make: makes the default, where that is not to be shared.
    """
    metadata = {"survives": survives, "read": read}
    if make is not None:
        return field(default_factory=make, metadata=metadata)
    return field(default=default, metadata=metadata)


def written_in(headers: Mapping[str, Any]) -> list[Any]:
    """Return the headers of ours that a message has, the outer one first; read they are not."""
    inner = headers.get(INNER)
    found = [headers[HEADER]] if HEADER in headers else []
    if isinstance(inner, Mapping) and HEADER in inner:
        found.append(inner[HEADER])
    return found


def is_of_another(written: Any, task_id: str) -> bool:
    """A header names another task: it was carried over, and is nobody's."""
    its = written.get("id") if isinstance(written, Mapping) else None
    return its is not None and its != task_id


def name_its_task(request_dict: dict[str, Any]) -> None:
    """Let the header of a sender that names no task name the one that it came with.

    A body that hands its headers on would else make the sender's key that of another task. The
    message itself is left as it is.
    """
    task_id, outer = request_dict.get("id"), request_dict.get(HEADER)
    if type(outer) is dict and "id" in outer and request_dict.get(INNER) is None:
        return  # the usual message
    for place in (request_dict, request_dict.get(INNER)):
        written = place.get(HEADER) if isinstance(place, Mapping) else None
        if not isinstance(written, Mapping) or "id" in written:
            continue
        if "publication" not in written or "retries" in written:
            named = {**written, "id": task_id}
            if place is request_dict:
                request_dict[HEADER] = named
            else:
                request_dict[INNER] = {**request_dict[INNER], HEADER: named}


def put(headers: MutableMapping[str, Any], written: Mapping[str, Any] | None) -> None:
    """Put our header, in its written form, into a message's headers; `None`: take it out.

    Into the inner ones too where there are any: Celery copies those alone into a retry.
    """
    inner = headers.get(INNER)
    if written is not None:
        headers[HEADER] = written
        if isinstance(inner, Mapping):  # a new dict: it may be its caller's own
            headers[INNER] = {**inner, HEADER: written}
        return
    headers.pop(HEADER, None)
    if isinstance(inner, Mapping) and HEADER in inner:
        headers[INNER] = {name: value for name, value in inner.items() if name != HEADER}


# -- what may be sent ------------------------------------------------------------------------


def text(name: str, value: Any) -> str:
    """Return a text that says something."""
    said: str = _checked(name, value, str, "str")
    return said


def texts(name: str, value: Any) -> list[str]:
    """Return a list of texts that each say something."""
    if isinstance(value, (list, tuple)) and value:
        return [text(name, each) for each in value]
    raise LockError(
        f"the field {name!r} of the message header {HEADER} is {value!r}, which is no list of"
        " str; send one for each lock of the task, or leave it out"
    )


def texts_by_name(name: str, value: Any) -> dict[str, str]:
    """Return a dict of texts that each say something."""
    if isinstance(value, Mapping):
        return {str(each): text(name, said) for each, said in value.items()}
    raise LockError(
        f"the field {name!r} of the message header {HEADER} is {value!r}, which is no dict of str;"
        " leave it out"
    )


def one_of(*words: str) -> Reader:
    """Return what reads one of these words."""

    def read(name: str, value: Any) -> str:
        if value in words:
            return str(value)
        raise LockError(
            f"the field {name!r} of the message header {HEADER} is {value!r}, which is none of"
            f" {', '.join(map(repr, words))}; leave it out"
        )

    return read


def leased(name: str, value: Any) -> dict[str, Any]:
    """Return the lease of a publisher: its names in the store, and the store's random id."""
    if isinstance(value, Mapping) and isinstance(value.get("store"), str):
        return {**value, "names": texts(name, value.get("names"))}
    raise LockError(
        f"the field {name!r} of the message header {HEADER} is {value!r}, which is no lease of a"
        " publisher; leave it out"
    )


def met(name: str, value: Any) -> dict[str, Any]:
    """Return whom a publisher has met, under which key, and for how long that was taken."""
    if isinstance(value, Mapping):
        left = seconds("expires_in", value.get("expires_in", 0.0))
        key, by = text("key", value.get("key")), text("by", value.get("by"))
        return {**value, "key": key, "by": by, "expires_in": left}
    raise LockError(
        f"the field {name!r} of the message header {HEADER} is {value!r}, which names nobody that"
        " was met; leave it out"
    )


def count(name: str, value: Any) -> int:
    """Return a whole number."""
    number: int = _checked(name, value, int, "int")
    return number


def seconds(name: str, value: Any) -> float:
    """Return a number."""
    number: float = _checked(name, value, (int, float), "number")
    return number


def flag(name: str, value: Any) -> bool:
    """Return whether it is set; what is neither true nor false is not."""
    return value is True


def switch(name: str, value: Any) -> bool:
    """Return what a sender has set: true or false, and nothing else."""
    if isinstance(value, bool):
        return value
    raise LockError(
        f"the field {name!r} of the message header {HEADER} is {value!r}; send true or leave it out"
    )


def moment(name: str, value: Any) -> float:
    """Return a time, in seconds since 1970."""
    number = seconds(name, value)
    if moment_of(number) is not None:
        return number
    raise LockError(
        f"the field {name!r} of the message header {HEADER} is {number!r}, which is no"
        " time; send seconds since 1970 or leave it out"
    )


def tick(name: str, value: Any) -> dict[str, Any]:
    """Return a tick of a schedule: an entry's name, and when it was due."""
    if isinstance(value, Mapping):
        entry, due = value.get("entry"), value.get("due")
        if isinstance(entry, str) and read_moment(due) is not None:  # a name may be empty
            return dict(value)
    raise LockError(
        f"the field {name!r} of the message header {HEADER} is {value!r}, which is no tick; send"
        ' {"entry": "...", "due": "2026-11-23T14:00:00+00:00"} or leave it out'
    )


def _checked(name: str, value: Any, type_: Any, called: str) -> Any:
    if isinstance(value, type_) and not isinstance(value, bool) and value != "":
        return value
    is_ = "is empty" if value == "" else f"is {value!r}"
    raise LockError(
        f"the field {name!r} of the message header {HEADER} {is_},"
        f" which is no {called}; send it right or leave it out"
    )
