"""What each broker's transport does with messages, as far as it matters for their locks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from amqp.exceptions import ChannelError, MessageNacked
from kombu.exceptions import OperationalError

from .deliveries import (
    by_flag,
    counted_by_rabbit,
    is_last_in_rabbit,
    limit_in_rabbit,
    never_last,
    no_limit,
)
from .pauses import Pause, in_rabbit
from .refusals import refusals
from .sqs import (
    MADE_BY_KOMBU,
    client_limits,
    in_sqs,
    is_last_after,
    limit_after,
    message_id,
    received_before,
    redeliveries,
)
from .sqs_queues import UNREAD, QueueFacts, facts_of

__all__ = [
    "AMQP",
    "NO_BROKER",
    "REDIS",
    "SQS",
    "TRIED",
    "UNKNOWN",
    "VIRTUAL",
    "Transport",
    "delivery_tag",
    "flagged",
    "transport_of",
]


def delivery_tag(request: Any) -> str | None:
    """Return the tag that a publication has here, and a redelivery keeps."""
    tag = (request.properties or {}).get("delivery_tag")
    return tag if isinstance(tag, str) and tag and not tag.isdigit() else None


def nothing(request: Any) -> None:
    """Return no name: the tag is a counter of the channel here, which says nothing."""


def flagged(request: Any) -> bool:
    """The broker's flag says that it delivered this message before."""
    return bool((request.delivery_info or {}).get("redelivered"))


def in_its_worker(eta: Pause, queue: str | None, arguments: Mapping[str, Any]) -> Pause:
    """Return how a message waits where the broker has no better place: in a worker."""
    return eta


@dataclass(frozen=True)
class Transport:
    """What one transport does with the messages of one app. Times are in seconds."""

    driver: str
    """Kombu's name of it."""
    is_known: bool = True
    """What stands here has been tried; of another it is assumed."""
    name_of: Callable[[Any], str | None] = delivery_tag
    """What names the message of a request, through every redelivery; `None`: nothing does."""
    redelivered: Callable[[Any], bool] = flagged
    """Tells whether the message of a request was delivered before."""
    delivered: Callable[[Any], int] = by_flag
    """Tells how often the message of a request was delivered before, as its broker counts."""
    limit: Callable[[Mapping[str, Any]], int | None] = no_limit
    """Tells after how many deliveries a queue that is declared with these arguments gives a message
    to its dead-letter queue; `None`: that cannot be seen."""
    is_last: Callable[[Any], bool] = never_last
    """Tells whether the message of a request is given out no more if it goes back to its queue."""
    redelivers_at_once: bool = False
    """A message goes to another worker as soon as its worker's connection is lost."""
    asks_always: bool = True
    """Each delivery asks whether its message was completed; `False`: only where something says
    that it may be a copy."""
    records_late: bool = False
    """The completion of each message that is acknowledged late is recorded: a copy may come that
    nothing has announced."""
    visibility: float = 3600.0
    """After so long, a message that is not acknowledged goes to another worker."""
    comes_back_within: float | None = None
    """The longest time after which it may do so, where `visibility` is no more than a guess."""
    reads: Callable[[Any, str | None], QueueFacts | None] | None = None
    """Returns, in the main process, what is known of the queue of a message; `None`: its broker
    says nothing of single queues."""
    pauses: Callable[[Pause, str | None, Mapping[str, Any]], Pause] = in_its_worker
    """Says how a message of a queue waits for its next try, given how one waits with an eta, the
    queue's name and the arguments that it is declared with."""
    longest_pause: float = 450.0
    """How long a message waits in a worker at most: a quarter of the visibility timeout, and of
    RabbitMQ's default `consumer_timeout`, after which it takes messages back."""
    send_within: float = 5.0
    """What one step of sending may take: a broker that hangs must not keep a pool's process."""
    connects: int = 2
    """How often a connection is tried within that."""
    not_sent: tuple[type[BaseException], ...] = (OperationalError, OSError)
    """Errors that say that the broker did not take the message."""
    answers: tuple[type[BaseException], ...] = ()
    """Those of them that are the broker's own answer: to ask again at once is of no use."""
    returns: bool = False
    """The broker gives back a message that no queue took, instead of dropping it in silence."""
    obeys: tuple[str, ...] = ()
    """Headers that the broker itself reads, and by which it would send the message elsewhere as
    well, or swallow it as one that it has: they are left out of what is sent again."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Transport options of a connection that must know what the broker took, and must not hang."""

    def for_queue(self, facts: tuple[Any, ...] | None) -> Transport:
        """Return the row of one queue, of which the broker says this; `None`: nothing yet."""
        within: float | None = None
        if facts is None:
            visibility, receives = min(self.visibility, UNREAD), 0
            within = max(self.visibility, Transport.visibility)
        else:
            visibility, receives = QueueFacts(*facts)
        return replace(
            self,
            limit=limit_after(receives),
            is_last=is_last_after(receives),
            visibility=visibility,
            comes_back_within=within,
            longest_pause=min(visibility / 4, Transport.longest_pause),
        )

    def pause_in(self, queue: str | None, arguments: Mapping[str, Any]) -> Pause:
        """Return how a message waits that goes back to the queue declared with these arguments."""
        return self.pauses(Pause(self.longest_pause), queue, arguments)

    @cached_property  # all of it is frozen
    def is_guess(self) -> bool:
        """How soon a message goes to another worker is not known: it may be at once."""
        return self.comes_back_within is not None

    @cached_property
    def copies_within(self) -> float:
        """Seconds after an acknowledgement in which a copy of the message may still come."""
        if self.redelivers_at_once:
            return 0.0
        return self.visibility if self.comes_back_within is None else self.comes_back_within


_WITHIN = Transport.send_within

REDIS = Transport(
    "redis",
    options={"socket_timeout": _WITHIN, "socket_connect_timeout": _WITHIN},
)
AMQP = Transport(
    "amqp",
    name_of=nothing,
    redelivers_at_once=True,
    delivered=counted_by_rabbit,
    limit=limit_in_rabbit,
    is_last=is_last_in_rabbit,
    asks_always=False,
    records_late=True,
    pauses=in_rabbit,
    not_sent=(*Transport.not_sent, MessageNacked),
    answers=(ChannelError, MessageNacked),
    returns=True,
    obeys=("CC", "BCC", "x-deduplication-header"),
    options={"confirm_publish": True, "read_timeout": _WITHIN, "write_timeout": _WITHIN},
)
SQS = Transport(
    "sqs",
    name_of=message_id,
    redelivered=received_before,
    records_late=True,
    pauses=in_sqs,
    visibility=MADE_BY_KOMBU,
    reads=facts_of,
    connects=1,
    delivered=redeliveries,
    options={"client-config": client_limits(_WITHIN)},
)
VIRTUAL = Transport("virtual")
"""Kombu's other virtual ones that were tried, each under its own name: see `TRIED`."""
UNKNOWN = Transport("unknown", is_known=False)
"""One that is none of these: it is taken for a virtual one."""
NO_BROKER = Transport("none", name_of=nothing)
"""Of an eager call, which asks nobody: not even a driver need be there."""

TRIED = ("memory", "filesystem", "sql")
"""The names of the virtual ones that were tried."""

_OWN = {row.driver: row for row in (REDIS, AMQP, SQS)}
_DECIDED = {"confirm_publish", "client-config"}
"""Options that are ours whatever the app's author gave: no message is lost in silence, and none
keeps a pool's process. Of one that has parts, the author's other parts stay."""


def transport_of(connection: Any, options: Mapping[str, Any] | None) -> Transport:
    """Return what the transport of a connection does, which need not be open.

    `options`: the app's `broker_transport_options`.
    """
    given, kombus = options or {}, connection.transport
    driver = str(kombus.driver_type)
    other = VIRTUAL if driver in TRIED else UNKNOWN
    row = _OWN.get(driver) or replace(other, driver=driver)
    visibility = float(given.get("visibility_timeout") or row.visibility)
    return replace(
        row,
        visibility=visibility,
        longest_pause=min(visibility / 4, row.longest_pause),
        not_sent=(
            *kombus.connection_errors,
            *kombus.channel_errors,
            *row.not_sent,
            *(unlisted := refusals()),
        ),
        answers=(*row.answers, *unlisted),
        options={
            name: _over(given.get(name), value)
            for name, value in row.options.items()
            if name not in given or name in _DECIDED
        },
    )


def _over(given: Any, ours: Any) -> Any:
    if isinstance(given, Mapping) and isinstance(ours, Mapping):
        return {**given, **ours}
    return ours
