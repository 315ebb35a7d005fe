"""The engine: claims, renews and gives back keys; it knows nothing of Celery."""
