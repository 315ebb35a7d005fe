"""Each way in which a store can fail: what a lock says is done, no task is lost, no process waits.

The worker runs in the test's own process. Its store is reached over TLS and a faulty wire.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery, _state
from celery.app import trace
from celery.contrib.testing.worker import start_worker
from celery.signals import setup_logging

from celery_lock import Lock, LockedTask, LockError, StoreError
from celery_lock.events import StoreFailed
from celery_lock.model import OnStoreError
from celery_lock.signals import lock_store_failed
from tests.services import Proxy, RedisServer, make_certificates, wait_for

DEADLINE = 1.0
PATIENCE = 30.0
"""Seconds after which what should have happened counts as lost."""
KEPT = 25
"""Keys that the server has to load."""


_jobs = count()


@dataclass
class Place:
    """A store, the wire to it, and a worker."""

    server: RedisServer
    wire: Proxy
    app: Celery
    facts: list[StoreFailed] = field(default_factory=list)

    def send(self, name: str) -> Any:
        """Send a task whose key nobody has ever used."""
        return self.app.tasks[f"down.{name}"].delay(next(_jobs))

    def admin(self, password: str | None = None) -> redis.Redis:
        """A client for the owner of the server, whatever the wire and the certificate are."""
        return redis.Redis(unix_socket_path=str(self.server.socket_path), password=password)

    def refused(self, name: str) -> list[StoreFailed]:
        return [fact for fact in self.facts if fact.task == f"down.{name}"]

    @contextmanager
    def fault(self, name: str) -> Iterator[None]:
        begin, end = getattr(self, f"_{name}")()
        begin()
        try:
            yield
        finally:
            end()
            wait_for(self._answers, "the store", timeout=PATIENCE)

    def _answers(self) -> bool:
        with suppress(Exception), self.admin() as client:
            return bool(client.ping())
        return False

    def _refuses(self) -> tuple[Callable[[], Any], Callable[[], Any]]:
        return self.wire.refuse, self.wire.forward

    def _hangs(self) -> tuple[Callable[[], Any], Callable[[], Any]]:
        return self.server.pause, self.server.resume

    def _is_slow(self) -> tuple[Callable[[], Any], Callable[[], Any]]:
        def begin() -> None:
            self.wire.delay = DEADLINE

        return begin, self.wire.forward

    def _is_a_replica(self) -> tuple[Callable[[], Any], Callable[[], Any]]:
        return self._say("REPLICAOF", "127.0.0.1", "1"), self._say("REPLICAOF", "NO", "ONE")

    def _is_full(self) -> tuple[Callable[[], Any], Callable[[], Any]]:
        return self._set("maxmemory", 1), self._set("maxmemory", 0)

    def _loads(self) -> tuple[Callable[[], Any], Callable[[], Any]]:
        def reload() -> None:
            with suppress(Exception), self.admin() as client:
                client.execute_command("DEBUG RELOAD")

        def begin() -> None:
            with self.admin() as client:
                for number in range(KEPT):
                    client.set(f"kept:{number}", os.urandom(4096))
                client.config_set("key-load-delay", 250_000)
            threading.Thread(target=reload).start()
            wait_for(self._is_loading, "the server loads", timeout=PATIENCE)

        return begin, self._set("key-load-delay", 0)

    def _is_loading(self) -> bool:
        with self.admin() as client:
            return bool(client.info("persistence")["loading"])

    def _wants_another_password(self) -> tuple[Callable[[], Any], Callable[[], Any]]:
        def begin() -> None:
            with self.admin() as client:
                client.config_set("requirepass", "another")
                client.client_kill_filter(_type="normal")

        def end() -> None:
            with self.admin("another") as client:
                client.config_set("requirepass", "")

        return begin, end

    def _has_an_expired_certificate(self) -> tuple[Callable[[], Any], Callable[[], Any]]:
        tls = self.server.tls
        assert tls is not None

        def having(cert: Path, key: Path) -> Callable[[], Any]:
            def change() -> None:
                with self.admin() as client:
                    client.execute_command(
                        *("CONFIG SET", "tls-cert-file", str(cert), "tls-key-file", str(key))
                    )
                    client.client_kill_filter(_type="normal")

            return change

        return having(tls.expired_cert, tls.expired_key), having(tls.cert, tls.key)

    def _say(self, *words: str) -> Callable[[], Any]:
        def say() -> None:
            with self.admin() as client:
                client.execute_command(*words)

        return say

    def _set(self, name: str, value: int) -> Callable[[], Any]:
        return self._say("CONFIG", "SET", name, str(value))


def make_app(store: str) -> Celery:
    app = Celery("down", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.update(
        lock_store=store,
        lock_store_deadline=DEADLINE,
        broker_transport_options={"polling_interval": 0.02},
        task_store_errors_even_if_ignored=True,
    )

    def locked(name: str, answer: OnStoreError) -> None:
        @app.task(
            name=f"down.{name}",
            shared=False,
            bind=True,
            base=LockedTask,
            lock=Lock(f"{name}:{{job}}", ttl=5, on_store_error=answer),
        )
        def run(self: Any, job: int) -> str:
            try:
                return f"token {self.lease.token}"
            except LockError as error:
                return f"unlocked: {error}"

    locked("requeues", "requeue")
    locked("runs", "run")
    locked("fails", "fail")

    @app.task(name="down.plain", shared=False)
    def plain(job: int) -> str:
        return "ran"

    return app


@pytest.fixture(scope="module")
def place(redis_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("down")
    tls = make_certificates(folder)
    args = ("--enable-debug-command", "yes", "--loading-process-events-interval-bytes", "1024")
    with ExitStack() as stack:
        server = stack.enter_context(
            RedisServer(redis_binary, folder, tls=tls, args=args, unix_socket=True)
        )
        wire = stack.enter_context(Proxy(server.port))
        app = make_app(server.url_for(port=wire.port))
        place = Place(server, wire, app)

        def heard(sender: Any, fact: StoreFailed, **_: Any) -> None:
            place.facts.append(fact)

        lock_store_failed.connect(heard)
        stack.enter_context(as_before(app))
        worker = start_worker(app, pool="threads", concurrency=4, perform_ping_check=False)
        stack.enter_context(worker)
        yield place
        lock_store_failed.disconnect(heard)


@contextmanager
def as_before(app: Celery) -> Iterator[None]:
    """Leave nothing to other tests of a worker that ran in their process.

    Celery's worker sets the level of the root logger, makes its app that of the process, and
    changes how tasks are called.
    """

    def log_as_the_tests_do(**_: Any) -> None:
        """Celery sets up no logs if somebody else does."""

    default, current = _state.default_app, _state._tls.current_app
    setup_logging.connect(log_as_the_tests_do)
    try:
        yield
    finally:
        setup_logging.disconnect(log_as_the_tests_do)
        trace.reset_worker_optimizations(app)
        _state.default_app, _state._tls.current_app = default, current


@pytest.fixture(autouse=True)
def forget(place: Place) -> None:
    place.facts.clear()


LATE = "no answer within|no TLS handshake"
"""What may be said of each fault where the machine has much else to do."""

FAULTS = {
    "refuses": "connection refused|ended the TLS handshake|the connection broke",
    "hangs": LATE,
    "is_slow": LATE,
    "is_a_replica": "read-only replica|lost its primary",
    "is_full": "its memory is full",
    "loads": "it is loading its data",
    "wants_another_password": "wants a password",
    "has_an_expired_certificate": "certificate has expired.*renewed on the server",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_lock_says_is_done_and_no_task_is_lost(place: Place, fault: str) -> None:
    with place.fault(fault):
        requeued, ran, failed = (place.send(name) for name in ("requeues", "runs", "fails"))

        assert ran.get(timeout=PATIENCE).startswith(
            "unlocked: task down.runs runs without its lock"
        )
        with pytest.raises(StoreError, match=f"{FAULTS[fault]}|{LATE}"):
            failed.get(timeout=PATIENCE)
        wait_for(lambda: place.refused("requeues"), "the third one", timeout=PATIENCE)
        assert place.send("plain").get(timeout=PATIENCE) == "ran"
        # a full server takes a claim of whose key it has something already: an undo of the first
        assert fault == "is_full" or not requeued.ready()

    assert requeued.get(timeout=PATIENCE).startswith("token ")
    assert place.send("runs").get(timeout=PATIENCE).startswith("token ")
    assert {fact.answer for fact in place.refused("requeues")} <= {"requeue", "retry"}


def test_of_many_tasks_few_wait_for_a_store_that_hangs(place: Place) -> None:
    with place.fault("hangs"):
        results = [place.send("requeues") for _ in range(20)]
        wait_for(
            lambda: len({fact.key for fact in place.refused("requeues")}) == 20,
            "all have been refused",
            timeout=PATIENCE,
        )
        asked = [fact for fact in place.refused("requeues") if "not asked" not in fact.error]
        assert len(asked) <= 10, [fact.error for fact in asked]
        began = time.monotonic()

    for result in results:
        assert result.get(timeout=PATIENCE).startswith("token ")
    print(f"all had run {time.monotonic() - began:.1f} s after the store was back")
