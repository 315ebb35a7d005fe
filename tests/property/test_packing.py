"""For all messages that brokers deliver: what is packed comes back as it was."""

from __future__ import annotations

import math
from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from celery_lock.errors import LockError
from celery_lock.message import pack, unpack
from celery_lock.message.raw import RawMessage

pytestmark = pytest.mark.property

# derandomized: the same examples on every machine; no deadline: a slow machine is no fault
steadily = settings(
    derandomize=True,
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow],
)

any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=8)
zones = st.none() | st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m)))
names = any_text | st.sampled_from(["$", "dict", "eta", "expires", "headers", "compression"])
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | any_text
    | st.binary(max_size=8)
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.dates()
    | st.times(timezones=zones)
    | st.datetimes(timezones=zones)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
senders = st.sampled_from(
    ["correlation_id", "reply_to", "message_id", "type", "app_id", "timestamp", "priority"]
)
theirs = st.sampled_from(["delivery_tag", "delivery_info", "body_encoding", "expiration"])
raws = st.builds(
    RawMessage,
    body=st.binary(max_size=40) | any_text,
    content_type=st.none() | any_text,
    content_encoding=st.none() | any_text,
    headers=st.dictionaries(names, values, max_size=4),
    properties=st.dictionaries(senders | theirs, values, max_size=4),
    queue=st.none() | any_text,
)


def same(one: Any, other: Any) -> bool:
    """Equal, of one type, and a NaN is itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other) and str(one) == str(other)


@steadily
@given(raw=raws)
@example(RawMessage(b"", "", "", {"$": {"$": ["dict", {}]}}, {}, None))
def test_what_is_packed_comes_back_as_it_was(raw: RawMessage) -> None:
    again, own = unpack(pack(raw)), raw.of_its_sender()

    assert same(vars(again), vars(own))


@steadily
@given(raw=raws)
def test_to_pack_once_more_changes_nothing(raw: RawMessage) -> None:
    packed = pack(raw)

    assert pack(unpack(packed)) == packed


@steadily
@given(raw=raws, cut=st.integers(0, 10_000), into=st.binary(min_size=1, max_size=3))
def test_a_packed_message_that_is_damaged_is_read_or_refused(
    raw: RawMessage, cut: int, into: bytes
) -> None:
    packed = pack(raw)
    cut %= len(packed)

    for damaged in (packed[:cut], packed[:cut] + into + packed[cut + len(into) :]):
        try:
            unpack(damaged)
        except LockError:
            continue
