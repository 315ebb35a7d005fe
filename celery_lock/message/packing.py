"""A raw message as bytes, for another process or a later release to send.

First the format's number and a line feed, then all but the body as JSON in one line of ASCII, then
the body as it is. What brokers deliver and JSON cannot say (AMQP's tables and kombu's own JSON hold
bytes, times, decimals) is an object with the one field `$`: its kind, and how that is written.
"""

from __future__ import annotations

import json
import math
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from ..errors import LockError
from .raw import RawMessage

__all__ = ["pack", "unpack"]

FORMAT = 1
_PARTS = ("content_type", "content_encoding", "headers", "properties", "queue")
_KIND = "$"

_KINDS: dict[str, tuple[Any, Callable[[Any], str], Callable[[str], Any]]] = {
    "bytes": ((bytes, bytearray, memoryview), lambda v: b64encode(v).decode(), b64decode),
    "datetime": (datetime, datetime.isoformat, datetime.fromisoformat),
    "date": (date, date.isoformat, date.fromisoformat),  # a datetime is one, and was seen above
    "time": (time, time.isoformat, time.fromisoformat),
    "decimal": (Decimal, str, Decimal),
    "uuid": (UUID, str, UUID),
    "float": (float, repr, float),  # JSON has neither NaN nor infinity
}
"""What JSON cannot say, by its kind: the types, how one is written, and how that is read."""


def pack(raw: RawMessage) -> bytes:
    """Return a raw message as bytes, without what brokers wrote into it for one delivery.

    Raises `LockError` for a message that holds what no broker delivers.
    """
    own = raw.of_its_sender()
    is_text = isinstance(own.body, str)
    body = own.body.encode("utf-8", "surrogatepass") if is_text else own.body
    if not isinstance(body, (bytes, bytearray, memoryview)):
        raise LockError(f"the body of the message is {type(body).__name__}, which is no body")
    said = {"text": is_text, **{name: getattr(own, name) for name in _PARTS}}
    return b"%d\n%s\n%s" % (FORMAT, json.dumps(_in_json(said), allow_nan=False).encode(), body)


def unpack(packed: bytes) -> RawMessage:
    """Return the raw message that was packed.

    Raises `LockError` for a format that this release does not know, and for what is none.
    """
    number, _, rest = packed.partition(b"\n")
    if not number.isdigit():
        raise LockError(f"{packed[:20]!r}... is no packed message: it does not begin with a format")
    if int(number) != FORMAT:
        raise LockError(
            f"the packed message has the format {int(number)}, and this release of celery_lock"
            f" reads the format {FORMAT}: the release that has packed it can send it"
        )
    said, _, body = rest.partition(b"\n")
    try:
        read = _of_json(json.loads(said))
        is_text = read["text"]
        return RawMessage(
            body.decode("utf-8", "surrogatepass") if is_text else body,
            **{name: read[name] for name in _PARTS},
        )
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise LockError(f"the packed message is broken: {error!r}") from error


def _in_json(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, (list, tuple)):
        return [_in_json(one) for one in value]
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        fields = {name: _in_json(one) for name, one in value.items()}
        return {_KIND: ["dict", fields]} if _KIND in fields else fields
    for kind, (types, write, _) in _KINDS.items():
        if isinstance(value, types):
            return {_KIND: [kind, write(value)]}
    raise LockError(
        f"the message holds {value!r}, of the type {type(value).__name__}, which no broker delivers"
    )


def _of_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_of_json(one) for one in value]
    if not isinstance(value, dict):
        return value
    if _KIND not in value:
        return {name: _of_json(one) for name, one in value.items()}
    kind, written = value[_KIND]
    if kind == "dict":
        return {name: _of_json(one) for name, one in written.items()}
    return _KINDS[kind][2](written)
