"""The Flask application, and its Celery app as Flask's documentation makes it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import Celery
from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

from celery_lock import LockConflict, LockedTask, StoreError

from . import service, tasks


def create_app() -> Flask:
    """Make the application: `flask --app examples.points_shop.shop run`."""
    app = Flask(__name__)
    url = os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0")
    app.config.update(
        BOOKS=Path(os.environ["POINTS_SHOP_BOOKS"]),
        CELERY={"broker_url": url, "result_backend": url, "task_acks_late": True},
    )
    celery_init_app(app)

    @app.post("/users/<int:user_id>/charge")
    def charge(user_id: int) -> ResponseReturnValue:
        return jsonify(left=service.charge(user_id, _amount()))

    @app.post("/users/<int:user_id>/charge-later")
    def charge_later(user_id: int) -> ResponseReturnValue:
        return jsonify(task=tasks.charge_later.delay(user_id, _amount()).id), 202

    @app.post("/unlocked/users/<int:user_id>/charge")
    def charge_without_lock(user_id: int) -> ResponseReturnValue:
        return jsonify(left=service.charge_without_lock(user_id, _amount()))

    @app.post("/unlocked/users/<int:user_id>/charge-later")
    def charge_later_without_lock(user_id: int) -> ResponseReturnValue:
        return jsonify(task=tasks.charge_later_without_lock.delay(user_id, _amount()).id), 202

    @app.errorhandler(LockConflict)
    def busy(error: LockConflict) -> ResponseReturnValue:
        return jsonify(error=str(error)), 409, {"Retry-After": "1"}

    @app.errorhandler(StoreError)
    def out_of_order(error: StoreError) -> ResponseReturnValue:
        return jsonify(error=str(error)), 503, {"Retry-After": "5"}

    return app


def celery_init_app(app: Flask) -> Any:
    """Make the Celery app; of what Flask's documentation shows, one word is another."""

    class FlaskTask(LockedTask):  # type: ignore[type-arg]  # it was Task
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            with app.app_context():
                return super().__call__(*args, **kwargs)

    celery_app = Celery("points_shop", task_cls=FlaskTask)
    celery_app.config_from_object(app.config["CELERY"])
    celery_app.set_default()
    app.extensions["celery"] = celery_app
    return celery_app


def _amount() -> int:
    return int(request.get_json()["amount"])
