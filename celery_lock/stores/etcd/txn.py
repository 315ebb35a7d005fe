"""The words of a transaction: what is compared, and what is read and written then."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .names import after, encoded

__all__ = [
    "RANGE",
    "TXN",
    "delete",
    "delete_range",
    "exists",
    "made_at",
    "missing",
    "nothing_since",
    "put",
    "read",
    "read_range",
    "seen_at",
    "txn",
    "within",
]

RANGE = "/v3/kv/range"
TXN = "/v3/kv/txn"

Words = dict[str, Any]


def txn(compare: Sequence[Words], success: Sequence[Words], failure: Sequence[Words] = ()) -> Words:
    """If all of it is so, do this, else that."""
    return {"compare": list(compare), "success": list(success), "failure": list(failure)}


def within(inner: Words) -> Words:
    """Do a transaction as a part of another one."""
    return {"request_txn": inner}


# -- compared --------------------------------------------------------------------------------


def missing(name: bytes) -> Words:
    """There is no such entry."""
    return made_at(name, 0)


def exists(name: bytes) -> Words:
    """There is such an entry."""
    return _compared(name, "CREATE", "GREATER", "create_revision", 0)


def made_at(name: bytes, revision: int) -> Words:
    """The entry was made at this revision, and not deleted since."""
    return _compared(name, "CREATE", "EQUAL", "create_revision", revision)


def seen_at(name: bytes, revision: int) -> Words:
    """The entry was last written at this revision; 0: there is none."""
    return _compared(name, "MOD", "EQUAL", "mod_revision", revision)


def nothing_since(beginning: bytes, end: bytes, revision: int) -> Words:
    """No entry of a range was written after this revision; 0: there is none."""
    words = _compared(beginning, "MOD", "LESS", "mod_revision", revision + 1)
    return {**words, "range_end": encoded(end)}


def _compared(name: bytes, target: str, result: str, field: str, number: int) -> Words:
    return {"key": encoded(name), "target": target, "result": result, field: str(number)}


# -- done ------------------------------------------------------------------------------------


def put(name: bytes, value: Mapping[str, Any], lease: int) -> Words:
    """Write an entry, which lives as long as the lease."""
    text = json.dumps(value, separators=(",", ":")).encode()
    return {
        "request_put": {"key": encoded(name), "value": encoded(text), "lease": str(lease)},
    }


def delete(name: bytes) -> Words:
    """Delete an entry."""
    return {"request_delete_range": {"key": encoded(name)}}


def delete_range(beginning: bytes) -> Words:
    """Delete all entries that begin so."""
    return {
        "request_delete_range": {"key": encoded(beginning), "range_end": encoded(after(beginning))}
    }


def read(name: bytes, *, without_value: bool = False) -> Words:
    """Read an entry."""
    return {"request_range": {"key": encoded(name), "keys_only": without_value}}


def read_range(beginning: bytes) -> Words:
    """Read all entries that begin so."""
    return {"request_range": {"key": encoded(beginning), "range_end": encoded(after(beginning))}}
