"""A Django project with a schema for each tenant."""

from __future__ import annotations

import os

SECRET_KEY = "not one"  # of a test
INSTALLED_APPS = ["django.contrib.contenttypes", "django_tenants", "tests.beside.tenants"]
TENANT_MODEL = "tenants.Shop"
TENANT_DOMAIN_MODEL = "tenants.Domain"
SHARED_APPS, TENANT_APPS = INSTALLED_APPS, INSTALLED_APPS[2:]
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
DATABASES = {
    "default": {
        "ENGINE": "django_tenants.postgresql_backend",
        "HOST": "127.0.0.1",
        "PORT": os.environ.get("TEST_POSTGRES_PORT", "0"),
        "USER": "test",
        "NAME": "postgres",
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = True
