"""What the shop keeps."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class Account(models.Model):
    """The points of one user."""

    user: ClassVar = models.CharField(max_length=40, unique=True)
    points: ClassVar = models.IntegerField(default=0)
