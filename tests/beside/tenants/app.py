"""A job for each tenant: with a lock on the tenant's own key, and without a lock."""

from __future__ import annotations

import json
import os
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.beside.tenants.settings")
django.setup()

from django.db import connection  # noqa: E402
from redis import Redis  # noqa: E402
from tenant_schemas_celery.app import CeleryApp  # noqa: E402
from tenant_schemas_celery.scheduler import TenantAwareScheduler  # noqa: E402
from tenant_schemas_celery.task import TenantTask  # noqa: E402

from celery_lock import Lock, LockedTask, constant, requeue  # noqa: E402
from celery_lock.beat import LockedSchedulerMixin  # noqa: E402

URL = os.environ["TEST_REDIS"]
EVERY = 2.0

app = CeleryApp("tenants", broker=URL, backend=URL)
app.conf.update(
    broker_connection_retry_on_startup=True,
    beat_schedule={
        kind: {"task": f"tenants.{kind}", "schedule": EVERY} for kind in ("locked", "plain")
    },
)


class LockedTenantTask(LockedTask, TenantTask):
    """A task of a tenant, with a lock."""


def note(kind: str, task: Any, **more: Any) -> None:
    header = (task.request.headers or {}).get("celery_lock") or {}
    said = {
        "kind": kind,
        "tenant": connection.schema_name,
        "due": header.get("beat", {}).get("due"),
        "id": task.request.id,
        **more,
    }
    with Redis.from_url(URL) as redis:
        redis.rpush("runs", json.dumps(said))


@app.task(
    name="tenants.locked",
    bind=True,
    base=LockedTenantTask,
    lock=Lock(lambda: f"report:{connection.schema_name}", on_conflict=requeue(constant(0.2))),
)
def locked(self: Any) -> None:
    """Runs in its tenant's schema, and holds that tenant's key."""
    note("locked", self, key=self.lease.key)


@app.task(name="tenants.plain", bind=True)
def plain(self: Any) -> None:
    """Runs in its tenant's schema."""
    note("plain", self)


class LockedTenants(LockedSchedulerMixin, TenantAwareScheduler):
    """The package's own scheduler, in several beats."""


class DiesInTheMiddle(LockedTenants):
    """Dies after the second message of a tick."""

    sends = 0

    def apply_async(self, entry: Any, *args: Any, **options: Any) -> Any:
        sent = super().apply_async(entry, *args, **options)
        type(self).sends += 1
        if self.sends == 8:  # of the second tick of one of the two entries
            os._exit(9)
        return sent
