"""`celery -A app lock`: see who holds a key, free one that is stuck, and see what beats do."""

from .beats import beat
from .commands import lock, release, show

__all__ = ["beat", "lock", "release", "show"]
