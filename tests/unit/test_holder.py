"""The written form of a holder: a delivery, or the retry that a key is kept for."""

from __future__ import annotations

import pytest

from celery_lock.model import Claim, Holder
from celery_lock.model.holder import retry_no_of

pytestmark = pytest.mark.unit

DELIVERY = Holder("id-1", "shop@a", 4711, "0a")
RETRY = Holder.for_retry("id-1", 2)
HOLD = Holder.outside("web-1", 12, "ab.3")


@pytest.mark.parametrize(
    "holder", [DELIVERY, RETRY, HOLD, Holder.for_retry("a/queued/1", 3)], ids=str
)
def test_a_holder_reads_as_it_was_written(holder: Holder) -> None:
    assert Holder.parse(str(holder)) == holder


def test_a_key_that_is_kept_for_a_retry_has_no_process() -> None:
    assert str(RETRY) == "id-1/queued/2"
    assert (RETRY.retry_no, RETRY.node, RETRY.pid, RETRY.nonce) == (2, "", 0, "")
    assert DELIVERY.retry_no is None


@pytest.mark.parametrize(
    "written", ["id-1#queued#1#", "id-1/queued/", "id-1/queued/x", "id-1/queued/01", "queued/1"]
)
def test_what_only_looks_like_a_kept_key_is_none(written: str) -> None:
    assert Holder.parse(written).retry_no is None


@pytest.mark.parametrize(
    ("written", "task_id"),
    [
        ("id-1#shop@a#4711#0a", "id-1"),
        ("a#b#shop@a#4711#0a", "a#b"),
        ("id-1/queued/2", "id-1"),
        ("a/queued/2#shop@a#4711#0a", "a/queued/2"),
        ("another program", "another program"),
    ],
)
def test_a_claim_knows_its_task(written: str, task_id: str) -> None:
    assert Claim("k", written, 1.0).task_id == task_id
    assert Holder.parse(written).task_id == task_id


def test_each_hold_outside_a_task_is_somebody_else() -> None:
    other = Holder.outside("web-1", 12, "ab.4")

    assert Claim("k", str(HOLD), 1.0).task_id != Claim("k", str(other), 1.0).task_id
    assert HOLD.is_hold
    assert not DELIVERY.is_hold


def test_a_message_names_a_task_by_its_id_and_a_hold_by_its_place() -> None:
    assert DELIVERY.who == "id-1"
    assert HOLD.who == "hold() on web-1 (pid 12)"
    assert Holder.parse("hold()/ab").who == "hold()"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a#n#1#x",
        "a/queued/3",
        "a#b/queued/0",
        "a/queued/03",
        "a#n#1#x/queued/2",
        "a\nb/queued/1",
    ],
)
def test_the_retry_number_can_be_read_alone(text: str) -> None:
    assert retry_no_of(text) == Holder.parse(text).retry_no
