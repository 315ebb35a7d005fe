"""A Django project: settings under a namespace, shared tasks, sending on commit, a real worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.house import ROOT
from tests.services.fixtures import WorkerFactory

PROJECT = "tests.integration.django_project"


@pytest.fixture
def env(redis_url: str, tmp_path: Path) -> dict[str, str]:
    """What the project's settings read."""
    return {
        "DJANGO_SETTINGS_MODULE": f"{PROJECT}.settings",
        "TEST_DATABASE": str(tmp_path / "shop.sqlite3"),
        "TEST_REDIS": redis_url,
        "PYTHONPATH": str(ROOT),
    }


def run(words: Sequence[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Let a Python of the project do something, in a process of its own."""
    done = subprocess.run(
        [sys.executable, *words],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done


def play(part: str, env: dict[str, str]) -> dict[str, Any]:
    """Let the project's publisher do something."""
    done = run(["-W", "error::UserWarning", "-m", f"{PROJECT}.publisher", part], env)
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def test_a_task_is_sent_when_its_transaction_is_committed_and_runs_with_its_lock(
    env: dict[str, str], worker_factory: WorkerFactory
) -> None:
    assert play("make", env) == {"points": 0}

    # who only sends needs no lock store
    nowhere = {**env, "TEST_STORE": "redis://127.0.0.1:1/0"}
    assert play("commit", nowhere) == {"before": 0, "after": 2}
    assert play("rollback", env) == {"after": 2, "points": 100}

    worker = worker_factory(f"{PROJECT}.celery", env=env, concurrency=3)
    done = play("charges", env)

    assert done["points"] == 100 + 5 + 7 + 10, worker.logs()
    for seen in done["seen"]:
        assert seen["key"] == "user:point:ada"
        assert 5 < seen["remaining"] <= 7, "the ttl of CELERY_LOCK_TTL"
    assert "LOCK_OUT_AFTER" not in worker.logs()


def test_a_misspelt_setting_stops_the_worker_and_is_named_as_it_was_written(
    env: dict[str, str], worker_factory: WorkerFactory
) -> None:
    worker = worker_factory(
        f"{PROJECT}.celery",
        ready=False,
        pool="solo",
        env={**env, "TEST_MISSPELT": "CELERY_LOCK_STORE_DEADLIN"},
    )

    assert worker.process.wait(30) != 0

    assert (
        "there is no setting CELERY_LOCK_STORE_DEADLIN"
        " (did you mean 'CELERY_LOCK_STORE_DEADLINE'?); there are"
    ) in worker.logs()
    assert "CELERY_LOCK_KEY_PREFIX" in worker.logs(), "all that there are"


def test_a_setting_that_is_nothing_like_ours_is_named_in_a_warning(
    env: dict[str, str], worker_factory: WorkerFactory
) -> None:
    worker = worker_factory(
        f"{PROJECT}.celery", pool="solo", env={**env, "TEST_MISSPELT": "CELERY_LOCK_WEIRD_NAME"}
    )

    assert "celery_lock has no setting CELERY_LOCK_WEIRD_NAME" in worker.logs()


def test_the_commands_know_the_tasks_of_the_project(env: dict[str, str]) -> None:
    def type_in(*words: str) -> str:
        done = run(["-m", "celery", "-A", f"{PROJECT}.celery", "lock", *words], env)
        return done.stdout + done.stderr

    found = json.loads(type_in("check", "--json"))

    assert f"{PROJECT}.shop.tasks.charge" in found["tasks"]
    assert "no app was given" not in type_in("show", f"{PROJECT}.shop.tasks.charge")
