"""An app whose tasks have no lock, for `worker_factory`; broker and backend come by environment."""

from __future__ import annotations

from celery import Celery

from tests.integration import plain_tasks

app = Celery("plain")
app.conf.broker_connection_retry_on_startup = True
add_up = app.task(name="add_up")(plain_tasks.add_up.run)
whereabouts = app.task(name="whereabouts")(plain_tasks.whereabouts.run)
sleep_for = app.task(name="sleep_for")(plain_tasks.sleep_for.run)
