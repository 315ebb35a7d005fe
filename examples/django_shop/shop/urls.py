"""The project's URLs."""

from __future__ import annotations

from accounts.views import charge
from django.urls import path

urlpatterns = [path("accounts/<int:account_id>/charge", charge)]
