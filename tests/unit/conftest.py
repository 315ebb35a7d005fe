"""What most of the small tests ask for: an engine whose clock they move, and an app that has it."""

from __future__ import annotations

import pytest
from celery import Celery

from .engine import Engine


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def app(engine: Engine) -> Celery:
    return engine.app()
