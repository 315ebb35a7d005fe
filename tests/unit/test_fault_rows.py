"""No way of ending is left out of the fault matrix: each is played, or it is said why not."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults.bodies import BODIES
from tests.faults.broker_rows import BrokerRow, broker_rows
from tests.faults.faults import FAULTS
from tests.faults.page import PAGE, broker_cells, cells_of
from tests.faults.rows import ACKS, CELERY_RETRIES_LOST, ENDINGS, EXEMPT, POOLS, Row, rows, why_not
from tests.faults.scope_events import PERMITS, PLAYS
from tests.faults.scope_page import scope_cells
from tests.faults.scope_rows import SCOPES, ScopeRow, scope_rows
from tests.faults.store_rows import COMMANDS, SERVER_ROWS, SPOILT, WIRE_ROWS

WAYS_TO_END = (
    "return", "exception", "Ignore", "Reject", "Reject, requeued", "retry at once",
    "retry later", "autoretry", "replace", "soft time limit", "hard time limit",
    "hard time limit, SystemExit swallowed", "revoked with TERM", "revoked with KILL",
    "revoked with USR1", "child terminated", "child killed", "max tasks per child",
    "warm shutdown", "cold shutdown", "soft shutdown", "worker killed", "machine gone",
    "body longer than its ttl", "paused past its ttl",
)  # fmt: skip
"""Written down a second time, by intent: a row that is deleted from the data is missed here."""


def name(row: Row) -> str:
    return row.name


def test_every_way_of_ending_every_pool_and_every_acks_mode_is_there() -> None:
    assert tuple(ending.name for ending in ENDINGS) == WAYS_TO_END
    assert POOLS == ("prefork", "threads", "gevent", "solo")
    assert [acks.options for acks in ACKS] == [
        {"acks_late": False},
        {"acks_late": True},
        {"acks_late": True, "reject_on_worker_lost": True},
        {"acks_late": True, "retry_on_worker_lost": True},
    ]


@pytest.mark.skipif(not CELERY_RETRIES_LOST, reason="the page is written with the newest Celery")
@pytest.mark.parametrize("row", list(rows()), ids=name)
def test_a_row_was_played_with_success_or_cannot_be(row: Row) -> None:
    if not PAGE.exists():
        pytest.skip("the tests run without the documentation")
    played = [line for line in PAGE.read_text("utf-8").splitlines() if cells_of(row) in line]

    if why_not(row):
        assert played == []
    else:
        assert len(played) == 1, "run `make faults`"
        assert played[0].endswith("| ok |")


@pytest.mark.skipif(not CELERY_RETRIES_LOST, reason="the page is written with the newest Celery")
@pytest.mark.parametrize("row", list(broker_rows()), ids=lambda row: row.name)
def test_a_row_of_a_broker_was_played_with_success(row: BrokerRow) -> None:
    if not PAGE.exists():
        pytest.skip("the tests run without the documentation")
    played = [line for line in PAGE.read_text("utf-8").splitlines() if broker_cells(row) in line]

    assert len(played) == 1, "run `make faults`"
    assert played[0].endswith("| ok |")


@pytest.mark.parametrize("row", [row for row in rows() if why_not(row) is None], ids=name)
def test_a_row_that_is_played_has_a_body_and_a_fault(row: Row) -> None:
    assert row.ending.body in BODIES
    assert row.ending.fault in FAULTS


def test_each_reason_why_a_row_cannot_be_is_needed() -> None:
    reasons = Counter(why_not(row) for row in rows())

    assert all(reasons[exempt.why] for exempt in EXEMPT)


def test_prefork_has_every_row() -> None:
    known = [acks.name for acks in ACKS if CELERY_RETRIES_LOST or "retry" not in acks.name]

    assert [
        row.name
        for row in rows()
        if row.pool == "prefork" and row.acks.name in known and why_not(row)
    ] == []


def test_each_command_of_the_store_meets_each_fault_of_the_wire() -> None:
    assert {(row.command, row.how) for row in WIRE_ROWS} == {
        (command, how) for command in COMMANDS for how in SPOILT
    }
    assert len(SERVER_ROWS) == 7


# -- publishers and permits ------------------------------------------------------------------

FAULTS_OF_A_PUBLISHERS_LEASE = (
    "the publisher is killed before it sends", "the publisher is killed before it confirms",
    "the worker is killed before it adopts", "the worker is killed in the body",
    "its child is killed before it adopts", "its child is killed in the body",
    "the queue is purged", "revoked while it is queued", "expired while it is queued",
    "the visibility timeout passes while it is queued", "the connection is lost in the body",
    "dead-lettered and returned", "SQS delivers it twice",
    "the store is down as it is published, requeue", "the store is down as it is published, run",
    "the store is down as it is published, fail", "sent by name", "sent by the release before",
    "half of the workers are of the release before", "its worker has no lock for it",
)  # fmt: skip


def test_each_fault_of_a_publishers_lease_is_played_with_each_scope() -> None:
    there = {(row.what, row.scope) for row in scope_rows()}

    assert {(what, scope) for what in FAULTS_OF_A_PUBLISHERS_LEASE for scope in SCOPES} <= there
    assert ("the worker is killed after it has adopted", "until_finished") in there
    assert len([row for row in scope_rows() if row.limit == 3]) == 5
    assert {row.what for row in scope_rows()} == {*PLAYS, *PERMITS}


@pytest.mark.skipif(not CELERY_RETRIES_LOST, reason="the page is written with the newest Celery")
@pytest.mark.parametrize("row", scope_rows(), ids=lambda row: row.name)
def test_a_row_of_the_scopes_was_played_with_success(row: ScopeRow) -> None:
    if not PAGE.exists():
        pytest.skip("the tests run without the documentation")

    played = [line for line in PAGE.read_text("utf-8").splitlines() if scope_cells(row) in line]

    assert len(played) == 1
    assert played[0].endswith("| ok |")
