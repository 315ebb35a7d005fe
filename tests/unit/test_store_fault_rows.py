"""The rows of the stores' faults: each kind has a control, and the page has what was kept."""

from __future__ import annotations

import pytest

from celery_lock.stores.registry import factories
from tests.services.waiting import STALL
from tests.stores.kinds import kinds, rows_of, scheme_of
from tests.stores.page import PAGE, page
from tests.stores.results import kept


@pytest.mark.parametrize("kind", kinds())
def test_each_kind_has_the_same_load_without_a_lock_and_without_a_fault(kind: str) -> None:
    plain, calm, *faults = rows_of(kind)

    assert (plain.locked, plain.befall) == (False, calm.befall)
    assert all(row.locked for row in (calm, *faults))
    assert faults


def test_the_load_goes_on_for_as_long_as_a_grant_may_take() -> None:
    slow = [row for kind in kinds() for row in rows_of(kind) if row.promise.back_within > 5]

    assert slow
    assert [row.name for row in slow if row.goes_on <= row.promise.back_within + STALL] == []


@pytest.mark.parametrize("kind", kinds())
def test_each_row_is_short_enough_for_a_table(kind: str) -> None:
    assert [row.fault for row in rows_of(kind) if len(row.fault.split()) > 14] == []


def test_the_page_is_what_the_kept_plays_say() -> None:
    if not PAGE.exists():
        pytest.skip("nothing was kept yet, or the tests run without the documentation")

    assert PAGE.read_text("utf-8") == page()


@pytest.mark.parametrize("kind", kinds())
def test_what_is_kept_was_played_five_times_at_least(kind: str) -> None:
    found = {name: len(row["plays"]) for name, row in kept(kind).items()}

    assert {name: times for name, times in found.items() if times < 5} == {}
    assert set(found) <= {row.name for row in rows_of(kind)}


SAME = {
    "rediss": "redis", "unix": "redis", "redis+socket": "redis",
    "rediss+cluster": "redis+cluster", "etcds": "etcd",
}  # fmt: skip
"""Schemes of one store over another kind of connection."""


def test_each_store_that_has_servers_has_rows() -> None:
    own = {
        name for name, entry in factories().items() if entry.value.startswith("celery_lock.stores.")
    }
    played = {scheme_of(kind) for kind in kinds()}

    assert {SAME.get(name, name) for name in own - {"memory"}} == played
