"""A payment provider that takes as long as the story wants: files stand for its network."""

from __future__ import annotations

import os
import time
from pathlib import Path

_PATIENCE = 60.0


class Provider:
    """A folder: `<amount>.asked` holds the process that waits, `<amount>.answered` lets it go."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, amount: int) -> None:
        """Have the money taken: returns when the provider has answered.

        The amount stands for the charge, as an idempotency key does for a real provider: who
        asks again for the same one is answered at once.
        """
        asked = self._file(amount, "asked")
        half = asked.with_suffix(".half")
        half.write_text(str(os.getpid()))
        half.replace(asked)
        deadline = time.monotonic() + _PATIENCE
        while not self._file(amount, "answered").exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the provider has not answered for {_PATIENCE:.0f} s")
            time.sleep(0.01)

    def waiting(self, amount: int) -> int | None:
        """Return the process that waits for this answer, `None` while nobody has asked."""
        asked = self._file(amount, "asked")
        return int(asked.read_text()) if asked.exists() else None

    def answer(self, amount: int) -> None:
        """Answer whoever asks for this amount, now or later."""
        self._file(amount, "answered").touch()

    def forget(self) -> None:
        """Begin anew."""
        for file in (*self._folder.glob("*.asked"), *self._folder.glob("*.answered")):
            file.unlink()

    def _file(self, amount: int, what: str) -> Path:
        return self._folder / f"{amount}.{what}"
