"""A Lua script, ready to be sent: by its digest, or in full to a server that lacks it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from .resp import Reply, pack

__all__ = ["Script"]


class Script:
    """One Lua script."""

    __slots__ = ("_by_digest", "_by_text", "_heads", "grants", "lasts", "name", "refused")

    def __init__(
        self,
        name: str,
        text: str,
        *,
        lasts: bool = False,
        refused: Callable[[Reply], bool] | None = None,
    ) -> None:
        digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self.name = name
        self.lasts = lasts
        """What it writes must not be forgotten: where replicas are asked for, they have it."""
        self.grants = refused is not None
        """It may give a key: not on a server that may have forgotten who has it."""
        self.refused = refused
        """Whether an answer is that it gave none: nothing was written then that has to last."""
        self._by_digest = pack("", ("EVALSHA", digest), ()).decode()
        self._by_text = pack("", ("EVAL", text), ()).decode()
        self._heads: dict[tuple[int, int], str] = {}

    def call(self, keys: Sequence[str], args: Sequence[str | int]) -> bytes:
        """Return the command that names the script by its digest."""
        count = len(keys), len(args)
        try:
            head = self._heads[count]
        except KeyError:
            head = self._heads[count] = _head(self._by_digest, *count)
        return pack(head, keys, args)

    def call_in_full(self, keys: Sequence[str], args: Sequence[str | int]) -> bytes:
        """Return the command with the whole text, which the server then remembers."""
        return pack(_head(self._by_text, len(keys), len(args)), keys, args)


def _head(said: str, keys: int, args: int) -> str:
    """Return a command's beginning: how many parts it has, the script, how many keys follow."""
    return f"*{3 + keys + args}\r\n{said}${len(str(keys))}\r\n{keys}\r\n"
