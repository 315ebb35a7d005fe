"""Times as a message carries them: seconds since 1970, or ISO 8601 with an offset."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

__all__ = ["moment_of", "read_moment"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def moment_of(seconds: float) -> datetime | None:
    """Return the time so many seconds after 1970, `None` where there is none (NaN, too late)."""
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return None


def read_moment(written: object) -> datetime | None:
    """Return a time that is written in ISO 8601 with its offset, in UTC; `None` for all else."""
    if not isinstance(written, str):
        return None
    try:
        # `Z` is not read before Python 3.11
        moment = datetime.fromisoformat(
            written.removesuffix("Z") + "+00:00" * written.endswith("Z")
        )
        return None if moment.tzinfo is None else moment.astimezone(timezone.utc)
    except (OverflowError, ValueError):
        return None
