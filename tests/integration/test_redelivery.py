"""A message that is delivered again runs once: its copy waits, takes over, or is let go."""

from __future__ import annotations

import pytest

from tests.faults.redelivery import CASES, Played, Scale, play_rabbit, play_redis
from tests.services import RedisServer, VirtualHost

SCALE = Scale(visibility=2.0, body=5.0)
REDIS = tuple(
    case for case in CASES if case.ends is not None and not case.name.startswith("RabbitMQ")
)
RABBIT = tuple(case for case in CASES if case.name.startswith("RabbitMQ"))


@pytest.fixture(scope="module")
def on_redis(
    module_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Played]:
    folder = tmp_path_factory.mktemp("redelivery")
    return {one.case.name: one for one in play_redis(module_redis, 0, folder, SCALE)}


@pytest.fixture(scope="module")
def on_rabbit(
    module_redis: RedisServer, module_vhost: VirtualHost, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Played]:
    folder = tmp_path_factory.mktemp("redelivery-rabbit")
    played = play_rabbit(module_vhost.server, module_vhost.name, module_redis, 1, folder, SCALE)
    return {one.case.name: one for one in played}


@pytest.mark.parametrize("name", [case.name for case in REDIS])
def test_a_message_that_redis_delivers_again_runs_as_often_as_it_was_sent(
    on_redis: dict[str, Played], name: str
) -> None:
    assert on_redis[name].wrong == (), on_redis[name].runs


@pytest.mark.parametrize("name", [case.name for case in RABBIT])
def test_a_message_that_rabbitmq_delivers_again_runs_once(
    on_rabbit: dict[str, Played], name: str
) -> None:
    assert on_rabbit[name].wrong == (), on_rabbit[name].runs
