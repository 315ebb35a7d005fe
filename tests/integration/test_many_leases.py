"""Pool processes that are replaced all the time, and hold leases until they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.apps import pool_app
from tests.integration.apps.history import History
from tests.integration.apps.pool_app import TTL
from tests.integration.keys import keys_at
from tests.services import sending
from tests.services.fixtures import WorkerFactory

APP = "tests.integration.apps.pool_app"
QUICK = 30


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history")


def test_each_child_of_one_task_renews_and_gives_back_its_own_lease(
    redis_url: str, worker_factory: WorkerFactory, history: History
) -> None:
    worker = worker_factory(
        APP,
        broker=redis_url,
        backend=redis_url,
        concurrency=4,
        args=["--max-tasks-per-child=1"],
        env=history.env,
    )
    jobs = [f"job {number}" for number in range(8)]
    with (
        sending(pool_app.make_app(broker_url=redis_url, result_backend=redis_url)) as app,
        keys_at(redis_url) as keys,
    ):
        hold = app.tasks["pool.hold"]
        sent = [hold.delay(job, 1.4 * TTL) for job in jobs]
        after = [hold.delay(job, 0.0) for job in jobs]  # at once, though its child is replaced

        first = [result.get(timeout=QUICK) for result in sent]
        second = [result.get(timeout=QUICK) for result in after]

        assert all(mine < yours for mine, yours in zip(first, second, strict=True))
        assert [job for job in jobs if keys.holder(f"hold:{job}")] == []

    assert history.overlaps() == []
    assert not history.lines("lost")
    assert not [line for line in history.lines("end") if line["lost"]]
    for line in history.lines("end"):
        assert line["threads"] == ["celery-lock-clock", "celery-lock-renewal"]
    assert len({line["pid"] for line in history.lines("start")}) == 2 * len(jobs)
    assert len(worker.wait_for_children(4)) == 4
