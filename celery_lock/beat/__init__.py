"""Several beats, all live: every tick of a schedule is published once, whichever beat does it."""

from typing import TYPE_CHECKING, Any

from .mixin import LockedSchedulerMixin
from .scheduler import LockedScheduler

if TYPE_CHECKING:
    from .database import LockedDatabaseScheduler

__all__ = ["LockedDatabaseScheduler", "LockedScheduler", "LockedSchedulerMixin"]


def __getattr__(name: str) -> Any:
    """Import the scheduler over django-celery-beat only where it is asked for."""
    if name != "LockedDatabaseScheduler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ..errors import LockConfigurationError

    try:
        from .database import LockedDatabaseScheduler
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("django_celery_beat", "django"):
            raise
        raise LockConfigurationError(
            "LockedDatabaseScheduler needs the package django-celery-beat, which is not"
            " installed: pip install django-celery-beat"
        ) from error
    return LockedDatabaseScheduler
