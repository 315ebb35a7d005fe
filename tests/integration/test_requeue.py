"""A message that is sent again is the same message: body, headers, properties, setup."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import celery
import kombu
import pytest
from celery import chain, chord, group
from celery.result import AsyncResult

from celery_lock import LockError
from tests.integration.apps import raw_app
from tests.integration.apps.raw_app import KEY, PAUSE
from tests.integration.keys import Keys, keys_at
from tests.integration.taps import Copy, Tap, differences, tap_rabbit, tap_redis
from tests.services import RedisServer, VirtualHost, Worker, sending
from tests.services.fixtures import WorkerFactory

HOPS = 2
APP = "tests.integration.apps.raw_app"
OF_REDIS = {"priority_steps": [0, 2, 4, 6, 8], "sep": ":", "global_keyprefix": "shop:"}
PICKLE = {"C_FORCE_ROOT": "true"}  # where tests run as root, Celery wants to be sure

# -- what may differ ----------------------------------------------------------------------------

OURS = {
    "headers.celery_lock",  # what we know of the message
    "headers.eta",  # our pause
    # The broker would drop the message in silence; its `expires` header ends it for all to see.
    "properties.expiration",
}
TRANSPORT = {
    "redis": {"properties.delivery_tag"},  # a new act of publishing
    "rabbit": set(),
}
LEFT_OUT = {
    # what a broker wrote for one delivery, and would be taken for the sender's own
    ("redis", "on the way"): {
        "headers.redelivered",
        "headers.x-delivery-count",
        "headers.x-death",
        "headers.x-first-death-queue",
        "headers.x-last-death-reason",
    },
    # Celery lets these options leak into properties where the transport takes any; they are
    # headers, and these stay.
    ("redis", "shown arguments"): {"properties.argsrepr", "properties.kwargsrepr"},
}
LEFT_OUT["rabbit", "on the way"] = LEFT_OUT["redis", "on the way"]

# -- the messages -------------------------------------------------------------------------------

ARGS, KWARGS = (1, "zwei \u00fc", [3.5, None]), {"four": {"deep": True}}
NESTED = {"a": [1, None, {"b": [True, 2.5, "\u00fc"]}], "empty": {}}

Case = Callable[[celery.Celery], list[str]]
"""Sends one or more messages of `raw.record`, and returns their task ids."""


def _record(app: celery.Celery, *args: Any) -> Any:
    return app.signature("raw.record", args=args).set(queue="raw")


def _plain(app: celery.Celery) -> Any:
    return app.signature("raw.plain").set(queue="raw")


def _one(make: Callable[[celery.Celery], dict[str, Any]]) -> Case:
    def send(app: celery.Celery) -> list[str]:
        task = app.tasks["raw.record"]
        options = {"args": ARGS, "kwargs": KWARGS, "queue": "raw", **make(app)}
        return [task.apply_async(**options).id]

    return send


def _with(**options: Any) -> Case:
    return _one(lambda app: options)


def _in_chain(app: celery.Celery) -> list[str]:
    result = chain(_record(app, 1), _plain(app), _record(app)).apply_async()
    return [result.parent.parent.id]


def _in_group(app: celery.Celery) -> list[str]:
    result = group(_record(app, 1), _record(app, 2)).apply_async()
    return [child.id for child in result.children]


def _in_chord(app: celery.Celery) -> list[str]:
    result = chord([_record(app, 1), _record(app, 2)], _plain(app)).apply_async()
    return [child.id for child in result.parent.children]


def _stamped(app: celery.Celery) -> list[str]:
    signature = _record(app, 1)
    signature.stamp(tenant="blue", trace=["a", "b"])
    return [signature.apply_async().id]


def _in_protocol_1(app: celery.Celery) -> list[str]:
    with celery.Celery("old", set_as_current=False, task_protocol=1) as old:
        for name in ("broker_url", "broker_transport_options", "result_backend"):
            old.conf[name] = app.conf[name]
        return [old.send_task("raw.record", ARGS, KWARGS, queue="raw").id]


def _from_elsewhere(app: celery.Celery) -> list[str]:
    """As a program in another language would: only what Celery's protocol demands."""
    task_id = f"elsewhere-{celery.utils.uuid()}"
    with app.connection_for_write() as connection:
        connection.Producer().publish(
            b'[[1, 2], {"three": 3}, null]',
            exchange="",
            routing_key="raw",
            content_type="application/json",
            content_encoding="utf-8",
            headers={
                "lang": "go",
                "task": "raw.record",
                "id": task_id,
                "celery_lock": {"v": 1, "key": KEY, "team": "blue"},
                "x-trace": "0af7",
            },
            correlation_id=task_id,
        )
    return [task_id]


CASES: dict[str, Case] = {
    "json": _with(serializer="json"),
    "json, gzip": _with(serializer="json", compression="gzip"),
    "msgpack": _with(serializer="msgpack"),
    "msgpack, gzip": _with(serializer="msgpack", compression="gzip"),
    "pickle": _with(serializer="pickle", args=({1: (2, b"\xff")}, datetime.date(2026, 1, 2))),
    "pickle, gzip": _with(serializer="pickle", compression="gzip"),
    "pickle, bzip2": _with(serializer="pickle", compression="bzip2"),
    "large": _with(serializer="json", args=("x" * 300_000,)),
    "priority": _with(priority=7),
    "lowest priority": _with(priority=0),
    "headers": _with(headers={"tenant": "blue", "nested": NESTED, "empty": None, "number": 7}),
    "our header": _with(headers={"celery_lock": {"v": 1, "key": KEY, "team": "blue"}}),
    "on the way": _with(
        headers={
            "redelivered": True,
            "x-delivery-count": 3,
            "x-death": [{"reason": "expired", "count": 1}],
            "x-first-death-queue": "q",
            "x-last-death-reason": "expired",
            "x-deaf": "mine",
        }
    ),
    "stamps": _stamped,
    "link": _one(lambda app: {"link": [_plain(app), _plain(app)]}),
    "link_error": _one(lambda app: {"link_error": [_plain(app)]}),
    "chain": _in_chain,
    "group": _in_group,
    "chord": _in_chord,
    "expires": _with(expires=600),
    "time limits": _with(time_limit=50, soft_time_limit=40.5),
    "shadow": _with(shadow="a.shadow"),
    "ignored result": _with(ignore_result=True),
    "reply_to": _with(reply_to="replies.to.here"),
    "parents": _with(root_id="root", parent_id="parent"),
    "shown arguments": _with(argsrepr="(<secret>)", kwargsrepr="{}"),
    "a later retry": _with(retries=2),
    "countdown": _with(countdown=0.2),
    "not on disk": _with(delivery_mode=1),
    "AMQP properties": _with(app_id="shop", message_id="m1", type="t", timestamp=1_700_000_000),
    "another language": _from_elsewhere,
    "protocol 1": _in_protocol_1,
}


class RequeueSetup:
    """A broker, a worker on it, and a key that its tasks meet."""

    def __init__(self, app: celery.Celery, tap: Tap, keys: Keys, worker: Worker) -> None:
        self.app, self.tap, self.keys, self.worker = app, tap, keys, worker


class Hops:
    """What became of each case's messages while their key was taken, and at last."""

    def __init__(self, setup: RequeueSetup) -> None:
        self.copies: dict[str, list[list[Copy]]] = {}
        self.results: dict[str, list[Any]] = {}
        with setup.keys.held(KEY):
            ids = {name: case(setup.app) for name, case in CASES.items()}
            for name, sent in ids.items():
                self.copies[name] = [setup.tap.wait_for(one, HOPS + 1) for one in sent]
        for name, sent in ids.items():
            if name != "ignored result":
                found = [setup.app.AsyncResult(one) for one in sent]
                self.results[name] = [result.get(timeout=20) for result in found]


@pytest.fixture(scope="module")
def on_redis(
    module_redis: RedisServer, module_worker_factory: WorkerFactory
) -> Iterator[RequeueSetup]:
    url = module_redis.url
    env = PICKLE | {raw_app.TRANSPORT: json.dumps(OF_REDIS)}
    worker = module_worker_factory(APP, broker=url, backend=url, env=env)
    conf = {"broker_url": url, "result_backend": url, "broker_transport_options": OF_REDIS}
    with (
        sending(raw_app.make_app(**conf)) as app,
        keys_at(url) as keys,
        tap_redis(module_redis) as tap,
    ):
        yield RequeueSetup(app, tap, keys, worker)


@pytest.fixture(scope="module")
def on_rabbit(
    module_redis: RedisServer, module_vhost: VirtualHost, module_worker_factory: WorkerFactory
) -> Iterator[RequeueSetup]:
    url, store = module_vhost.url, module_redis.url_for(1)
    worker = module_worker_factory(APP, broker=url, backend=store, env=PICKLE)
    with (
        sending(raw_app.make_app(broker_url=url, result_backend=store)) as app,
        keys_at(store) as keys,
        tap_rabbit(module_vhost.server, module_vhost.name) as tap,
    ):
        yield RequeueSetup(app, tap, keys, worker)


@pytest.fixture(scope="module", params=["redis", "rabbit"])
def broker(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def setup(broker: str, request: pytest.FixtureRequest) -> RequeueSetup:
    found: RequeueSetup = request.getfixturevalue(f"on_{broker}")
    return found


@pytest.fixture(scope="module")
def hops(setup: RequeueSetup) -> Hops:
    return Hops(setup)


# -- the same message ---------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_a_message_sent_again_is_the_same_message(hops: Hops, broker: str, case: str) -> None:
    left_out = LEFT_OUT.get((broker, case), set())

    for first, *later in hops.copies[case]:
        for copy in later:
            found = differences(first, copy)
            assert not set(found) - OURS - TRANSPORT[broker] - left_out
            assert {name: found[name][1] for name in left_out} == dict.fromkeys(left_out, ...)
            assert copy.parts["body"] == first.parts["body"]


def test_a_message_sent_again_runs_at_last_with_the_retries_it_had(hops: Hops) -> None:
    retries = {case: {one[2] for one in results} for case, results in hops.results.items()}

    assert retries.pop("a later retry") == {2}
    assert set().union(*retries.values()) == {0}


def test_our_header_counts_the_conflicts_and_remembers_the_first(hops: Hops) -> None:
    (_, *later) = hops.copies["json"][0]

    ours = [copy.headers["celery_lock"] for copy in later]
    assert [one["attempt"] for one in ours[:HOPS]] == [1, 2]
    assert {one["key"] for one in ours} == {KEY}
    assert {one["v"] for one in ours} == {1}
    assert len({one["first_conflict"] for one in ours}) == 1
    assert len({one["publication"] for one in ours}) == 1


@pytest.mark.parametrize("case", ["our header", "another language"])
def test_fields_of_our_header_that_we_do_not_know_are_kept(hops: Hops, case: str) -> None:
    (_, *later) = hops.copies[case][0]

    assert {copy.headers["celery_lock"]["team"] for copy in later} == {"blue"}


def test_the_eta_is_our_pause(hops: Hops) -> None:
    for copies in hops.copies.values():
        for _, *later in copies:
            for copy in later:
                eta = datetime.datetime.fromisoformat(copy.headers["eta"])
                assert eta.timestamp() - copy.seen <= PAUSE
                assert copy.seen - eta.timestamp() < 30


def test_the_body_sees_the_times_that_its_publisher_gave(hops: Hops) -> None:
    for case in hops.results:
        pairs = zip(hops.copies[case], hops.results[case], strict=True)
        for (first, *_), (*_, seen) in pairs:
            assert seen["eta"] == first.headers.get("eta")
            assert seen["expires"] == first.headers.get("expires")
            assert (seen["timelimit"] or [None, None]) == (
                first.headers.get("timelimit") or [None, None]
            )
    assert hops.results["countdown"][0][-1]["eta"]


def test_only_the_header_bounds_the_waiting_of_a_message_that_expires(hops: Hops) -> None:
    (first, *later) = hops.copies["expires"][0]

    assert first.parts["properties"].get("expiration")
    assert {copy.parts["properties"].get("expiration") for copy in later} == {None}
    assert {copy.headers["expires"] for copy in later} == {first.headers["expires"]}


# -- the same place -----------------------------------------------------------------------------


def _send(setup: RequeueSetup, exchange: kombu.Exchange, routing_key: str) -> AsyncResult[Any]:
    routing_key = routing_key or setup.app.conf.task_default_routing_key  # as its queue has
    return setup.app.tasks["raw.record"].apply_async(
        exchange=exchange.name,
        exchange_type=exchange.type,
        routing_key=routing_key,
        declare=[exchange],
    )


@pytest.mark.parametrize(
    ("exchange", "routing_key", "queue"),
    [(raw_app.ORDERS, "paid", "paid"), (raw_app.NEWS, "culture.opera", "culture")],
    ids=["direct", "topic"],
)
def test_a_message_goes_back_to_the_queue_it_came_from(
    setup: RequeueSetup, broker: str, exchange: kombu.Exchange, routing_key: str, queue: str
) -> None:
    with setup.keys.held(KEY):
        sent = _send(setup, exchange, routing_key)
        first, *later = setup.tap.wait_for(sent.id, HOPS + 1)

    *_, retries, seen = sent.get(timeout=20)
    assert retries == 0
    assert seen["delivery_info"]["exchange"] == exchange.name
    assert seen["delivery_info"]["routing_key"] == (
        routing_key or setup.app.conf.task_default_routing_key
    )
    way = {"exchange", "routing_key"}
    way |= {"properties.delivery_info.exchange", "properties.delivery_info.routing_key"}
    for copy in later:
        assert not set(differences(first, copy)) - OURS - TRANSPORT[broker] - way
        assert copy.parts.get("queue", copy.parts.get("queues")) in (f"shop:{queue}", [queue])


def test_a_message_that_has_no_queue_of_its_own_fails_and_says_so(on_redis: RequeueSetup) -> None:
    with on_redis.keys.held(KEY):
        sent = _send(on_redis, raw_app.EVERYBODY, "")

        with pytest.raises(LockError, match=r"without reaching others; use skip\(\)"):
            sent.get(timeout=20)

    assert on_redis.tap.copies(sent.id) == []


def test_two_queues_of_a_topic_are_told_apart_on_redis_too(on_redis: RequeueSetup) -> None:
    with on_redis.keys.held(KEY):
        sent = _send(on_redis, raw_app.WEATHER, "heavy.rain")
        on_redis.tap.wait_for(sent.id, 2 + 2 * HOPS)

    done = re.escape(f"Task raw.record[{sent.id}] succeeded")
    on_redis.worker.wait_for_log(f"(?s){done}.*{done}")
    assert len(re.findall(done, on_redis.worker.logs())) == 2


def test_a_message_in_two_queues_goes_back_to_each_and_does_not_multiply(
    on_rabbit: RequeueSetup,
) -> None:
    with on_rabbit.keys.held(KEY):
        sent = _send(on_rabbit, raw_app.WEATHER, "heavy.rain")
        first, *later = on_rabbit.tap.wait_for(sent.id, 1 + 2 * HOPS)

    assert sorted(first.parts["queues"]) == ["all-weather", "rain"]
    assert {tuple(copy.parts["queues"]) for copy in later} == {("all-weather",), ("rain",)}
    done = re.escape(f"Task raw.record[{sent.id}] succeeded")
    on_rabbit.worker.wait_for_log(f"(?s){done}.*{done}")
    assert len(re.findall(done, on_rabbit.worker.logs())) == 2


def test_a_broadcast_on_rabbitmq_waits_for_each_listener_by_itself(on_rabbit: RequeueSetup) -> None:
    with on_rabbit.keys.held(KEY):
        sent = _send(on_rabbit, raw_app.EVERYBODY, "")
        first, *later = on_rabbit.tap.wait_for(sent.id, 1 + HOPS)

    assert first.parts["exchange"] == "everybody"
    assert {copy.parts["exchange"] for copy in later} == {""}
    assert {tuple(copy.parts["queues"]) for copy in later} == {("everybody",)}
    assert sent.get(timeout=20)
