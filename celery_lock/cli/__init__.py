"""`celery -A app lock`: see who holds a key, and free one that is stuck."""

from .commands import lock, release, show

__all__ = ["lock", "release", "show"]
