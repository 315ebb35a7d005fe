"""The records of a space are listed and read together, and apart from all others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ..model import Change, LockStore
from .records import Records

__all__ = ["RecordSpaces"]

ODD_TEXTS = [
    "",
    " with space ",
    "{braces}",
    "%7Bbraces%7D",
    "}{",
    "100%",
    "a:b",
    '{"last": [1, null]}',
    "line\nbreak\r\n",
    "nul\0",
    "k\u00e4se \u4e2d\u6587 \U0001f512",
    "half a pair \ud83d",
    "x" * 8192,
]


class RecordSpaces(Records):
    """Many records, and their texts."""

    def test_the_names_are_those_of_live_records_in_order(
        self, store: LockStore, space: str
    ) -> None:
        for name in ("hourly", "daily", "monthly"):
            self.done(store, replace(self.a_change(space, "first"), name=name))
        short = replace(self.a_change(space, "first"), name="brief", ttl=self.short)
        self.done(store, short)

        self.outlast(self.short)

        assert store.names(space) == ["daily", "hourly", "monthly"]

    def test_a_space_without_records_has_no_names(self, store: LockStore, space: str) -> None:
        assert store.names(space) == []

    def test_many_records_are_read_in_order_with_holes(self, store: LockStore, space: str) -> None:
        names = [f"entry {n}" for n in range(500)]
        for name in names[::7]:
            self.done(store, replace(self.a_change(space, "first"), name=name, value=name))

        records, now = store.records(space, names)

        values = [None if record is None else record.value for record in records]
        assert values == [None if n % 7 else name for n, name in enumerate(names)]
        assert all(now - 60 < record.written <= now for record in records if record)
        assert store.names(space) == sorted(names[::7])

    def test_a_record_that_is_named_twice_is_read_twice(self, store: LockStore, space: str) -> None:
        record = self.done(store, self.a_change(space, "first"))

        assert store.records(space, ["nightly", "no", "nightly"])[0] == [record, None, record]

    def test_to_read_no_record_tells_the_time(self, store: LockStore, space: str) -> None:
        records, now = store.records(space, [])

        assert records == []
        assert now <= self.done(store, self.a_change(space, "first")).written

    def test_spaces_do_not_meet(self, store: LockStore, space: str) -> None:
        other = f"{space}:nightly"
        self.done(store, self.a_change(space, "first"))

        assert self.standing(store, other) is None
        self.done(store, self.a_change(other, "another"))

        self.done(store, self.a_change(space, "second", after="first"))
        assert store.names(space) == store.names(other) == ["nightly"]

    def test_records_of_two_prefixes_do_not_meet(self, store: LockStore, space: str) -> None:
        other = self.open_store("contract-too:")
        self.done(store, self.a_change(space, "first"))

        assert other.names(space) == []
        assert self.standing(other, space) is None
        self.done(other, self.a_change(space, "another"))
        other.close()

    def test_a_record_is_no_lock(self, store: LockStore, space: str) -> None:
        claim = self.a_claim(space)
        lease = self.granted(store, claim)

        self.done(store, self.a_change(space, "first"))

        for key in ("nightly", f"{space}:nightly"):
            assert store.peek(key) is None
        assert store.names(space) == ["nightly"]
        assert store.release(lease)
        assert self.standing(store, space) is not None

    @pytest.mark.parametrize("odd", ODD_TEXTS, ids=lambda text: ascii(text[:20]))
    def test_any_text_is_kept_as_it_is(self, store: LockStore, space: str, odd: str) -> None:
        change = Change(space + odd, odd, None, odd, odd, 30.0)

        record = self.done(store, change)

        assert store.records(space + odd, [*ODD_TEXTS, "x"])[0] == [
            record if text == odd else None for text in [*ODD_TEXTS, "x"]
        ]
        assert store.names(space + odd) == [odd]
        for other in ODD_TEXTS:
            assert other == odd or store.names(space + other) == []
        self.done(store, replace(change, expected=odd, stamp="second"))
