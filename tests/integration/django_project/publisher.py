"""What a view does: changes data, and sends a task when the change is committed.

Prints one line of JSON with the ids of what it has sent.
"""

from __future__ import annotations

import json
import sys

import django

from tests.integration.django_project.celery import app

django.setup()
app.set_default()

from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402

from tests.integration.django_project.shop.models import Account  # noqa: E402
from tests.integration.django_project.shop.tasks import charge  # noqa: E402


def _waiting() -> int:
    with app.connection_for_write() as broker:
        return int(broker.channel().client.llen("celery"))


def make() -> dict[str, object]:
    """A new database with one account."""
    call_command("migrate", verbosity=0, run_syncdb=True)
    Account.objects.create(user="ada")
    return {"points": Account.objects.get(user="ada").points}


def commit() -> dict[str, object]:
    """Send in a transaction that is committed, by both ways."""
    with transaction.atomic():
        Account.objects.filter(user="ada").update(points=100)
        charge.delay_on_commit("ada", 5)
        charge.apply_async_on_commit(("ada",), {"amount": 7})
        before = _waiting()
    return {"before": before, "after": _waiting()}


def rollback() -> dict[str, object]:
    """Send in a transaction that is rolled back."""
    try:
        with transaction.atomic():
            Account.objects.filter(user="ada").update(points=-1)
            charge.delay_on_commit("ada", 1000)
            raise ValueError("no")
    except ValueError:
        pass
    return {"after": _waiting(), "points": Account.objects.get(user="ada").points}


def charges() -> dict[str, object]:
    """Send many at once, and wait for them."""
    results = [charge.delay("ada", 1) for _ in range(10)]
    seen = [result.get(timeout=40) for result in results]
    connection.close()
    return {"points": Account.objects.get(user="ada").points, "seen": seen}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]]()))
