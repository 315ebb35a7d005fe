"""The project's settings; what a test varies comes from the environment."""

from __future__ import annotations

import os

SECRET_KEY = "only for tests"
USE_TZ = True
INSTALLED_APPS = ["tests.integration.django_project.shop"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["TEST_DATABASE"],
        "OPTIONS": {"timeout": 20},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CELERY_BROKER_URL = os.environ["TEST_REDIS"]
CELERY_RESULT_BACKEND = os.environ["TEST_REDIS"]
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_ACKS_LATE = True

CELERY_LOCK_STORE = os.environ.get("TEST_STORE") or os.environ["TEST_REDIS"]
CELERY_LOCK_TTL = 7
CELERY_LOCK_KEY_PREFIX = "shop:"
# another program's setting, which Celery does not read under a namespace
LOCK_OUT_AFTER = 3

if "TEST_MISSPELT" in os.environ:
    globals()[os.environ["TEST_MISSPELT"]] = 5
