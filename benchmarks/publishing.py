"""Publishing with a lease that the publisher takes, beside the libraries that do nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from celery import Celery
from celery_once import QueueOnce
from celery_singleton import Singleton

from celery_lock import Lock, LockedTask, Scope

from . import names
from .machine import CLIENT, on_cpus, servers_cpu
from .processes import BenchError
from .results import Row, Section, column
from .rounds import in_turns, seconds_each
from .server import Server
from .sizes import Sizes

__all__ = ["measure"]

AT_ONCE = 10
"""Tasks of a kind that are published in a row, before it is another one's turn."""


def measure(server: Server, sizes: Sizes, broker: str, directory: Path) -> Section:
    """Publish tasks of each kind, in turns; nobody runs them. `broker`: the name of its kind."""
    with _broker(broker, server, directory) as url, on_cpus(CLIENT):
        app, kinds = _app(url, server.url)
        numbers = count()
        senders = {name: _sender(task, numbers) for name, task in kinds.items()}
        taken = in_turns(senders, sizes.publish_rounds, sizes.seconds)
        _empty(app, server)
    rates = {name: [1 / seconds for seconds in each] for name, each in taken.items()}
    cells = column(rates, names.PLAIN)
    return Section(
        names.publishing(broker),
        f"Publishing, broker {broker}",
        f"One client publishes {AT_ONCE * len(rates[names.PLAIN]):,} empty tasks of each kind, each"
        f" with a key of its own; nobody runs them. The locks are on Redis. {_SAYS[broker]}"
        " Ratios are to a plain task.",
        names.PLAIN,
        [Row(name, {names.PUBLISHER: cell}) for name, cell in cells.items()],
    )


_SAYS = {
    names.REDIS: "The broker is the same server.",
    names.RABBITMQ: "RabbitMQ confirms each message before the call returns.",
}


def _sender(task: Any, numbers: Iterator[int]) -> Callable[[], float]:
    return lambda: seconds_each(lambda: task.apply_async((next(numbers),)), AT_ONCE)


def _app(broker: str, store: str) -> tuple[Celery, Mapping[str, Any]]:
    app = Celery("publishing", broker=broker, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        task_default_queue=_QUEUE,
        lock_store=store,
        ONCE={"backend": "celery_once.backends.Redis", "settings": {"url": store}},
        singleton_backend_url=store,
    )
    if broker.startswith("amqp"):
        app.conf.broker_transport_options = {"confirm_publish": True}

    def empty(n: int) -> None: ...

    declare: Any = app.task

    def task(name: str, **options: Any) -> Any:
        return declare(empty, name=f"publishing.{name}", shared=False, **options)

    def locked(scope: Scope) -> Any:
        return task(scope.value, base=LockedTask, lock=Lock(f"{scope.value}:{{n}}", scope=scope))

    return app, {
        names.PLAIN: task("plain"),
        names.WHILE_RUNNING: locked(Scope.WHILE_RUNNING),
        names.UNTIL_STARTED: locked(Scope.UNTIL_STARTED),
        names.UNTIL_FINISHED: locked(Scope.UNTIL_FINISHED),
        names.ONCE: task("once", base=QueueOnce),
        names.SINGLETON: task("singleton", base=Singleton, lock_expiry=3600),
    }


_QUEUE = "bench-published"


def _empty(app: Celery, server: Server) -> None:
    with app.connection_for_write() as connection:
        channel: Any = connection.default_channel  # whose types know AMQP alone
        channel.queue_purge(_QUEUE)
    with server.client() as client:
        client.flushall()  # nobody gives back what these publishers took


@contextmanager
def _broker(broker: str, server: Server, directory: Path) -> Iterator[str]:
    if broker == names.REDIS:
        yield server.url
        return
    from tests.services import RabbitServer, find_rabbit

    program = find_rabbit()
    if program is None:
        raise BenchError("no RabbitMQ found: install rabbitmq-server")
    with on_cpus(servers_cpu()):  # a child has its parent's
        rabbit = RabbitServer(program, directory / "rabbit")
        rabbit.start()
    try:
        yield rabbit.url
    finally:
        rabbit.stop()
