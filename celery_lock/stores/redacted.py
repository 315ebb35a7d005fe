"""A URL as it may be shown: without user, password and query."""

from __future__ import annotations

__all__ = ["redacted"]


def redacted(url: str) -> str:
    """Return the scheme and the server of a URL, however odd the rest of it is."""
    scheme, found, rest = url.partition("://")
    if not found:  # no URL: perhaps a name, perhaps a password
        return repr(url) if url.isidentifier() else "a text that is no URL"
    # the last @, since a password may have one that ought to be written %40
    login, _, server = rest.rpartition("@")
    if "?" in login:  # a ? in a password, or an @ in a query: nobody can tell
        return f"{scheme}://..."
    return f"{scheme}://{server.partition('?')[0].partition('#')[0]}"
