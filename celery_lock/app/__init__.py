"""What the locks of one Celery app share: settings, the store, the engine, the worker's hooks."""
