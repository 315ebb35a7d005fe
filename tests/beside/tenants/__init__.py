"""tenant-schemas-celery with its own scheduler under the mixin, on a real PostgreSQL."""
