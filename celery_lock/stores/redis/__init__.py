"""Leases on Redis and Valkey."""

from .store import RedisStore, open_redis

__all__ = ["RedisStore", "open_redis"]
