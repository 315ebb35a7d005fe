"""`celery -A app lock`: see who holds a key, free one that is stuck, see what beats do."""

from .beats import beat
from .call_key import key
from .check import check
from .commands import lock, release, show

__all__ = ["beat", "check", "key", "lock", "release", "show"]
