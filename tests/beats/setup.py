"""What a run under fire stands on: a store and a broker of their own, the beats, and one worker."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.beats.beats import APP, Beats
from tests.beats.inside import BOOK, STORE
from tests.services import RedisServer, Worker, wait_for

__all__ = ["Setup", "running_setup"]


@dataclass(frozen=True)
class Setup:
    """What a run stands on."""

    beats: Beats
    store: RedisServer
    broker: RedisServer

    @property
    def book(self) -> Path:
        """What all write to."""
        return self.beats.book

    def drain(self, timeout: float = 20.0) -> None:
        """Wait until no message is left that the worker could run."""
        with self.broker.client() as client:
            wait_for(
                lambda: not client.llen("celery") and not client.hlen("unacked"),
                "the worker's last message",
                timeout=timeout,
                poll=0.2,
            )


@contextlib.contextmanager
def running_setup(store: RedisServer, broker: RedisServer, beats: Beats) -> Iterator[Setup]:
    """Servers that run and a worker that is ready; worker and beats end with the block."""
    worker = Worker(
        APP,
        beats.folder,
        broker=broker.url,
        pool="threads",
        concurrency=4,
        env={BOOK: str(beats.book), STORE: store.url},
        args=("--without-heartbeat",),
    )
    try:
        worker.start()
        yield Setup(beats, store, broker)
    finally:
        beats.kill()
        worker.process.kill()
