"""The tenants: shops, each with a schema of its own."""

from __future__ import annotations

from django.db import models
from django_tenants.models import DomainMixin, TenantMixin


class Shop(TenantMixin):
    """A tenant."""

    auto_create_schema = False
    name = models.CharField(max_length=100)


class Domain(DomainMixin):
    """Where a tenant is reached, which nobody asks here."""
