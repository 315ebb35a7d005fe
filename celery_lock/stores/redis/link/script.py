"""A Lua script, ready to be sent: by its digest, or in full to a server that lacks it."""

from __future__ import annotations

import hashlib

from .resp import pack

__all__ = ["Script"]


class Script:
    """One Lua script."""

    __slots__ = ("_by_digest", "_by_text", "_heads", "name")

    def __init__(self, name: str, text: str) -> None:
        digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self.name = name
        self._by_digest = pack("EVALSHA", digest)
        self._by_text = pack("EVAL", text)
        self._heads: dict[tuple[int, int], bytes] = {}

    def call(self, keys: int, operands: int, packed: bytes) -> bytes:
        """Return the command; `packed` holds its keys and then so many other arguments."""
        head = self._heads.get((keys, operands))
        if head is None:
            head = _head(self._by_digest, keys, operands)
            self._heads[keys, operands] = head
        return head + packed

    def call_in_full(self, keys: int, operands: int, packed: bytes) -> bytes:
        """Return the command with the whole text, which the server then remembers."""
        return _head(self._by_text, keys, operands) + packed


def _head(said: bytes, keys: int, operands: int) -> bytes:
    return b"*%d\r\n%b%b" % (3 + keys + operands, said, pack(keys))
