"""Which delivery a request is: its holder, its publication, and who waits for it."""

from __future__ import annotations

import os
import re
import uuid
from typing import Any

import pytest
from celery.app.task import Context

from celery_lock.message import (
    Header,
    Parts,
    are_siblings,
    give,
    holder_of,
    in_canvas,
    new_nonce,
    parts,
    publication_of,
    take,
)
from celery_lock.message.transports import AMQP, REDIS, SQS, UNKNOWN, VIRTUAL, Transport, flagged
from celery_lock.model import Holder

from .forking import holds_in_a_child


@pytest.fixture(autouse=True)
def _runs_that_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_taken", {})


def request(**changes: Any) -> Context:
    return Context({"id": "id-1", "hostname": "w1@host", **changes})


def tagged(tag: Any, **changes: Any) -> Context:
    return request(properties={"delivery_tag": tag}, **changes)


def given(request: Context, **more: Any) -> Context:
    """The request as it is while it runs, with what the main process gives."""
    about: dict[str, Any] = {}
    body = more.pop("body", b"[]")
    give(about, request.properties, Parts(body, "application/json", "utf-8", {}, **more))
    request.properties = about["properties"]
    take(request)
    return request


# -- holders ---------------------------------------------------------------------------------


def test_a_holder_says_which_task_runs_where() -> None:
    holder = Holder.parse(holder_of(request()) + "1")

    assert (holder.task_id, holder.node, holder.pid) == ("id-1", "w1@host", os.getpid())


def test_each_delivery_is_somebody_else() -> None:
    same = request()

    assert len({holder_of(same) for _ in range(100)}) == 100


def test_a_delivery_has_the_name_that_the_main_process_gave_it() -> None:
    """So that this one knows it when the pool process is dead."""
    here = given(request(), nonce="Ab3_-91f")

    assert {holder_of(here) for _ in range(3)} == {f"id-1#w1@host#{os.getpid()}#Ab3_-91f."}


def test_a_forked_child_never_has_a_holder_of_its_parents() -> None:
    """Nor one that its parent will have: task id and node are the same, and a pid comes again."""
    ours = {new_nonce()[:6] for _ in range(3)}

    assert len(ours) == 1
    assert holds_in_a_child(lambda: new_nonce()[:6] not in ours)


def test_a_forked_child_says_its_own_process() -> None:
    assert holds_in_a_child(lambda: Holder.parse(holder_of(request())).pid == os.getpid())


def test_a_holder_is_short_and_says_who_it_is_in_letters_that_any_place_takes() -> None:
    """The store keeps one for each key: a value of over 64 bytes would cost it a table."""
    assert re.fullmatch(r"[A-Za-z0-9_-]{6}[0-9a-f]{1,8}", new_nonce())


@pytest.mark.parametrize("id", ["id-1", "nightly#2024#1", "#", "with space"])
@pytest.mark.parametrize("hostname", ["w1@host", "w#1@host", None, ""])
def test_a_holder_can_be_read_back_whatever_it_is_called(id: str, hostname: str | None) -> None:
    written = holder_of(request(id=id, hostname=hostname)) + "2"

    holder = Holder.parse(written)
    assert str(holder) == written
    assert holder.task_id == id
    assert holder.node == (hostname or "").replace("#", "_")


# -- publications ----------------------------------------------------------------------------


ANY = pytest.mark.parametrize(
    "transport", [AMQP, REDIS, SQS, UNKNOWN, VIRTUAL], ids=lambda row: row.driver
)


@pytest.mark.parametrize("transport", [REDIS, UNKNOWN, VIRTUAL], ids=lambda row: row.driver)
def test_on_redis_a_publication_is_its_tag_which_a_redelivery_keeps(transport: Transport) -> None:
    tag = str(uuid.uuid4())
    first = tagged(tag, delivery_info={"redelivered": False})
    again = tagged(tag, delivery_info={"redelivered": True})

    names = {publication_of(each, Header(), transport) for each in (first, again)}
    assert names == {tag}


@pytest.mark.parametrize("tag", [1, 17, "17", None, ""])
@ANY
def test_a_counter_of_the_channel_names_no_publication(tag: Any, transport: Transport) -> None:
    assert publication_of(tagged(tag), Header(), transport) == "id-1.0.0"


def from_queue(name: str | None, body: Any = b"[]", **changes: Any) -> Any:
    return given(tagged(1, **changes), queue=name, body=body)


QUEUES = ["rain", "all-weather", "r" * 30, "r" * 31, "regen-f\u00fcr-alle", "a@b", "x" * 300]
NAMES = ["AbC_d-eF0123", str(uuid.UUID(int=7)), "a@b", "n" * 300, "\u00fc", None]


@pytest.mark.parametrize("name", NAMES)
def test_one_message_in_two_queues_is_two_publications(name: str | None) -> None:
    header = Header(publication=name)

    names = [publication_of(from_queue(queue), header, AMQP) for queue in QUEUES]

    assert len(set(names)) == len(QUEUES)
    assert all(are_siblings(names[0], other) for other in names[1:])
    assert not any(are_siblings(each, each) for each in names)
    assert all(len(each) <= 36 and each.isascii() for each in names)
    assert names == [publication_of(from_queue(queue), header, AMQP) for queue in QUEUES]


@pytest.mark.parametrize("queue", QUEUES)
def test_two_messages_in_one_queue_are_two_publications_and_no_siblings(queue: str) -> None:
    requests = [
        from_queue(queue, id=id, body=body, retries=retries)
        for id in ("id-1", "x" * 200)
        for body in (b"[]", b"[1]", b"\xff", "text")
        for retries in (0, 1)
    ]

    names = [publication_of(each, Header(), AMQP) for each in requests]
    names += [publication_of(requests[0], Header(publication=name), AMQP) for name in NAMES[:-1]]

    assert len(set(names)) == len(names)
    assert not any(are_siblings(one, other) for one in names for other in names)


def test_a_name_that_is_there_costs_no_look_at_the_body() -> None:
    unread = from_queue("rain", body=object())  # it has no bytes to make a digest of

    assert publication_of(unread, Header(publication="n-1"), AMQP) == "n-1@rain"


@ANY
def test_without_properties_it_is_the_task_and_its_retry_number(transport: Transport) -> None:
    assert publication_of(request(), Header(), transport) == "id-1.0.0"


@ANY
def test_a_retry_and_a_replacement_are_publications_of_their_own(transport: Transport) -> None:
    requests = (request(), request(retries=1), request(replaced_task_nesting=1))

    assert len({publication_of(each, Header(), transport) for each in requests}) == 3


@ANY
def test_a_message_that_we_sent_again_is_still_the_first_publication(transport: Transport) -> None:
    header = Header(publication="tag-1")

    assert publication_of(tagged("tag-2"), header, transport) == "tag-1"


# -- what else a message says ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("info", "again"),
    [(None, False), ({}, False), ({"redelivered": None}, False), ({"redelivered": True}, True)],
)
def test_the_broker_says_whether_it_delivered_a_message_before(info: Any, again: bool) -> None:
    assert flagged(request(delivery_info=info)) is again


def test_a_header_does_not_say_so() -> None:
    """Kombu leaves one behind, which would stay on every copy of the message."""
    assert not flagged(request(redelivered=True))


@pytest.mark.parametrize(
    ("change", "waited_for"),
    [
        ({}, False),
        ({"chain": []}, False),
        ({"chain": [{"task": "next"}]}, True),
        ({"chord": {"task": "body"}}, True),
        ({"group": "g-1"}, True),
        ({"callbacks": [{"task": "next"}]}, True),
        ({"errbacks": [{"task": "sorry"}]}, False),
    ],
)
def test_somebody_waits_for_a_part_of_a_canvas(change: dict[str, Any], waited_for: bool) -> None:
    assert in_canvas(request(**change)) is waited_for
