"""Tasks that keep meeting the same key, so that their messages are sent again and again."""

from __future__ import annotations

import json
import os
from typing import Any

from celery import Celery
from kombu import Exchange, Queue
from kombu.common import Broadcast

from celery_lock import Lock, LockedTask, constant, requeue

PAUSE = 0.5
KEY = "raw"

SEEN = ("delivery_info", "eta", "expires", "timelimit", "reply_to")
"""What the body returns of its request."""

ORDERS = Exchange("orders", type="direct")
NEWS = Exchange("news", type="topic")
WEATHER = Exchange("weather", type="topic")
EVERYBODY = Exchange("everybody", type="fanout")


TRANSPORT = "RAW_TRANSPORT_OPTIONS"
"""The variable with the broker's transport options, as JSON."""


def make_app(**conf: Any) -> Celery:
    """One app for the worker (by environment) and one for the test that sends."""
    app = Celery("raw", set_as_current=False)
    app.conf.broker_transport_options = json.loads(os.environ.get(TRANSPORT, "{}"))
    app.conf.update(
        accept_content=["json", "pickle", "msgpack"],
        broker_connection_retry_on_startup=True,
        # to read nothing into the order: all that is there is taken at once
        worker_prefetch_multiplier=0,
        task_queues=[
            Queue("raw", Exchange(""), routing_key="raw"),
            Queue("placed", ORDERS, routing_key="placed"),
            Queue("paid", ORDERS, routing_key="paid"),
            Queue("sport", NEWS, routing_key="sport.#"),
            Queue("culture", NEWS, routing_key="culture.#"),
            Queue("rain", WEATHER, routing_key="*.rain"),
            Queue("all-weather", WEATHER, routing_key="#"),
            Broadcast(queue="everybody", exchange=EVERYBODY),
        ],
        task_default_queue="raw",
        **conf,
    )

    @app.task(
        bind=True,
        shared=False,
        base=LockedTask,
        name="raw.record",
        lock=Lock(KEY, on_conflict=requeue(constant(PAUSE))),
    )
    def record(self: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """What has arrived in the body."""
        seen = {name: getattr(self.request, name) for name in SEEN}
        return [repr(args), repr(kwargs), self.request.retries, seen]

    @app.task(name="raw.plain", shared=False)
    def plain(*args: Any) -> str:
        return repr(args)

    return app


app = make_app()
