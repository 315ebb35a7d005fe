"""The rows of the matrix for brokers as data: broker x acks x what happens to the messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

__all__ = ["BROKERS", "EVENTS", "TWINS", "BrokerRow", "broker_rows"]

BROKERS = ("redis", "classic", "quorum", "sqs")
"""Redis, a classic and a quorum queue of RabbitMQ, and Amazon SQS."""

EVENTS = ("nothing", "worker killed", "connection cut", "store hangs")
"""What happens while one body runs and the others of its key wait."""

TWINS = ("locked", "plain", "nx")
"""The same body with a lock, without one, and with SET NX and `self.retry(countdown=1)`."""


@dataclass(frozen=True)
class BrokerRow:
    """One row: messages of one key, and what happens to them."""

    broker: str
    acks: str
    event: str

    @property
    def name(self) -> str:
        """As it is printed, and chosen by words."""
        return f"brokers: {self.broker}, acks {self.acks}, {self.event}"


def broker_rows() -> Iterator[BrokerRow]:
    """All of them."""
    for broker, event, acks in product(BROKERS, EVENTS, ("early", "late")):
        yield BrokerRow(broker, acks, event)
