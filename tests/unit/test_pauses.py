"""How long a message may wait at its broker."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from kombu import Queue

from celery_lock.message import bounded


def app(queue_type: str | None = None, **conf: Any) -> Celery:
    made = Celery("app", broker="memory://", set_as_current=False, changes=conf)
    if queue_type:
        arguments = {"x-queue-type": queue_type}
        made.conf.task_queues = [Queue("plain"), Queue("work", queue_arguments=arguments)]
    return made


@pytest.mark.parametrize(
    ("visibility", "longest"), [(3600, 450.0), (60, 15.0), ("60", 15.0), (3, 0.75), (86400, 450.0)]
)
def test_a_pause_is_a_quarter_of_the_visibility_timeout_at_most(
    visibility: Any, longest: float
) -> None:
    options = {"visibility_timeout": visibility}

    assert bounded(10_000, app(broker_transport_options=options)) == longest


@pytest.mark.parametrize("options", [None, {}, {"visibility_timeout": None}, {"region": "eu"}])
def test_a_broker_that_says_nothing_has_the_usual_one(options: Any) -> None:
    assert bounded(10_000, app(broker_transport_options=options)) == 450


@pytest.mark.parametrize("delay", [0.0, 0.003, 1.0, 14.9])
def test_a_short_pause_is_left_as_it_is(delay: float) -> None:
    assert bounded(delay, app()) == delay


@pytest.mark.parametrize(("delay", "whole"), [(0.003, 1), (1.0, 1), (1.2, 2), (14.9, 15)])
def test_a_quorum_queue_counts_in_whole_seconds(delay: float, whole: int) -> None:
    assert bounded(delay, app("quorum")) == whole


def test_no_pause_is_none_on_a_quorum_queue_too() -> None:
    assert bounded(0.0, app("quorum")) == 0


def test_a_classic_queue_counts_in_fractions() -> None:
    assert bounded(0.003, app("classic")) == 0.003


def test_the_default_type_of_queues_counts_too() -> None:
    assert bounded(0.003, app(task_default_queue_type="quorum")) == 1
