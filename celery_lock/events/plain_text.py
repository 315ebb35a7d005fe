"""Times, and what other programs have written, as text for people: on one line, in whole words."""

from __future__ import annotations

from datetime import datetime, timezone, tzinfo

__all__ = ["moment", "plain"]


def moment(seconds: float, zone: tzinfo = timezone.utc) -> str:
    """Write seconds since 1970 as people in a time zone do; what is no moment stays as it is."""
    try:
        at = datetime.fromtimestamp(seconds, timezone.utc).astimezone(zone)
        return f"{at:%Y-%m-%d %H:%M:%S %Z}"
    except (ValueError, OverflowError, OSError):  # another program's: say what is known
        return str(seconds)


def plain(text: str) -> str:
    """Keep what another program wrote on one line, and from moving the cursor."""
    return text if text.isprintable() else repr(text)
