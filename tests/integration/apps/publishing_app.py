"""Tasks whose lease the publisher takes."""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery

from celery_lock import Lock, LockedTask, Scope

STORE = "TEST_STORE"


def make_app(**conf: Any) -> Celery:
    """One app for the worker (by environment) and one for the test that sends."""
    app = Celery("publishing", set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_transport_options={"confirm_publish": True},
        **{"lock_store": os.environ.get(STORE), **conf},
    )

    def locked(scope: Scope, **options: Any) -> Any:
        lock = Lock(scope.value + ":{n}", scope=scope)
        return app.task(
            shared=False, base=LockedTask, name=f"publishing.{scope.value}", lock=lock, **options
        )

    @locked(Scope.UNTIL_FINISHED, bind=True, max_retries=1)  # type: ignore[untyped-decorator]
    def until_finished(self: Any, n: str, seconds: float = 0.0, retries: int = 0) -> list[Any]:
        time.sleep(seconds)
        if self.request.retries < retries:
            raise self.retry(countdown=0.5)
        return [n, self.request.id]

    @locked(Scope.UNTIL_STARTED, bind=True)  # type: ignore[untyped-decorator]
    def until_started(self: Any, n: str, seconds: float = 0.0) -> list[Any]:
        time.sleep(seconds)
        return [n, self.request.id]

    @app.task(shared=False, name="publishing.listed")
    def listed(results: Any) -> Any:
        return results

    return app


app = make_app()
