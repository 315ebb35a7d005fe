"""A raw message as bytes: the form that every release reads, and what is refused."""

from __future__ import annotations

import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from celery_lock import LockError
from celery_lock.message import pack, unpack
from celery_lock.message.raw import RawMessage

pytestmark = pytest.mark.unit

PACKED = (
    b"1\n"
    b'{"text": false, "content_type": "application/json", "content_encoding": "utf-8",'
    b' "headers": {"id": "id-1", "x-tenant": {"name": "caf\\u00e9", "since": {"$":'
    b' ["datetime", "2026-11-23T14:00:00+01:00"]}}}, "properties": {"correlation_id": "id-1",'
    b' "priority": 3}, "queue": "fast"}\n'
    b"[[7], {}, {}]\n\xff"
)
"""As a release wrote it that had this form first. It is read for ever, or the number grows."""

ZONE = timezone(timedelta(hours=1))


def raw(**changes: Any) -> RawMessage:
    values: dict[str, Any] = {
        "body": b"[[7], {}, {}]\n\xff",
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "headers": {
            "id": "id-1",
            "x-tenant": {
                "name": "caf\u00e9",
                "since": datetime(2026, 11, 23, 14, tzinfo=ZONE),
            },
        },
        "properties": {"correlation_id": "id-1", "priority": 3},
        "queue": "fast",
    }
    return RawMessage(**{**values, **changes})


# -- the form --------------------------------------------------------------------------------


def test_a_message_that_an_earlier_release_packed_is_read() -> None:
    assert unpack(PACKED) == raw()


def test_a_message_is_packed_in_that_form() -> None:
    assert pack(raw()) == PACKED


@pytest.mark.parametrize("body", [b"", b"\n", b"1\n{}\n", "text", "\u00fc\n", "\udcff"])
def test_a_body_comes_back_as_the_bytes_or_the_text_that_it_was(body: Any) -> None:
    assert unpack(pack(raw(body=body))).body == body


@pytest.mark.parametrize("wrap", [bytearray, memoryview])
def test_a_body_may_be_a_view_of_bytes(wrap: Any) -> None:
    assert unpack(pack(raw(body=wrap(b"[]")))).body == b"[]"


@pytest.mark.parametrize(
    "value",
    [
        b"\xff\x00",
        datetime(2026, 11, 23, 14, 0, 0, 5),
        date(2026, 11, 23),
        time(14, 30, tzinfo=ZONE),
        Decimal("0.10"),
        Decimal("NaN"),
        uuid.UUID(int=7),
        float("inf"),
        {"$": 1},
        {"$": ["bytes", "AAAA"], "more": None},
        {"$": {"$": [b"\x00"]}},
    ],
    ids=repr,
)
def test_what_json_cannot_say_is_carried_all_the_same(value: Any) -> None:
    again = unpack(pack(raw(headers={"x": [value]}, properties={"type": value})))

    assert repr(again.headers) == repr({"x": [value]})
    assert repr(again.properties) == repr({"type": value})


def test_what_a_broker_wrote_for_one_delivery_stays_behind() -> None:
    """Who sends the message later would take it for the sender's own."""
    delivered = raw(
        headers={"id": "id-1", "redelivered": True, "x-death": [{"count": 1}]},
        properties={"correlation_id": "id-1", "delivery_tag": "t", "delivery_info": {"a": 1}},
    )

    again = unpack(pack(delivered))

    assert again.headers == {"id": "id-1"}
    assert again.properties == {"correlation_id": "id-1"}


# -- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize("number", [b"2", b"10", b"0"])
def test_a_format_of_another_release_is_refused_and_named(number: bytes) -> None:
    with pytest.raises(
        LockError, match=rf"has the format {number.decode()}, and this .* reads the format 1"
    ):
        unpack(number + PACKED[1:])


@pytest.mark.parametrize("packed", [b"", b"\n", b"x\n{}\n", b'{"a": 1}', b"1", b"-1\n{}\n"])
def test_what_is_no_packed_message_is_refused(packed: bytes) -> None:
    with pytest.raises(LockError, match="packed message"):
        unpack(packed)


@pytest.mark.parametrize(
    "packed",
    [
        b"1\n",
        b"1\n{\n",
        b"1\n[]\n",
        b"1\n{}\n",
        PACKED[:100],
        PACKED.replace(b'"queue": "fast"', b'"q": "fast"'),
        PACKED.replace(b'"datetime"', b'"moment"'),
        PACKED.replace(b"2026-11-23", b"yesterday"),
        PACKED.replace(b'["datetime", ', b"["),
        PACKED.replace(b'"text": false', b'"text": true'),
    ],
)
def test_a_packed_message_that_is_broken_is_refused(packed: bytes) -> None:
    with pytest.raises(LockError, match="the packed message is broken"):
        unpack(packed)


@pytest.mark.parametrize("value", [object(), {1: 2}, {"a", "b"}, 1j])
def test_what_no_broker_delivers_is_refused_and_shown(value: Any) -> None:
    with pytest.raises(LockError, match=r"the message holds .* which no broker delivers"):
        pack(raw(headers={"x": {"y": [value]}}))


@pytest.mark.parametrize("body", [None, 7, ["text"]])
def test_a_body_that_is_none_is_refused(body: Any) -> None:
    with pytest.raises(LockError, match=r"the body of the message is \w+, which is no body"):
        pack(raw(body=body))
