"""The name of an act of publishing, short enough for every store."""

from __future__ import annotations

import hashlib

__all__ = ["LONGEST_NAME", "short"]

LONGEST_NAME = 63
"""Bytes of a name at most. One value of 64 or more turns the hash that Redis has for a key into a
table, which takes twice the memory; a broker's own name may have a thousand."""


def short(publication: str) -> str:
    """Return a publication as it is kept and compared: a long one as its digest."""
    if len(publication) <= LONGEST_NAME and publication.isascii():
        return publication
    written = publication.encode("utf-8", "surrogatepass")
    if len(written) <= LONGEST_NAME:
        return publication
    return hashlib.sha256(written).hexdigest()[:40]
