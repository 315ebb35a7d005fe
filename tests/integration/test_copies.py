"""What comes again is dropped where all of its work was told, and runs where it was not."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery, chain

from tests.faults.sweeper import Sweeper
from tests.integration.apps import copies_app
from tests.integration.apps.history import History
from tests.services import Proxy, RedisServer, VirtualHost, Worker, sending, wait_for
from tests.services.waiting import WaitedTooLong

APP = "tests.integration.apps.copies_app"
SHORT = 2.0
"""Seconds after which Redis delivers a message again."""
BUSY = 5.0
"""Seconds for which a worker has no time for what lies prefetched in it."""
TWINS = ("locked", "plain")
ACKS = ("late", "early")
RAISES = "locked watched raises"


def send(
    app: Celery, name: str, job: str, seconds: float = 0.0, *, key: str = "", **options: Any
) -> None:
    app.tasks[f"copies.{name}"].apply_async((job, seconds, key or job), **options)


# -- Redis -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def on_redis(module_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> History:
    folder = tmp_path_factory.mktemp("copies")
    history, url = History(folder / "history"), module_redis.url
    options: dict[str, Any] = {"broker": url, "backend": url}

    def worker(*queues: str, visibility: float, concurrency: int) -> Worker:
        env = {**history.env, copies_app.VISIBILITY: str(visibility)}
        made = Worker(APP, folder, queues=queues, concurrency=concurrency, env=env, **options)
        return made.start(ready=False)

    # one that is busy, one that has hands free, and one that believes in an hour
    busy = worker("busy", "shared", visibility=SHORT, concurrency=1)
    free = worker("free", visibility=SHORT, concurrency=4)
    patient = worker("patient", visibility=3600, concurrency=3)
    workers = (busy, free, patient)
    try:
        for one in workers:
            one.wait_ready()
        made = copies_app.make_app(broker_url=url, result_backend=url)
        made.conf.broker_transport_options["visibility_timeout"] = SHORT
        with sending(made) as app, Sweeper(app):
            send(app, "plain.early", "busy", BUSY, queue="busy")
            history.wait("start", "busy")
            for twin in TWINS:
                for acks in ACKS:
                    send(app, f"{twin}.{acks}", f"{twin} prefetched {acks}", queue="shared")
                    later = SHORT + 2.0
                    name = f"{twin} later {acks}"
                    send(app, f"{twin}.{acks}", name, 0.3, queue="shared", countdown=later)
                send(app, f"{twin}.late", f"{twin} watched", SHORT + 1.5, queue="patient")
                history.wait("start", f"{twin} watched")
            send(app, "locked.raises", RAISES, SHORT + 1.5, queue="patient", task_id=RAISES)
            history.wait("start", RAISES)
            time.sleep(0.5)
            app.control.cancel_consumer("shared", reply=True, destination=[busy.hostname])
            app.control.add_consumer("shared", reply=True, destination=[free.hostname])
            app.control.cancel_consumer("patient", reply=True, destination=[patient.hostname])
            app.control.add_consumer("patient", reply=True, destination=[free.hostname])
            history.wait("end", "busy")
            history.wait("end", "locked watched")
            history.wait("end", RAISES)
            time.sleep(SHORT + 2.0)  # whoever still comes now comes too often
        return history
    finally:
        for one in workers:
            one.process.kill()


@pytest.mark.parametrize("acks", ACKS)
@pytest.mark.parametrize("lay", ["prefetched", "later"])
def test_a_first_delivery_that_comes_after_its_copy_does_not_run(
    on_redis: History, lay: str, acks: str
) -> None:
    assert len(on_redis.lines("start", f"locked {lay} {acks}")) == 1
    plain = len(on_redis.lines("start", f"plain {lay} {acks}"))
    assert plain > 1 or lay == "later"  # whether its copy is here before it is due, nobody knows


def test_a_copy_that_was_met_by_nobody_but_its_own_first_run_does_not_run(
    on_redis: History,
) -> None:
    """Whoever has the first delivery believes that Redis waits for an hour."""
    assert len(on_redis.lines("start", "locked watched")) == 1
    assert len(on_redis.lines("start", "plain watched")) > 1


def test_a_copy_that_does_not_run_leaves_the_result_of_the_first_delivery(
    on_redis: History, module_redis: RedisServer
) -> None:
    """Celery's tracer writes STARTED over it for a copy, which a plain task's next run ends."""
    app = copies_app.make_app(broker_url=module_redis.url, result_backend=module_redis.url)

    assert len(on_redis.lines("start", RAISES)) == 1
    assert app.AsyncResult(RAISES).state == "FAILURE"


def test_what_ended_while_its_worker_stopped_does_not_run_again(
    module_redis: RedisServer, tmp_path: Path
) -> None:
    """The worker is killed before it has acknowledged it, as at the end of a pod's grace."""
    history, url = History(tmp_path / "history"), module_redis.url_for(2)

    def worker(visibility: float) -> Worker:
        env = {**history.env, copies_app.VISIBILITY: str(visibility)}
        options: dict[str, Any] = {"broker": url, "backend": url, "queues": ["leaving"]}
        return Worker(APP, tmp_path, concurrency=2, env=env, **options)

    def is_recorded() -> bool:
        records = client.keys("*:d:*")
        return any(client.hexists(record, "c") for record in records)

    with worker(3600) as leaving, redis.Redis.from_url(url) as client:
        with sending(copies_app.make_app(broker_url=url, result_backend=url)) as app:
            for twin in TWINS:
                send(app, f"{twin}.late", twin, 1.5, queue="leaving")
            for twin in TWINS:
                history.wait("start", twin)
        leaving.kill(signal.SIGTERM)
        leaving.process.wait_for_log("Warm shutdown", 10)
        time.sleep(0.3)  # until the children know: nothing can be seen of that
        leaving.kill(signal.SIGSTOP)
        for twin in TWINS:
            history.wait("end", twin)
        with suppress(WaitedTooLong):
            wait_for(is_recorded, "the completion", timeout=3.0)
        leaving.kill()
        client.delete("unacked_mutex")  # kombu's, which it may have had

        with worker(SHORT):
            history.wait("end", "plain", count=2)
            wait_for(lambda: not client.exists("unacked"), "the acknowledgements")

    assert len(history.lines("start", "locked")) == 1
    assert len(history.lines("start", "plain")) >= 2  # a busy machine may give it out once more


# -- RabbitMQ, with results that no worker can read ------------------------------------------


@pytest.fixture(scope="module")
def on_rabbit(
    module_redis: RedisServer, module_vhost: VirtualHost, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[History]:
    folder = tmp_path_factory.mktemp("copies-rabbit")
    history, server, vhost = History(folder / "history"), module_vhost.server, module_vhost.name
    url = server.url_for(vhost)
    env = {**history.env, copies_app.STORE: module_redis.url_for(1)}

    def worker(
        *queues: str, broker: str = url, env: dict[str, str] = env, **options: Any
    ) -> Worker:
        made = Worker(
            APP, folder, broker=broker, backend="rpc://", queues=queues, env=env, **options
        )
        return made.start(ready=False)

    app = copies_app.make_app(broker_url=url, result_backend="rpc://")
    with app, app.connection_for_write() as connection, Proxy(server.port) as wire:
        copies_app.WORK.bind(connection).declare()
        copies_app.REST.bind(connection).declare()
        near = server.url_for(vhost, port=wire.port)
        cut = worker(
            "cut", broker=near, pool="threads", concurrency=1, args=["--prefetch-multiplier=16"]
        )
        doomed = worker("doomed", pool="solo", env={**env, copies_app.DOOMED: "1"})
        free = worker("work", "free", concurrency=6)
        workers = (cut, doomed, free)
        try:
            for one in workers:
                one.wait_ready()
            first = app.tasks["copies.locked.first"].si("first", 0.0, "first")
            chain(first, app.tasks["copies.next"].si("second").set(queue="free")).apply_async(
                queue="doomed"
            )
            send(app, "plain.late", "busy", 3.0, queue="cut")
            for twin in TWINS:
                for acks in (*ACKS, *ACKS):
                    send(app, f"{twin}.{acks}", f"{twin} cut {acks}", queue="cut")
            history.wait("start", "busy")
            for twin in TWINS:
                for name in ("rejects", "fails"):
                    job = f"{twin} {name}"
                    send(app, f"{twin}.late", f"before {job}", 0.7, key=job, queue="free")
                    history.wait("start", f"before {job}")
                    send(app, f"{twin}.{name}", job, 0.2, queue="work")  # meets that one
                for _ in range(3):
                    send(app, f"{twin}.late", f"{twin} equal", 0.3, queue="free", task_id=twin)
            doomed.process.wait(10)
            wait_for(lambda: history.lines("start", "first"), "the chain's first step")
            app.control.add_consumer("doomed", reply=True, destination=[free.hostname])
            app.control.add_consumer("cut", reply=True, destination=[free.hostname])
            wire.cut()
            history.wait("end", "busy", count=2)
            time.sleep(2.0)
            with suppress(WaitedTooLong):
                history.wait("end", "second")
            yield history
        finally:
            for one in workers:
                one.process.kill()


def test_a_chain_goes_on_whose_worker_died_before_it_had_sent_the_next_step(
    on_rabbit: History,
) -> None:
    assert len(on_rabbit.lines("start", "first")) == 2
    assert len(on_rabbit.lines("start", "second")) == 1


@pytest.mark.parametrize("body", ["rejects", "fails"])
def test_a_message_that_comes_back_from_where_it_was_rejected_to_runs_again(
    on_rabbit: History, body: str
) -> None:
    assert len(on_rabbit.lines("start", f"locked {body}")) == 2
    assert len(on_rabbit.lines("start", f"plain {body}")) == 2
    assert len(on_rabbit.lines("end", f"locked {body}")) == 1


@pytest.mark.parametrize("acks", ACKS)
def test_what_lies_in_a_threads_pool_as_the_connection_is_lost_runs_once(
    on_rabbit: History, acks: str
) -> None:
    """Two messages of each kind, of one key."""
    assert len(on_rabbit.lines("start", f"locked cut {acks}")) == 2
    # more often still where the broker believes the connection lost once more
    assert len(on_rabbit.lines("start", f"plain cut {acks}")) >= 4


def test_three_messages_of_one_preset_id_all_run(on_rabbit: History) -> None:
    assert len(on_rabbit.lines("start", "locked equal")) == 3
    assert len(on_rabbit.lines("start", "plain equal")) == 3
    assert on_rabbit.overlaps("locked equal") == []
