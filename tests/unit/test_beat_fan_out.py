"""Several messages for one tick, one for each tenant: all are kept, and none is repeated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest
from celery import Celery, signals
from celery.beat import BeatLazyFunc, Scheduler

from celery_lock.beat import LockedScheduler, LockedSchedulerMixin
from tests.unit.beat_world import NOON, Sent, World, every

pytestmark = pytest.mark.unit

TENANTS = ["alpha", "beta", "gamma"]


class Tenants:
    """The tenants as the next query gives them, and the one that messages are sent for."""

    def __init__(self) -> None:
        self.orders: list[list[str]] = []
        self.present: str | None = None

    def query(self) -> list[str]:
        return self.orders.pop(0) if self.orders else TENANTS

    @contextmanager
    def of(self, tenant: str) -> Iterator[None]:
        self.present = tenant
        yield
        self.present = None


THE = Tenants()
"""The tenants of a test: schedulers are made by Celery, and find them here."""


@pytest.fixture(autouse=True)
def tenants() -> Tenants:
    THE.__init__()  # type: ignore[misc]
    return THE


# -- the ways of schedulers ------------------------------------------------------------------


class ByOptions(Scheduler):
    """Changes the entry's own options between its sends."""

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        for tenant in THE.query():
            entry.options["headers"] = {"tenant": tenant}
            self.apply_async(entry, producer=producer, advance=False)


class ByArguments(Scheduler):
    """Gives each tenant's name to the task."""

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        for tenant in THE.query():
            entry.kwargs = {"tenant": tenant}
            entry.options["headers"] = {"tenant": tenant}
            self.apply_async(entry, producer=producer, advance=False)


class ByApplyAsync(Scheduler):
    """Sends several messages where Celery sends one, from the entry that it is given."""

    def apply_async(self, entry: Any, *args: Any, **options: Any) -> Any:
        for tenant in THE.query():
            entry.options["headers"] = {"tenant": tenant}
            result = super().apply_async(entry, *args, **options)
        return result


class BySending(Scheduler):
    """Sends with none of Celery's `apply_async`, and with the app's producer."""

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        for tenant in THE.query():
            self.send_task(entry.task, headers={"tenant": tenant})


class ByTheApp(Scheduler):
    """Leaves it to the app to say which tenant it is, as tenant-schemas-celery does."""

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        for tenant in THE.query():
            with THE.of(tenant):
                try:
                    self.apply_async(entry, producer=producer, advance=False)
                except Exception as error:
                    self.logger.exception(error)


class TenantApp(Celery):
    """Adds the present tenant to the headers of whatever it sends."""

    def send_task(self, *args: Any, **options: Any) -> Any:
        if THE.present is not None:
            options["headers"] = {**(options.get("headers") or {}), "tenant": THE.present}
        return super().send_task(*args, **options)


class ByAReceiver(ByTheApp):
    """Leaves it to a receiver of `before_task_publish`."""


def add_tenant(headers: dict[str, Any], **_: Any) -> None:
    if THE.present is not None:
        headers["tenant"] = THE.present


class Advancing(Scheduler):
    """Leaves `advance` as it is by default, so that each message moves the entry's last run."""

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        for tenant in THE.query():
            entry.options["headers"] = {"tenant": tenant}
            self.apply_async(entry, producer=producer)


class FromThreads(Scheduler):
    """Sends from a thread for each tenant."""

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        def send(tenant: str) -> None:
            mine = type(entry)(**{**dict(entry), "options": {"headers": {"tenant": tenant}}})
            self.apply_async(mine, producer=producer, advance=False)

        for tenant in THE.query():
            thread = Thread(target=send, args=(tenant,))
            thread.start()
            thread.join()


class ByPosition(Scheduler):
    """Gives what Celery takes by position, and no id."""

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        for tenant in THE.query():
            headers = {"tenant": tenant}
            self.app.send_task(entry.task, (), {}, None, None, None, producer, headers=headers)


WAYS = [ByOptions, ByArguments, ByApplyAsync, BySending, ByTheApp, ByAReceiver]
WAYS += [Advancing, FromThreads, ByPosition]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    """Make a world for a way to send."""

    def make(way: type, beats: str = "ab", above: bool = False) -> World:
        world = World(every(10))
        if way is ByTheApp:
            world.app_class = TenantApp
        if way is ByAReceiver:
            signals.before_task_publish.connect(add_tenant)
        bases = (LockedSchedulerMixin, way) if not above else (LockedScheduler,)
        body = {n: v for n, v in vars(way).items() if n.startswith("apply_")} if above else {}
        for name in beats:
            world.beat(name, kind=type("Ours", bases, dict(body)))
        return world

    yield make
    signals.before_task_publish.disconnect(add_tenant)


def named(sent: Sent) -> tuple[str, str]:
    return sent.task_id, sent.headers["celery_lock"]["publication"]


def by_tenant(world: World) -> dict[tuple[str, float], list[Sent]]:
    found: dict[tuple[str, float], list[Sent]] = {}
    for sent in world.sent:
        found.setdefault((sent.headers["tenant"], sent.due), []).append(sent)
    return found


# -- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_each_message_of_a_tick_has_an_id_and_a_publication_of_its_own(
    way: type, play: Callable[..., World]
) -> None:
    world = play(way)

    world.run(35)

    assert Counter(s.headers["tenant"] for s in world.sent) == dict.fromkeys(TENANTS, 3)
    assert len({s.task_id for s in world.sent}) == len(world.sent)
    assert len({named(s)[1] for s in world.sent}) == len(world.sent)
    assert {s.headers["celery_lock"]["beat"]["entry"] for s in world.sent} == {"e"}


@pytest.mark.parametrize("way", WAYS)
def test_every_beat_gives_a_message_the_same_names_in_whatever_order(
    way: type, play: Callable[..., World], tenants: Tenants
) -> None:
    worlds = [play(way), play(way)]
    tenants.orders = [TENANTS, ["gamma", "delta", "alpha", "beta"]]

    for world in worlds:
        world.run(11)
    first, second = (
        {tenant: named(sent) for (tenant, _), (sent,) in by_tenant(world).items()}
        for world in worlds
    )

    assert {tenant: second[tenant] for tenant in TENANTS} == first
    assert second["delta"] not in first.values()


@pytest.mark.parametrize("way", [way for way in WAYS if way is not FromThreads])
def test_a_tick_whose_beat_dies_in_the_middle_is_completed_and_nothing_is_repeated(
    way: type, play: Callable[..., World], tenants: Tenants
) -> None:
    world = play(way)
    tenants.orders = [TENANTS, ["gamma", "delta", "alpha", "beta"]]
    world.next["published"] = lambda beat: world.next.update(
        published=lambda beat: world.next.update(publishing=world.die)
    )

    world.run(29)
    sent = by_tenant(world)

    due = world.sent[0].due
    assert {tenant for tenant, of in sent if of == due} == {*TENANTS, "delta"}
    # the second one was with the broker when its beat died, which had not written that down
    assert [len(copies) for copies in sent.values() if len(copies) > 1] in ([], [2])
    assert all(len({named(copy) for copy in copies}) == 1 for copies in sent.values())


@pytest.mark.parametrize("way", [ByOptions, ByTheApp, BySending])
def test_a_tick_whose_beat_is_stopped_in_the_middle_is_completed_without_a_copy(
    way: type, play: Callable[..., World], tenants: Tenants
) -> None:
    world = play(way)
    tenants.orders = [TENANTS, ["gamma", "beta", "alpha"]]
    # (the broker has taken the second)
    world.next["published"] = lambda beat: world.next.update(
        published=lambda beat: world.next.update(publishing=world.stop)
    )

    world.run(15)

    assert sorted(world.sent[i].headers["tenant"] for i in range(len(world.sent))) == TENANTS


# -- failures --------------------------------------------------------------------------------


class Careful(BySending):
    """Sends by itself, and goes on after a tenant whose message fails."""

    def send_task(self, *args: Any, **options: Any) -> Any:
        try:
            return super().send_task(*args, **options)
        except Exception as error:
            self.logger.exception(error)


@pytest.mark.parametrize("way", [ByTheApp, Careful])
def test_a_message_that_fails_is_tried_again_and_the_others_are_not(
    way: type, play: Callable[..., World]
) -> None:
    world = play(way)
    refused: list[str] = []

    def refuse_twice(headers: dict[str, Any]) -> bool:
        if headers["tenant"] == "beta" and len(refused) < 2:
            refused.append(headers["id"])
            return True
        return False

    world.refuse_message = refuse_twice

    world.run(29)

    assert {len(copies) for copies in by_tenant(world).values()} == {1}
    assert Counter(s.headers["tenant"] for s in world.sent) == dict.fromkeys(TENANTS, 2)
    assert {s.task_id for s in world.sent} >= set(refused)


def test_a_tenant_that_always_fails_holds_up_no_other_one(play: Callable[..., World]) -> None:
    world = play(ByTheApp)
    world.refuse_message = lambda headers: bool(headers["tenant"] == "beta")

    world.run(105)

    assert Counter(s.headers["tenant"] for s in world.sent) == {"alpha": 10, "gamma": 10}
    assert all(s.at - s.due < 1.5 for s in world.sent)


def test_a_fan_out_that_takes_longer_than_a_claim_lives_is_sent_by_one_beat(
    play: Callable[..., World], tenants: Tenants
) -> None:
    world = play(ByOptions, beats="a")
    many = [f"t{n:03}" for n in range(300)]
    tenants.orders = [many] * 9
    slow = world.publish
    world.publish = lambda beat, headers: (world.clock.move(0.1), slow(beat, headers))[1]  # type: ignore[method-assign]
    other = world.beat("b", kind=type(world.beats[0].scheduler).__mro__[1])

    world.run(45)

    first = [s for s in world.sent if s.due == world.sent[0].due]
    assert Counter(s.headers["tenant"] for s in first) == dict.fromkeys(many, 1)
    assert other.died is None


# -- what a name is made of ------------------------------------------------------------------


def ids(world: World) -> list[str]:
    world.run(11)
    return [sent.task_id for sent in world.sent]


def one(options: dict[str, Any] | None = None, **entry: Any) -> list[str]:
    world = World({"e": {"task": "t:e", "schedule": 10.0, "options": options or {}, **entry}})
    world.beat("a")
    return ids(world)


def test_what_tools_write_anew_is_no_part_of_a_name() -> None:
    plain = one({"headers": {"tenant": "a"}})

    for traced in (
        {"traceparent": "00-1-2-03", "baggage": "x", "Sentry-Trace": "5"},
        {"x-datadog-trace-id": "1", "headers": {"sentry-trace": "7", "tenant": "a"}},
        {"elasticapm": {"trace_parent_string": "00-1-2-01"}},
        {"scout_task_start": "1796056937.1", "sw8": "1-x", "sw8-correlation": "", "atatus": "{}"},
        {"ot-tracer-traceid": "1", "parent_span_context": {"x": "1"}, "__dynatrace_tag": "FW4"},
        {"honeybadger_event_context": {}, "x_request_id": "1", "X-Cronitor-Task-Origin": "celery"},
    ):
        assert one({"headers": {"tenant": "a", **traced}}) == plain
    assert one({"headers": {"tenant": "b"}}) != plain
    assert one({"headers": {"tenant": "a", "headers": {"team": "x"}}}) != plain


@pytest.mark.parametrize("options", [{"queue": "other"}, {"priority": 3}, {"countdown": 5}])
def test_each_option_is_a_part_of_a_name(options: dict[str, Any]) -> None:
    assert one(options) != one()


def test_an_argument_that_is_made_as_it_is_published_changes_no_name() -> None:
    made = iter(range(9))

    def number() -> int:
        return next(made)

    lazy = {"args": (BeatLazyFunc(number), 5)}

    assert one(**lazy) == one(**lazy)
    assert one(**lazy) != one(args=(BeatLazyFunc(number), 6))


def test_an_id_that_the_author_chose_stays(play: Callable[..., World]) -> None:
    assert one({"task_id": "mine"}) == ["mine"]


def test_one_id_that_the_author_chose_for_all_tenants_keeps_them_apart_by_publication(
    play: Callable[..., World],
) -> None:
    world = play(ByOptions)
    for beat in world.beats:
        beat.scheduler.schedule["e"].options["task_id"] = "mine"

    world.run(11)

    assert [sent.task_id for sent in world.sent] == ["mine"] * 3
    assert len({named(sent)[1] for sent in world.sent}) == 3


def test_equal_messages_of_a_tick_are_told_apart_by_their_number(
    play: Callable[..., World], tenants: Tenants
) -> None:
    worlds = [play(ByOptions, beats="a"), play(ByOptions, beats="a")]
    tenants.orders = [["alpha", "alpha"], ["alpha", "alpha"]]

    first, second = (ids(world) for world in worlds)

    assert first == second
    assert len(set(first)) == 2


def test_the_same_entry_of_another_app_or_due_time_has_other_names() -> None:
    world = World(every(10), begins=NOON + 10)
    world.beat("a")
    other = World(every(10))
    other.beat("a", main="blog")

    assert len({*one(), *ids(world), *ids(other)}) == 3


def test_what_is_put_into_celerys_class_after_a_tick_is_called_with_what_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As tools do that start late, and tests that come after one of a beat."""
    world, seen = World(every(10)), []
    world.beat("a")
    world.run(15)
    celerys = Celery.send_task

    def tools(self: Any, name: str, *args: Any, **options: Any) -> Any:
        seen.append(name)
        return celerys(self, name, *args, **options)

    monkeypatch.setattr(Celery, "send_task", tools)
    world.run(10)

    assert seen == [world.sent[-1].headers["task"]]


def test_receivers_after_the_publishing_see_the_id_that_the_message_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Something is added to it by a receiver before that, so its name is another one."""
    seen: list[str] = []

    def add(headers: Any = None, **_: Any) -> None:
        headers["environment"] = "prod"

    def after(headers: Any = None, **_: Any) -> None:
        seen.extend((headers["id"], headers["root_id"]))

    signals.before_task_publish.connect(add)
    signals.after_task_publish.connect(after)
    world = World(every(10))
    world.beat("a")

    world.run(15)

    signals.before_task_publish.disconnect(add)
    signals.after_task_publish.disconnect(after)
    (sent,) = world.sent
    assert sent.headers["environment"] == "prod"
    assert seen == [sent.task_id, sent.task_id]
