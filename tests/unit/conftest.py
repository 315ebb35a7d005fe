"""What most of the small tests ask for: an engine whose clock they move, and an app that has it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from celery import Celery

from .engine import Engine


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def app(engine: Engine) -> Celery:
    return engine.app()


@pytest.fixture
def no_line_can_be_written() -> Iterator[None]:
    """The logger has a filter that reads what only a web request has, and fails elsewhere."""

    def reads_the_request(record: logging.LogRecord) -> bool:
        raise RuntimeError("working outside of a request")

    logger = logging.getLogger("celery_lock")
    logger.addFilter(reads_the_request)
    yield
    logger.removeFilter(reads_the_request)
