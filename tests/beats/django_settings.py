"""A Django project that has nothing but the tables of django-celery-beat, in one SQLite file."""

from __future__ import annotations

import os

SECRET_KEY = "of tests"
INSTALLED_APPS = ["tests.beats.database.WriteAhead", "django_celery_beat"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("TEST_DATABASE", ":memory:"),
        # a transaction that reads first and is to write then is refused where another one wrote
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
