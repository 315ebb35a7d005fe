"""The texts of a stepped store: what is not known is an error, and what has ended is not there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from celery_lock.errors import StoreError
from celery_lock.model import Record
from celery_lock.stores.entries import (
    Standing,
    read_index,
    read_record,
    read_state,
    read_tombstone,
    write_index,
    write_record,
    write_state,
    write_tombstone,
)
from celery_lock.stores.key_state import FREE, KeyState, Permit
from celery_lock.stores.tombstones import Tombstone

pytestmark = pytest.mark.unit

STATE = KeyState(
    (
        Permit(0, "id-1#n#1#0a", 7, 5, 90, "p1", limit=3, floor=80, floor_before=60),
        Permit(1, "id-2/queued/1", 9, 6, 0, released_at=8, released_before=("id-2#n#1#0b", 4)),
        Permit(
            2, "id-3#n#1#0c", 10, 7, 95, took_over=("id-3/queued/2", 50, "of"), unconfirmed=True
        ),
    ),
    undone=(("id-4#n#1#0d", 70),),
)


def changed(text: str, **fields: Any) -> str:
    return json.dumps({**json.loads(text), **fields})


def test_a_state_reads_as_it_was_written() -> None:
    assert read_state(write_state(STATE)) == STATE
    assert read_state(write_state(FREE)) == FREE
    assert read_state(None) == FREE


def test_the_text_of_a_state_is_ascii_and_leaves_out_what_is_usual() -> None:
    text = write_state(KeyState((Permit(0, "k\u00e4se#n#1#0a", 7, 5, 90),)))

    assert text.isascii()
    assert json.loads(text)["permits"] == [
        {"holder": "k\u00e4se#n#1#0a", "token": 7, "since": 5, "expiry": 90}
    ]


def test_what_was_taken_over_before_it_showed_anything_is_read() -> None:
    """The text of a process of the release before."""
    permit = {"holder": "id-1#n#1#0a", "token": 7, "since": 5, "expiry": 90}
    permit["took_over"] = ["id-1/queued/2", 50]

    state = read_state(changed(write_state(FREE), permits=[permit]))

    assert state.permits[0].took_over == ("id-1/queued/2", 50, "")


def test_a_permit_with_a_mark_that_is_not_known_is_an_error() -> None:
    permit = {**json.loads(write_state(STATE))["permits"][0], "colour": 1}

    with pytest.raises(StoreError, match="has colour, which this release"):
        read_state(changed(write_state(STATE), permits=[permit]))


def test_an_entry_with_a_field_that_is_not_known_is_an_error() -> None:
    with pytest.raises(StoreError, match="has colour, which this release"):
        read_state(changed(write_state(STATE), colour=1))


def test_an_entry_of_another_layout_is_an_error() -> None:
    with pytest.raises(StoreError, match="has layout 3, which this release"):
        read_state(changed(write_state(STATE), v=3))


def test_what_has_ended_is_not_there_though_nobody_has_forgotten_it() -> None:
    record = write_record(Standing(Record("one", "x", 1.0), 5))
    tombstone = write_tombstone(Tombstone(3, 2, True, 5))
    index = write_index({"nightly": 5, "hourly": 6})

    assert read_record(record, (4, 9)) is not None
    assert read_record(record, (5, 5)) is None
    assert read_tombstone(tombstone, (4, 9)) == Tombstone(3, 2, True, 5)
    assert read_tombstone(tombstone, (5, 5)) is None
    assert read_index(index, (5, 5)) == {"hourly": 6}
    assert (read_record(None, (0, 0)), read_tombstone(None, (0, 0))) == (None, None)
    assert read_index(None, (0, 0)) == {}


def test_a_record_of_the_release_before_is_told_where_no_result_was_due() -> None:
    def written(due: bool) -> str:
        return json.dumps({"v": 2, "completed": 3, "result_due": due, "until": 5})

    assert read_tombstone(written(False), (4, 4)) == Tombstone(told=3, until=5)
    assert read_tombstone(written(True), (4, 4)) == Tombstone(ended=3, until=5)
