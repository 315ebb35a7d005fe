"""What a body sees of how its message was published, after it was sent again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery.app.task import Context

from celery_lock.message import Header, note_published
from celery_lock.message.as_published import show_published

TOPIC = {"exchange": "news", "routing_key": "news.rain"}
BACK = {"exchange": "", "routing_key": "rain"}
"""The way by which a message goes back to its queue."""
ETA, PAUSE = "2026-11-23T14:00:00+00:00", "2026-11-23T15:00:00+00:00"


def sent_again(
    *, info: Any = TOPIC, eta: Any = ETA, queue: str | None = "rain", **header: Any
) -> dict[str, Any]:
    """Return our header in the form in which it travels with a message that we have sent again."""
    request = Context({"id": "id-1", "delivery_info": info, "eta": eta})
    return note_published(
        Header(id="id-1", publication="n-1", attempt=1, **header), request, queue
    ).write()


def request_dict(written: Any, **changes: Any) -> dict[str, Any]:
    """Return what Celery makes of that message."""
    about = {"id": "id-1", "eta": PAUSE, "retries": 0, "celery_lock": written}
    return {**about, "delivery_info": {**BACK, "priority": 3}, "properties": {}, **changes}


def test_a_body_sees_the_way_and_the_eta_of_the_publisher() -> None:
    about = request_dict(sent_again())

    show_published(about, "rain")

    assert about["eta"] == ETA
    assert about["delivery_info"] == {**TOPIC, "priority": 3}


@pytest.mark.parametrize("eta", [None, ETA])
def test_a_message_that_was_sent_to_its_queue_keeps_that_way(eta: str | None) -> None:
    written = sent_again(info=BACK, eta=eta)
    about = request_dict(written)

    show_published(about, "rain")

    assert about["eta"] == eta
    assert about["delivery_info"] == {**BACK, "priority": 3}
    assert set(written["published"]) <= {"eta"}


def test_what_is_sent_again_twice_shows_what_was_published_first() -> None:
    once = request_dict(sent_again())
    show_published(once, "rain")
    twice = request_dict(sent_again(info=once["delivery_info"], eta=once["eta"]))

    show_published(twice, "rain")

    assert (twice["delivery_info"]["exchange"], twice["eta"]) == ("news", ETA)


def test_an_exchange_without_routing_keys_shows_an_empty_one() -> None:
    about = request_dict(sent_again(info={"exchange": "everybody", "routing_key": ""}))

    show_published(about, "rain")

    assert about["delivery_info"] == {"exchange": "everybody", "routing_key": "", "priority": 3}


def test_the_properties_of_a_virtual_broker_say_the_same() -> None:
    properties = {"delivery_info": {**BACK, "priority": 3}, "delivery_tag": "tag-1"}
    about = request_dict(sent_again(), properties=dict(properties))

    show_published(about, "rain")

    assert about["properties"] == {**properties, "delivery_info": {**TOPIC, "priority": 3}}
    assert properties["delivery_info"] == {**BACK, "priority": 3}


def test_a_dead_letter_in_another_queue_shows_how_it_came_there() -> None:
    about = request_dict(sent_again(), delivery_info={"exchange": "", "routing_key": "dead"})

    show_published(about, "dead")

    assert about["delivery_info"] == {"exchange": "", "routing_key": "dead"}


@pytest.mark.parametrize("queue", [None, "rain"])
def test_a_message_without_a_queue_of_its_own_shows_how_it_came(queue: str | None) -> None:
    about = request_dict(sent_again(queue=None))

    show_published(about, queue)

    assert about["delivery_info"] == {**BACK, "priority": 3}


@pytest.mark.parametrize(
    "changes",
    [{"id": "id-2"}, {"retries": 1}, {"replaced_task_nesting": 1}],
    ids=["another task", "a retry", "a replacement"],
)
def test_what_was_published_anew_shows_its_own_way(changes: dict[str, Any]) -> None:
    """Celery copies the headers of a task into its retry."""
    about = request_dict(sent_again(), **changes)

    show_published(about, "rain")

    assert (about["eta"], about["delivery_info"]) == (PAUSE, {**BACK, "priority": 3})


def test_a_retry_that_was_sent_again_shows_its_own_way_too() -> None:
    about = request_dict(sent_again(retries=2, nesting=1), retries=2, replaced_task_nesting=1)

    show_published(about, "rain")

    assert about["eta"] == ETA


@pytest.mark.parametrize(
    "written", [None, "rain", {}, {"v": 1, "key": "k"}, {"v": 1, "published": "news"}]
)
def test_what_is_not_of_ours_is_left_to_the_run_to_refuse(written: Any) -> None:
    about = request_dict(written)

    show_published(about, "rain")

    assert (about["eta"], about["delivery_info"]) == (PAUSE, {**BACK, "priority": 3})


def test_the_copy_among_the_inner_headers_counts_where_it_is_the_only_one() -> None:
    about = request_dict(None, headers={"celery_lock": sent_again()})

    show_published(about, "rain")

    assert about["eta"] == ETA


@pytest.mark.parametrize("info", [None, {}, {"exchange": None, "redelivered": False}])
def test_a_request_that_says_nothing_of_its_way_has_none_to_note(info: Any) -> None:
    request: Any = SimpleNamespace(delivery_info=info, eta=None)

    assert note_published(Header(), request, "rain").published == {}
