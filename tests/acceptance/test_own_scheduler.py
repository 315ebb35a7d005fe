"""The command of the page by which a scheduler of a user's own is started, typed as it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.blocks import ROOT, blocks_of, commands, python_files, user_environment
from tests.services import RedisServer, wait_for
from tests.services.process import Process

pytestmark = pytest.mark.acceptance

PAGE = ROOT / "docs" / "how-to" / "your-own-scheduler.md"
(COMMAND,) = (line for line in commands(blocks_of(PAGE)) if "schedulers:" in line)


@pytest.fixture
def folder(tmp_path: Path, fresh_redis: RedisServer) -> Path:
    """The files of the page; its broker is the test's, and its interval a second."""
    for file, text in python_files(blocks_of(PAGE)).items():
        own = re.sub(r"redis://localhost:6379/\d", fresh_redis.url, text).replace("30.0", "1.0")
        (tmp_path / file).write_text(own, encoding="utf-8")
    return tmp_path


@pytest.fixture
def typed(folder: Path) -> Iterator[list[Process]]:
    """What was typed; it ends with the test."""
    running: list[Process] = []
    yield running
    for one in running:
        one.kill()


def start(folder: Path, command: str, number: int) -> Process:
    """Type a command; each beat has a schedule file of its own."""
    argv = [*command.split(), f"--schedule={folder}/{number}", "-l", "INFO"]
    log = folder / f"{number}.log"
    beat = Process(argv, cwd=folder, log=log, env=user_environment())
    beat.start()
    return beat


def waiting(server: RedisServer) -> list[dict[str, Any]]:
    """The headers of the messages that wait, the oldest first."""
    with server.client() as client:
        return [json.loads(raw)["headers"] for raw in client.lrange("celery", 0, -1)][::-1]


def test_the_command_on_the_page_starts_a_scheduler_of_ones_own(
    folder: Path, typed: list[Process], fresh_redis: RedisServer
) -> None:
    typed += [start(folder, COMMAND, number) for number in (1, 2)]

    wait_for(lambda: len(waiting(fresh_redis)) >= 3, "three ticks", timeout=30)
    sent = waiting(fresh_redis)

    assert len({headers["id"] for headers in sent}) == len(sent)
    dues = [headers["celery_lock"]["beat"]["due"] for headers in sent]
    assert len(set(dues)) == len(dues), "two beats, and each tick once"


def test_the_tenants_of_the_page_get_a_message_each(
    folder: Path, typed: list[Process], fresh_redis: RedisServer
) -> None:
    command = COMMAND.replace("SharedScheduler", "TenantScheduler")
    typed += [start(folder, command, number) for number in (1, 2)]

    wait_for(lambda: len(waiting(fresh_redis)) >= 4, "two ticks for two tenants", timeout=30)
    sent = waiting(fresh_redis)[:4]

    said = [(headers["celery_lock"]["beat"]["due"], headers["tenant"]) for headers in sent]
    assert len(set(said)) == 4
    assert len({headers["id"] for headers in sent}) == 4
    assert len({headers["celery_lock"]["publication"] for headers in sent}) == 4
