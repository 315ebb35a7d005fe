"""How a message was published, as its body sees it after we have sent the message again.

We send to the queue itself, and let the message wait by an eta. The body of a plain task sees
neither: it reads the routing key of the publisher, and its own retry goes by the same exchange.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..errors import LockError
from .carried import written_in
from .header import Header

__all__ = ["note_published", "show_published"]

_WAY = ("exchange", "routing_key")


def note_published(header: Header, request: Any, queue: str | None) -> Header:
    """Return the header of a message that is to be sent again, with what its body sees now."""
    published: dict[str, Any] = {}
    info = request.delivery_info or {}
    way = [str(info.get(name) or "") for name in _WAY]
    if any(way) and way != ["", queue]:
        published.update(zip(_WAY, way, strict=True), queue=queue)
    if isinstance(request.eta, str):
        published["eta"] = request.eta
    return replace(header, published={name: said for name, said in published.items() if said})


def show_published(request_dict: dict[str, Any], queue: str | None) -> None:
    """Let the body see how its message was published, where we have sent that again since.

    When the message is due, Celery has read before. A message that has come into another queue
    since, as a dead letter does, was published there: it shows that.
    """
    published = _published_in(request_dict)
    if published is None:
        return
    request_dict["eta"] = published.get("eta")
    if queue is None or published.get("queue") != queue:
        return
    way = {name: published.get(name, "") for name in _WAY}
    request_dict["delivery_info"].update(way)
    properties = request_dict["properties"]
    if isinstance(info := properties.get("delivery_info"), Mapping):  # kombu's own brokers
        properties["delivery_info"] = {**info, **way}


def _published_in(request_dict: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what its header says of it; `None`: it is the message that was published."""
    written = written_in(request_dict)
    if not any(isinstance(each, Mapping) and "published" in each for each in written):
        return None  # as most messages are
    try:
        return Header.read(
            request_dict,
            id=request_dict["id"],
            retries=request_dict.get("retries") or 0,
            nesting=request_dict.get("replaced_task_nesting") or 0,
        ).published
    except LockError:  # the run says what is wrong with it
        return None
