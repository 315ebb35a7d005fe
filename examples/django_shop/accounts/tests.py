"""`python manage.py test`: without a server and without a worker."""

from __future__ import annotations

from celery.exceptions import MaxRetriesExceededError
from django.test import TestCase
from shop.celery import app

from celery_lock.testing import memory_locks

from .models import Account, Charge
from .tasks import take_points


class TakePoints(TestCase):
    """The task is applied where it is called, with its locks in memory."""

    def setUp(self) -> None:
        self.account = Account.objects.create(points=100)
        self.charge = Charge.objects.create(account=self.account, amount=30)

    def take(self) -> None:
        with memory_locks(app):
            take_points.apply(args=[self.account.pk, self.charge.pk]).get()

    def points(self) -> int:
        self.account.refresh_from_db()
        return int(self.account.points)

    def test_a_charge_is_taken_once(self) -> None:
        self.take()
        self.take()

        assert self.points() == 70

    def test_a_holder_that_comes_too_late_changes_nothing(self) -> None:
        Account.objects.update(token=2**62)  # a later lease has written

        with self.assertRaises(MaxRetriesExceededError):  # noqa: PT027  (Django's runner)
            self.take()

        self.charge.refresh_from_db()
        assert self.points() == 100
        assert not self.charge.done

    def test_the_key_is_the_accounts(self) -> None:
        with memory_locks(app) as locks:
            assert locks.key_of(take_points, 7, charge_id=1) == "account:7"

    def test_the_view_sends_when_the_charge_is_committed(self) -> None:
        url = f"/accounts/{self.account.pk}/charge"

        with self.captureOnCommitCallbacks() as sent:
            answer = self.client.post(url, {"amount": 5}, headers={"host": "localhost"})

        assert answer.status_code == 202
        assert len(sent) == 1
