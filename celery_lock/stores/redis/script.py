"""The Lua scripts, ready to be sent: by their digest, or in full to a server that lacks them."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from .resp import pack

__all__ = ["ACQUIRE", "PEEK", "RELEASE", "RENEW", "UNDO", "Script"]


class Script:
    """The text of one of `stores/lua`."""

    __slots__ = ("_by_digest", "_by_text", "name")

    def __init__(self, name: str, text: bytes) -> None:
        digest = hashlib.sha1(text, usedforsecurity=False).hexdigest()
        self.name = name
        self._by_digest = pack("EVALSHA", digest)
        self._by_text = pack("EVAL", text)

    def call(self, keys: int, operands: int, packed: bytes, *, in_full: bool = False) -> bytes:
        """Return the command; `packed` holds its keys and then so many other arguments."""
        head = self._by_text if in_full else self._by_digest
        return b"*%d\r\n%b%b%b" % (3 + keys + operands, head, pack(keys), packed)


def _read(name: str) -> Script:
    return Script(name, (files("celery_lock.stores") / "lua" / f"{name}.lua").read_bytes())


ACQUIRE = _read("acquire")
RELEASE = _read("release")
RENEW = _read("renew")
UNDO = _read("undo")
PEEK = _read("peek")
