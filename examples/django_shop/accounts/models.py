"""Accounts and charges."""

from __future__ import annotations

from django.db import models


class Account(models.Model):
    """The points of one customer."""

    points = models.IntegerField(default=0)
    token = models.BigIntegerField(default=0)
    """The fencing token of the last lease under which the points were written."""


class Charge(models.Model):
    """So many points to be taken from an account."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE)
    amount = models.PositiveIntegerField()
    done = models.BooleanField(default=False)
