"""For all headers: each act of publishing keeps exactly the fields that declare to survive it."""

from __future__ import annotations

import json
from dataclasses import MISSING, Field, fields
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celery_lock.message import HEADER, Header, tick_header
from celery_lock.message.carried import Survives

pytestmark = pytest.mark.property

# derandomized: the same examples on every machine; no deadline: a slow machine is no fault
steadily = settings(derandomize=True, deadline=None, max_examples=300)

names = st.text(min_size=1, max_size=8)
counts = st.integers(0, 2**40)
# a message is JSON, so what it holds comes out of it as it was
finite = st.floats(0, 1e10) | st.integers(0, 10**10)
in_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
ticks = st.builds(
    lambda entry, due, more: {**more, "entry": entry, "due": due.isoformat()},
    names,
    st.datetimes(datetime(1971, 1, 1), timezones=st.just(timezone.utc)),
    st.dictionaries(names, in_json, max_size=2),
)
OURS = {"v", *(each.name for each in fields(Header))} - {"extra"}

# (a name close to `key` is an error where no key stands, see the unit tests)
unknown = st.dictionaries(
    names.filter(lambda name: name not in OURS and not {"k", "e", "y"} & {*name.lower()}),
    in_json,
    max_size=3,
)
headers = st.builds(
    Header,
    key=st.none() | names,
    publication=names,  # of ours there is always one, and an id
    attempt=counts,
    first_conflict=st.none() | finite,
    outages=counts,
    turns=counts,
    deliveries=counts,
    waited=finite,
    kept=st.none() | names,
    all_kept=st.none() | st.lists(names, min_size=1),
    retries=counts,
    nesting=counts,
    extra=unknown,
    given=st.booleans(),
    beat=st.none() | ticks,
    first_published=st.none() | finite,
    first_mark=st.none() | names,
    id=names,
    keys=st.none() | st.lists(names, min_size=1, max_size=3),
    had=st.booleans(),
    unlocked=st.booleans(),
    lease=st.none()
    | st.fixed_dictionaries({"names": st.lists(names, min_size=1, max_size=3), "store": names}),
    verdict=st.sampled_from([None, "skip", "fail"]),
    met=st.none() | st.fixed_dictionaries({"key": names, "by": names, "expires_in": finite}),
    wait=st.booleans(),
    shown=st.none() | st.dictionaries(names, names, max_size=2),
    published=st.none() | st.dictionaries(names, names, max_size=2),
)
READ_ELSEWHERE = {"others", "queue"}
"""Other headers of the message, and where it is: not written into ours."""


def test_these_headers_have_every_field() -> None:
    made = set(headers.wrapped_strategy.kwargs)  # type: ignore[attr-defined]

    assert made | READ_ELSEWHERE == {each.name for each in fields(Header)}


def received(written: dict[str, Any], *, retries: int, nesting: int) -> Header:
    travelled = json.loads(json.dumps({HEADER: written}))
    return Header.read(travelled, retries=retries, nesting=nesting)


def of(header: Header, act: Survives) -> dict[str, Any]:
    """What comes through, by the declarations alone."""

    def survives(each: Field[Any]) -> bool:
        declared: Survives = each.metadata["survives"]
        if act is Survives.ANEW and header.given and Survives.ANEW_IF_GIVEN in declared:
            return True
        return act in declared

    def default(each: Field[Any]) -> Any:
        return each.default if each.default is not MISSING else each.default_factory()  # type: ignore[misc]

    return {
        each.name: getattr(header, each.name) if survives(each) else default(each)
        for each in fields(Header)
    }


def as_dict(header: Header) -> dict[str, Any]:
    return {each.name: getattr(header, each.name) for each in fields(Header)}


@steadily
@given(header=headers)
def test_what_we_send_again_keeps_all(header: Header) -> None:
    again = received(header.write(), retries=header.retries, nesting=header.nesting)

    assert as_dict(again) == of(header, Survives.MESSAGE) == as_dict(header)


@steadily
@given(header=headers, retries=counts)
def test_a_retry_keeps_what_survives_a_retry(header: Header, retries: int) -> None:
    retries += retries == header.retries

    retry = received(header.write(), retries=retries, nesting=header.nesting)

    assert as_dict(retry) == {
        **of(header, Survives.ANEW),
        "retries": retries,
        "nesting": header.nesting,
    }


@steadily
@given(header=headers, retries=counts, nesting=counts)
def test_a_replacement_keeps_what_survives_a_replacement(
    header: Header, retries: int, nesting: int
) -> None:
    nesting += nesting == header.nesting

    other = received(header.write(), retries=retries, nesting=nesting)

    assert as_dict(other) == {
        **of(header, Survives.ANEW),
        "retries": retries,
        "nesting": nesting,
    }


@steadily
@given(header=headers, due=st.integers(10**8, 10**10))
def test_a_tick_keeps_what_survives_one_of_what_its_entrys_author_wrote(
    header: Header, due: int
) -> None:
    first = received(header.write(), retries=0, nesting=0)  # an entry is nobody's retry

    tick = received(tick_header("shop", "nightly", due, header.write()), retries=0, nesting=0)

    its_own = {"publication", "beat", "first_published"}
    assert tick.publication is not None
    assert tick.beat is not None
    assert (tick.beat["entry"], tick.first_published) == ("nightly", due)
    assert {n: v for n, v in as_dict(tick).items() if n not in its_own} == {
        n: v for n, v in of(first, Survives.TICK).items() if n not in its_own
    }


@steadily
@given(
    key=st.none() | names,
    more=unknown,
    retries=st.integers(0, 3),
    again=st.integers(0, 3),
)
def test_a_sender_that_names_the_key_is_heard_by_every_retry(
    key: str | None, more: dict[str, Any], retries: int, again: int
) -> None:
    """It writes neither `retries` nor `nesting`, and may have sent a message that has some."""
    sent = received({"v": 1, "key": key, **more}, retries=retries, nesting=0)
    retry = received(sent.write(), retries=again, nesting=0)

    assert (sent.key, sent.given, sent.extra) == (key, key is not None, more)
    if key is not None:
        assert (retry.key, retry.given, retry.extra) == (key, True, more)
