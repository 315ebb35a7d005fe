"""The settings: celery_lock's are where Celery's are, with the same prefix."""

from __future__ import annotations

import os
from pathlib import Path

from celery_lock import exponential, requeue

BASE_DIR = Path(__file__).resolve().parents[1]

SECRET_KEY = "only for this example"
ALLOWED_HOSTS = ["localhost"]
INSTALLED_APPS = ["accounts"]
ROOT_URLCONF = "shop.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", BASE_DIR / "db.sqlite3"),
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}

CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0")
CELERY_RESULT_BACKEND = os.environ.get("CELERY_RESULT_BACKEND", "redis://localhost:6379/0")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1

CELERY_LOCK_KEY_PREFIX = "shop-locks:"
CELERY_LOCK_TTL = 20
CELERY_LOCK_ON_CONFLICT = requeue(exponential(first=0.05, cap=0.5), max_wait=600)
