"""What a server says of itself (INFO), fact by fact."""

from __future__ import annotations

from .resp import Reply

__all__ = ["facts_in"]


def facts_in(said: Reply | Exception) -> dict[str, str]:
    """Return the facts by their names; none where the server has not told this user."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else ""
    return dict(row.split(":", 1) for row in text.splitlines() if ":" in row)
