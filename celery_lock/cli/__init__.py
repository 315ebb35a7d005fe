"""`celery -A app lock`: see who holds a key, free one that is stuck, and see what beats do."""

from .beats import beat
from .call_key import key
from .commands import lock, release, show

__all__ = ["beat", "key", "lock", "release", "show"]
