"""One spelling of a value: its JSON form, its text, its digest.

The JSON form is what a message does to a value: written by kombu's encoder, read by kombu's
decoder. So a tuple is a list, an `int` dict key is a `str`, a `str` enum is its value, and what
kombu knows (UUID, datetime, date, time, Decimal, bytes) stays what it is. Doing it twice changes
nothing more, which is why whoever publishes and whoever runs the task agree.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID

from kombu.utils.json import JSONEncoder, object_hook

__all__ = ["SHORT_BITS", "canonical", "digest", "json_form", "text_of"]

_SURROGATE = re.compile("[\ud800-\udfff]")
_UNCHANGED = (bool, float, type(None))
SHORT_BITS = 2048
"""Above this `str()` of an int may be forbidden: `sys.set_int_max_str_digits`."""

_write: Callable[[Any], str] = JSONEncoder().encode
_read: Callable[[str], Any] = json.JSONDecoder(object_hook=object_hook).decode
_write_sorted: Callable[[Any], str] = JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def json_form(value: Any) -> Any:
    """Return `value` as it is after a journey through a JSON message.

    Raises whatever the encoder, the decoder or an object's own `__json__` raises: `TypeError`
    for a type that JSON does not know, `ValueError` for a circle, `RecursionError` for depth.
    """
    kind = type(value)
    if kind in _UNCHANGED:
        return value
    if kind is str and (value.isascii() or not _SURROGATE.search(value)):
        return value  # (two lone surrogates may be one character after the journey)
    if kind is int and value.bit_length() < SHORT_BITS:
        return value
    return _read(_write(value))


def canonical(form: Any) -> str:
    """Return the one JSON text of a JSON form: sorted keys, no spaces, ASCII.

    Different forms have different texts: `1`, `1.0`, `true` and `"1"` are four.
    """
    return _write_sorted(form)


def text_of(form: Any) -> str:
    """Return a JSON form as a key template shows it.

    A `str` is itself, the other scalars are as `str()` has them, dates are in ISO form, bytes
    are their text (base64 where they are no UTF-8), dicts and lists are their canonical JSON.
    """
    return _TEXTS.get(type(form), canonical)(form)


def digest(text: str) -> str:
    """Return 32 hex digits (128 bits) that stand for `text`."""
    # surrogatepass: a lone surrogate is no UTF-8, and must not be a reason to fail here
    data = text.encode("utf-8", "surrogatepass")
    return sha256(data, usedforsecurity=False).hexdigest()[:32]


def _bytes_text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(value).decode("ascii")


_TEXTS: dict[type, Callable[[Any], str]] = {
    **{kind: str for kind in (str, int, bool, float, type(None), Decimal, UUID)},
    **{kind: kind.isoformat for kind in (datetime, date, time)},
    bytes: _bytes_text,
}
