"""`python manage.py rush`: many charges at once through the view, and what is left."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.test import Client

from accounts.models import Account, Charge

ACCOUNTS, CHARGES, POINTS = 2, 30, 1000
PATIENCE = 60.0


class Command(BaseCommand):
    """Needs a running worker."""

    help = "Charges two new accounts 30 times, and waits until the workers are done."

    def handle(self, *args: Any, **options: Any) -> None:
        """Raise `CommandError` if an account is not what it should be."""
        accounts = [Account.objects.create(points=POINTS) for _ in range(ACCOUNTS)]
        browser = Client(headers={"host": "localhost"})
        for number in range(CHARGES):
            account = accounts[number % ACCOUNTS]
            answer = browser.post(f"/accounts/{account.pk}/charge", {"amount": number})
            if answer.status_code != 202:
                raise CommandError(f"the view answered {answer.status_code}")
        self.wait(Charge.objects.filter(account__in=accounts, done=False))
        for account in accounts:
            account.refresh_from_db()
            right = POINTS - sum(charge.amount for charge in account.charge_set.all())
            self.stdout.write(f"account {account.pk}: {account.points} points, expected {right}")
            if account.points != right:
                raise CommandError("points are missing, or too many")

    def wait(self, undone: Any) -> None:
        """Wait until every charge is done."""
        deadline = time.monotonic() + PATIENCE
        while undone.exists():
            if time.monotonic() > deadline:
                raise CommandError(f"{undone.count()} charges are not done: does a worker run?")
            time.sleep(0.1)
