"""What the entries of a stepped store are called: names that any place can keep."""

from __future__ import annotations

import json
import zlib
from hashlib import sha256

__all__ = ["EntryNames"]

LONGEST = 1000
"""Characters of a name at most. A longer one is its digest: an index of a database, or a path,
takes no name of any length."""
SHARDS = 32
"""Over how many entries the names of a space are spread. More makes a change of one record of
thousands cheaper, and the list of all names dearer."""


class EntryNames:
    """The names of all entries that begin with one prefix."""

    def __init__(self, prefix: str, *, longest: int = LONGEST) -> None:
        self._prefix = prefix
        self._longest = longest

    def state(self, key: str) -> str:
        """Name the state of a key."""
        return self._plain(f"lock:{key}")

    def key(self, state: str) -> str | None:
        """Return the key whose state has this name; `None`: it is another entry."""
        beginning = f"{self._prefix}lock:"
        name: str = json.loads(f'"{state}"')
        return name[len(beginning) :] if name.startswith(beginning) else None

    def tombstone(self, key: str, publication: str) -> str:
        """Name the tombstone of a publication."""
        return self._plain(f"tombstone:{len(key)}:{key}:{publication}")

    def record(self, space: str, name: str) -> str:
        """Name a record of a space."""
        return self._plain(f"record:{len(space)}:{space}:{name}")

    def index(self, space: str, name: str) -> str:
        """Name the index of a space that has the name of this record."""
        number = zlib.crc32(name.encode("utf-8", "surrogatepass")) % SHARDS
        return self._plain(f"index:{number}:{space}")

    def indexes(self, space: str) -> list[str]:
        """Name all indexes of a space."""
        return [self._plain(f"index:{number}:{space}") for number in range(SHARDS)]

    def _plain(self, name: str) -> str:
        # ASCII, as JSON has it: a name may hold a NUL, or half a pair of surrogates, and no two
        # that differ become the same
        written = json.dumps(self._prefix + name)[1:-1]
        if len(written) <= self._longest:
            return written
        return f"digest:{sha256(written.encode()).hexdigest()}"
