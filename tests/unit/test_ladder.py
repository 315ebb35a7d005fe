"""The ways on which a message goes back to its queue, where RabbitMQ refuses one."""

from __future__ import annotations

import logging
import pickle
from dataclasses import replace
from typing import Any

import pytest
from amqp.exceptions import AccessRefused, MessageNacked, NoConsumers, NotFound
from celery import Celery
from kombu import Exchange, Queue

from celery_lock.message import HEADER, Header, Homeless, Sender, Unsent
from celery_lock.message.raw import RawMessage

OWN = Queue("fast", Exchange("work", "direct"), routing_key="quick")
TOPIC = Queue("fast", Exchange("work", "topic"), routing_key="quick")
QUORUM = {"x-queue-type": "quorum"}


class Broker:
    """Stands at the edge for a producer, its channel and its connection.

    Args:
        refuses: by exchange, what it answers to a publish, or to a binding.
        lacks: no such queue is there until it is declared.
    """

    def __init__(self, *, lacks: bool = False, **refuses: BaseException) -> None:
        self.refuses, self.lacks = refuses, lacks
        self.taken: list[tuple[str, str, Any]] = []
        self.asked: list[str] = []
        self.collected = 0
        self.connection = self.channel = self
        self.on_return: Any = None
        self.headers: dict[str, Any] = {}

    def publish(self, body: Any, *, exchange: str, routing_key: str, **options: Any) -> None:
        assert options["mandatory"]
        self.asked.append(exchange)
        if (exchange or "default") in self.refuses:
            raise self.refuses[exchange or "default"]
        if self.lacks and exchange == "":
            return self.on_return(NoConsumers("no route"), exchange, routing_key, body)  # type: ignore[no-any-return]
        self.headers = options["headers"]
        self.taken.append((exchange, routing_key, options["headers"].get("eta")))
        return None

    def queue_bind(self, queue: str, exchange: str, routing_key: str) -> None:
        self.asked.append(f"bind {routing_key}")
        if exchange in self.refuses:
            raise self.refuses[exchange]

    def collect(self, **options: Any) -> None:
        self.collected += 1


@pytest.fixture
def app() -> Celery:
    return Celery("shop", broker="amqp://", set_as_current=False)


def sender(app: Celery, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Sender:
    made = Sender(app)

    def connect(position: int, on_return: Any) -> Broker:
        broker.on_return = on_return
        return broker

    def declare(queue: Queue) -> Any:
        broker.asked.append(f"declare {queue.name}")
        broker.lacks = False

    monkeypatch.setattr(made, "_connect", connect)
    monkeypatch.setattr(
        "celery_lock.message.outlet.Outlet.declare", lambda outlet, queue: declare(queue)
    )
    return made


def raw(entity: Queue | None = OWN) -> RawMessage:
    packed = None if entity is None else pickle.dumps(entity)
    return RawMessage(b"[]", "application/json", "utf-8", {}, {}, "fast", packed)


# -- a queue that is gone --------------------------------------------------------------------


def test_what_no_queue_takes_is_sent_once_its_queue_is_declared(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker(lacks=True)

    sender(app, broker, monkeypatch).send(raw(TOPIC), Header(), delay=0)

    assert broker.asked == ["", "declare fast", ""]
    assert broker.taken == [("", "fast", None)]
    assert broker.collected == 1


@pytest.mark.parametrize(
    "entity",
    [None, Queue("fast", exclusive=True), Queue("fast", no_declare=True)],
    ids=["not known", "exclusive", "not ours to declare"],
)
def test_what_no_queue_takes_and_cannot_be_declared_is_not_sent(
    app: Celery, monkeypatch: pytest.MonkeyPatch, entity: Queue | None
) -> None:
    broker = Broker(lacks=True)

    with pytest.raises(Homeless, match="no route"):
        sender(app, broker, monkeypatch).send(raw(entity), Header(), delay=0)

    assert (broker.taken, broker.collected) == ([], 1)


# -- what the broker reads itself ------------------------------------------------------------


def test_what_would_reach_other_queues_or_be_taken_for_a_duplicate_is_left_out(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ sends to each key in `CC`; its plugin drops one whose like is not acked yet."""
    broker = Broker()
    message = replace(
        raw(), headers={"CC": ["others"], "x-deduplication-header": "order-7", "x-tenant": "a"}
    )

    sender(app, broker, monkeypatch).send(message, Header(), delay=0)

    assert set(broker.headers) == {"x-tenant", HEADER}


# -- a refusal -------------------------------------------------------------------------------


def test_what_the_default_exchange_refuses_goes_by_the_queues_own(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker(default=AccessRefused("no"))
    ours = sender(app, broker, monkeypatch)

    for _ in range(2):
        ours.send(raw(), Header(), delay=0)

    assert broker.taken == [("work", "quick", None)] * 2
    assert broker.asked == ["", "work", "work"], "what was refused is not asked for a while"
    assert broker.collected == 1, "the channel that saw the refusal is not used again"


@pytest.mark.parametrize(
    ("entity", "others"),
    [
        (TOPIC, []),
        (None, []),
        (Queue("fast"), []),
        (OWN, [Queue("also", Exchange("work", "direct"), routing_key="quick")]),
    ],
    ids=["a topic", "not known", "no exchange of its own", "another queue has the key too"],
)
def test_an_exchange_that_may_lead_elsewhere_is_no_way(
    app: Celery, monkeypatch: pytest.MonkeyPatch, entity: Queue | None, others: list[Queue]
) -> None:
    app.conf.task_queues = [OWN, *others]
    broker = Broker(default=AccessRefused("no"))
    ours = sender(app, broker, monkeypatch)

    for _ in range(2):
        with pytest.raises(Unsent, match="the broker did not take"):
            ours.send(raw(entity), Header(), delay=0)

    assert broker.asked == ["", ""], "the last way is always tried"


def test_a_nack_says_that_it_was_not_sent(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker(default=MessageNacked())

    with pytest.raises(Unsent, match="the message: MessageNacked"):
        sender(app, broker, monkeypatch).send(raw(TOPIC), Header(), delay=0)

    assert broker.asked == [""]


# -- a pause in the broker -------------------------------------------------------------------


def quorum() -> RawMessage:
    return raw(Queue("fast", Exchange("work", "topic"), "quick", queue_arguments=QUORUM))


def test_a_delayed_message_has_its_queue_bound_before_the_first(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker()
    ours = sender(app, broker, monkeypatch)

    for _ in range(2):
        ours.send(quorum(), Header(), delay=2)

    key = "0." * 26 + "1.0.celery_lock.fast"
    assert broker.taken == [("celery_delayed_27", key, None)] * 2
    assert broker.asked == ["bind #.celery_lock.fast", "celery_delayed_27", "celery_delayed_27"]


def test_without_a_pause_it_goes_straight_to_its_queue(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker()

    sender(app, broker, monkeypatch).send(quorum(), Header(), delay=0)

    assert broker.taken == [("", "fast", None)]


@pytest.mark.parametrize(
    "refuses",
    [
        {"celery_delayed_27": NotFound("no exchange")},
        {"celery_delayed_27": MessageNacked()},
        {"celery_delayed_delivery": NotFound("no exchange")},
        {"celery_delayed_delivery": AccessRefused("no exchange")},
    ],
    ids=str,
)
def test_a_broker_that_delays_nothing_has_it_wait_as_an_eta_and_that_is_said_once(
    app: Celery,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    refuses: dict[str, BaseException],
) -> None:
    broker = Broker(**refuses)
    ours = sender(app, broker, monkeypatch)

    with caplog.at_level(logging.WARNING, "celery_lock"):
        for _ in range(2):
            ours.send(quorum(), Header(), delay=2)

    assert [exchange for exchange, _, eta in broker.taken if eta] == ["", ""]
    assert len(caplog.records) == 1
    assert "does not delay messages for the queue fast" in caplog.text


# -- which broker ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("read", "write", "position", "leads_to"),
    [
        ("amqp://r@one//", "amqp://w@two//", 0, "amqp://r@one//"),
        ("amqp://r@one//", "amqp://w@one//", 0, "amqp://w@one//"),
        ("amqp://r@one//a", "amqp://w@one//b", 0, "amqp://r@one//a"),
        ("amqp://r@one//;amqp://r@two//", "amqp://w@one//", 0, "amqp://r@one//"),
        ("amqp://r@one//;amqp://r@two//", "amqp://w@one//", 1, "amqp://r@two//"),
        (["amqp://r@one//", "amqp://r@two//"], "amqp://w@one//", 1, "amqp://r@two//"),
    ],
)
def test_it_goes_to_the_broker_that_the_worker_reads_from(
    monkeypatch: pytest.MonkeyPatch, read: Any, write: str, position: int, leads_to: str
) -> None:
    app = Celery("shop", set_as_current=False)
    app.conf.update(broker_read_url=read, broker_write_url=write)
    went: list[str] = []

    def ensure(connection: Any, *args: Any, **options: Any) -> None:
        went.append(f"amqp://{connection.userid}@{connection.hostname}/{connection.virtual_host}")
        raise ConnectionRefusedError

    monkeypatch.setattr("kombu.Connection.ensure_connection", ensure)
    message = RawMessage(b"[]", "application/json", "utf-8", {}, {}, "fast", None, position)

    with pytest.raises(Unsent):
        Sender(app).send(message, Header(), delay=0)

    assert went == [leads_to]
