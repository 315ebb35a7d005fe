"""What `celery -A examples.points_shop.make_celery worker` starts from."""

from __future__ import annotations

from .shop import create_app

flask_app = create_app()
celery_app = flask_app.extensions["celery"]
