"""The commands for whoever is on call: what they say, whom they rob, and when they do nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click
import pytest
from celery import Celery
from celery.bin.base import CLIContext
from click.testing import CliRunner, Result

from celery_lock import Lock, Scope, cli
from celery_lock.cli.commands import _operator
from celery_lock.errors import LeaseLost, StoreUnavailable
from celery_lock.model import Claim, End, Holder, Lease

from .engine import Engine, locked

NODE = "celery@shop-3"
HOLDER = str(Holder("id-1", NODE, 4711, "n1"))


class Desk:
    """An app, the store of its locks, and whoever types at it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.engine = Engine()
        self.app = self.engine.app()
        self.store = self.engine.store
        monkeypatch.setattr(cli.commands, "_can_ask", lambda: True)

    def take(self, key: str, holder: str = HOLDER, **options: Any) -> Lease:
        got = self.store.inner.acquire(Claim(key, holder, **{"ttl": 30.0, **options}))
        assert isinstance(got, Lease)
        return got

    def type(self, *words: str, answer: str | None = None, app: Celery | None = None) -> Result:
        context = CLIContext(app=app or self.app, no_color=True, workdir=None)
        return CliRunner().invoke(cli.lock, words, input=answer, obj=context)

    def holder(self, key: str) -> str | None:
        held = self.store.peek(key)
        return None if held is None else held.holder


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(monkeypatch)


# -- show ----------------------------------------------------------------------------------------


def test_show_says_who_holds_a_key_where_since_when_and_for_how_long(desk: Desk) -> None:
    lease = desk.take("order:7")
    desk.engine.clock.move(6)

    result = desk.type("show", "order:7")

    assert result.exit_code == 0
    assert result.output.splitlines()[1:] == [  # the first line is a note on memory://
        "lock 'order:7' is held",
        "  task      id-1",
        f"  node      {NODE}",
        "  pid       4711",
        "  since     2023-11-14 22:30:00 UTC, 6.0 s ago",
        "  lease     until 2023-11-14 22:30:30 UTC, in 24.0 s unless renewed",
        f"  token     {lease.token}",
    ]


def test_show_says_of_a_key_that_no_task_holds_where_it_is_held(desk: Desk) -> None:
    holder = str(Holder.outside("web-1", 17, "ab.3"))
    desk.engine.store.inner.acquire(Claim("order:7", holder, 30.0))

    result = desk.type("show", "order:7")

    assert result.output.splitlines()[2:5] == [
        "  by        hold()",
        "  node      web-1",
        "  pid       17",
    ]


def test_show_of_a_free_key_says_so_and_where_it_looked(desk: Desk) -> None:
    result = desk.type("show", "order:7")

    assert result.exit_code == 0
    assert "lock 'order:7' is free (in memory://, lock_key_prefix 'celery-lock:')" in result.output


def test_a_key_that_only_its_floor_keeps_is_held_by_nobody(desk: Desk) -> None:
    desk.store.inner.release(desk.take("feed", at_least=3600.0))
    desk.engine.clock.move(60)

    result = desk.type("show", "feed")

    assert result.exit_code == 0
    assert "lock 'feed' is held by nobody: at_least keeps it taken" in result.output
    assert "  last task id-1" in result.output
    assert "until 2023-11-14 23:30:00 UTC, in 59 min 00 s" in result.output
    assert "unless renewed" not in result.output


def test_a_program_reads_the_same(desk: Desk) -> None:
    lease = desk.take("order:7")
    desk.engine.clock.move(6)

    result = json.loads(desk.type("show", "order:7", "--json").output.splitlines()[-1])

    assert result == {
        "key": "order:7",
        "state": "held",
        "holder": HOLDER,
        "task_id": "id-1",
        "node": NODE,
        "pid": 4711,
        "retry": None,
        "since": 1_700_001_000.0,
        "now": 1_700_001_006.0,
        "expires_in": 24.0,
        "token": lease.token,
        "slot": 0,
        "holders": [
            {
                "state": "held",
                "holder": HOLDER,
                "task_id": "id-1",
                "node": NODE,
                "pid": 4711,
                "retry": None,
                "since": 1_700_001_000.0,
                "expires_in": 24.0,
                "token": lease.token,
                "slot": 0,
            }
        ],
    }


def test_a_program_finds_every_field_of_a_free_key_and_of_a_floor(desk: Desk) -> None:
    desk.store.inner.release(desk.take("feed", at_least=60.0))

    free, floor = (
        json.loads(desk.type("show", key, "--json").output.splitlines()[-1])
        for key in ("order:7", "feed")
    )

    assert set(free) == set(floor)
    assert {name for name, value in free.items() if value} == {"key", "state"}
    assert free["holders"] == []
    assert (free["state"], floor["state"], floor["expires_in"]) == ("free", "at_least", 60.0)


def test_a_key_that_is_kept_for_a_message_in_a_queue_says_so(desk: Desk) -> None:
    desk.take("order:7", holder=str(Holder.for_retry("id-1", 0)))
    desk.take("order:8", holder="id-2#web#7#n1.1", unconfirmed=True)

    queued, sending = desk.type("show", "order:7"), desk.type("show", "order:8")
    states = [
        json.loads(desk.type("show", key, "--json").output.splitlines()[-1])["state"]
        for key in ("order:7", "order:8")
    ]
    released = desk.type("release", "order:7", "--force")

    assert "lock 'order:7' is kept for a message in a queue that nobody runs yet" in queued.output
    assert "  retry" not in queued.output
    assert "lock 'order:8' is taken for a message that is being sent" in sending.output
    assert "unless renewed" not in sending.output
    assert states == ["queued", "unconfirmed"]
    assert "The message comes all the same" in released.output


@pytest.mark.parametrize("command", [("show",), ("release", "--force")])
def test_a_key_that_nobody_runs_under_names_the_place_of_a_message_that_waits(
    desk: Desk, command: tuple[str, ...]
) -> None:
    place = Scope.UNTIL_STARTED.name_of("order:7")
    desk.take(place, "id-1/queued/0")

    of_the_key, of_the_place = desk.type(*command, "order:7"), desk.type(*command, place)

    assert "lock 'order:7' is free" in of_the_key.stdout
    assert "a message in a queue has the place 'order:7%queued'" in of_the_key.stderr
    assert f"lock {place!r} is kept for a message in a queue" in of_the_place.stdout
    assert "nobody runs under this key" not in of_the_place.stderr


def test_a_holder_of_another_program_is_shown_as_it_is(desk: Desk) -> None:
    desk.take("order:7", holder="cron#nightly")

    result = desk.type("show", "order:7")
    read = json.loads(desk.type("show", "order:7", "--json").output.splitlines()[-1])

    assert "  task      cron#nightly\n" in result.output
    assert "node" not in result.output
    assert (read["task_id"], read["node"], read["pid"]) == ("cron#nightly", None, None)


def test_what_another_program_wrote_cannot_move_the_cursor(desk: Desk) -> None:
    desk.take("order:7", holder="\x1b[2Jgone\nlock 'order:7' is free")

    result = desk.type("show", "order:7")

    assert "\x1b" not in result.output
    assert "\nlock 'order:7' is free" not in result.output


@pytest.mark.parametrize(
    ("key", "typed"),
    [
        ("order:7", "'order:7'"),
        ("file:a%2Fb", "file:a%2Fb"),
        ("dir:C:\\x", "dir:C:\\\\x"),
        ("dir:C:\\x", "dir:C:\\x"),
        ("dir:C:\\x", "'dir:C:\\\\x'"),
        ("it's", '"it\'s"'),
        ('it\'s "it"', "'it\\'s \"it\"'"),
        ("a\u200bb", "a\\u200bb"),
        ("\xa0\U000e0001", "'\\xa0\\U000e0001'"),
        ("kuchen:k\u00e4se", "kuchen:k\u00e4se"),
        ("'quoted'", "'quoted'"),
    ],
)
def test_a_key_may_be_typed_as_a_log_line_shows_it(desk: Desk, key: str, typed: str) -> None:
    desk.take(key)

    result = desk.type("show", typed)

    assert f"lock {key!r} is held" in result.output


def test_a_key_that_is_held_as_typed_is_meant_as_typed(desk: Desk) -> None:
    desk.take("'order:7'")
    desk.take("order:7")

    assert """lock "'order:7'" is held""" in desk.type("show", "'order:7'").output


@pytest.mark.parametrize("typed", ["", "a\nb", "x" * 1025])
def test_what_cannot_be_a_key_is_refused(desk: Desk, typed: str) -> None:
    result = desk.type("show", typed)

    assert result.exit_code == 2
    assert "Invalid value for KEY" in result.output


def test_a_key_that_is_kept_for_a_retry_runs_nowhere(desk: Desk) -> None:
    desk.take("order:7", holder=str(Holder.for_retry("id-1", 2)), ttl=3600.0)

    result = desk.type("show", "order:7")
    read = json.loads(desk.type("show", "order:7", "--json").output.splitlines()[-1])

    assert "is kept for a retry that nobody runs yet\n  task      id-1\n" in result.output
    assert "  retry     2\n" in result.output
    assert "in 1 h 00 min at most" in result.output
    assert "queued" not in result.output
    assert (read["state"], read["retry"]) == ("retry", 2)
    assert (read["node"], read["pid"]) == (None, None)


# -- several permits -------------------------------------------------------------------------


def three(desk: Desk) -> list[Lease]:
    """A task that runs, one whose retry is on its way, and one that has left its floor."""
    first = desk.take("api:x", limit=3)
    second = desk.take("api:x", str(Holder("id-2", NODE, 4712, "n2")), limit=3)
    third = desk.take("api:x", str(Holder("id-3", NODE, 4713, "n3")), limit=3, at_least=20.0)
    kept = End(heir=str(Holder.for_retry("id-2", 1)), heir_ttl=3600.0)
    assert desk.store.inner.release(second, kept)
    assert desk.store.inner.release(third)
    return [first, second, third]


def test_show_says_who_has_each_permit(desk: Desk) -> None:
    first, second, third = three(desk)

    result = desk.type("show", "api:x")

    assert result.exit_code == 0
    assert result.output.splitlines()[1:] == [
        "lock 'api:x' is taken 3 times",
        "slot 0 is held",
        "  task      id-1",
        f"  node      {NODE}",
        "  pid       4711",
        "  since     2023-11-14 22:30:00 UTC, 0.0 s ago",
        "  lease     until 2023-11-14 22:30:30 UTC, in 30.0 s unless renewed",
        f"  token     {first.token}",
        "slot 1 is kept for a retry that nobody runs yet",
        "  task      id-2",
        "  retry     1",
        "  since     2023-11-14 22:30:00 UTC, 0.0 s ago",
        "  kept      until 2023-11-14 23:30:00 UTC, in 1 h 00 min at most",
        f"  token     {second.token}",
        "slot 2 is held by nobody: at_least keeps it taken",
        "  last task id-3",
        f"  node      {NODE}",
        "  pid       4713",
        "  since     2023-11-14 22:30:00 UTC, 0.0 s ago",
        "  taken     until 2023-11-14 22:30:20 UTC, in 20.0 s",
        f"  token     {third.token}",
    ]


def test_show_says_which_permit_is_the_only_one_that_is_taken(desk: Desk) -> None:
    first, *_ = three(desk)
    desk.store.inner.release(first)
    desk.store.inner.free("api:x", str(Holder.for_retry("id-2", 1)))

    result = desk.type("show", "api:x")

    assert "lock 'api:x' is held by nobody: at_least keeps it taken" in result.output
    assert "  slot      2" in result.output


def test_a_program_reads_all_permits_and_the_first_to_come_free(desk: Desk) -> None:
    three(desk)

    read = json.loads(desk.type("show", "api:x", "--json").output.splitlines()[-1])

    assert (read["task_id"], read["slot"], read["expires_in"]) == ("id-3", 2, 20.0)
    assert [one["task_id"] for one in read["holders"]] == ["id-1", "id-2", "id-3"]
    assert [one["state"] for one in read["holders"]] == ["held", "retry", "at_least"]
    assert [one["slot"] for one in read["holders"]] == [0, 1, 2]
    assert [one["retry"] for one in read["holders"]] == [None, 1, None]


def test_a_release_of_several_permits_says_that_it_needs_to_know_which(desk: Desk) -> None:
    three(desk)

    result = desk.type("release", "api:x", "--force")

    assert result.exit_code == 2
    assert "nothing was released: lock 'api:x' is taken 3 times; say which permit, as in" in (
        result.output
    )
    assert "--slot 0" in result.output
    held = desk.store.peek("api:x")
    assert held is not None
    assert len(held.holders) == 3


@pytest.mark.parametrize("slot", [0, 1, 2])
def test_a_release_frees_the_permit_that_was_named(desk: Desk, slot: int) -> None:
    three(desk)

    result = desk.type("release", "api:x", "--slot", str(slot), answer="y\n")

    assert result.exit_code == 0
    assert "lock 'api:x' is released" in result.output
    held = desk.store.peek("api:x")
    assert held is not None
    assert [one.slot for one in held.holders] == [one for one in (0, 1, 2) if one != slot]


def test_a_permit_that_nobody_has_cannot_be_released(desk: Desk) -> None:
    three(desk)

    result = desk.type("release", "api:x", "--slot", "7", "--force")

    assert result.exit_code == 0
    assert "slot 7 of lock 'api:x' is free already: there is nothing to release" in result.output


def test_a_permit_that_has_changed_hands_is_not_released(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = three(desk)

    def changes_hands() -> None:
        desk.store.inner.release(first)
        desk.take("api:x", str(Holder("id-4", NODE, 4714, "n4")), limit=3)

    while_asked(monkeypatch, changes_hands)

    result = desk.type("release", "api:x", "--slot", "0")

    assert result.exit_code == 1
    assert "nothing was released, the key has changed hands: lock 'api:x' is held" in result.output
    assert "id-4" in result.output


def test_a_permit_that_was_given_back_meanwhile_has_become_free_by_itself(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = three(desk)
    while_asked(monkeypatch, lambda: desk.store.inner.release(first))

    result = desk.type("release", "api:x", "--slot", "0")

    assert result.exit_code == 0
    assert "has become free by itself: nothing was released" in result.output


# -- release -------------------------------------------------------------------------------------


def test_release_says_whom_it_robs_and_asks(desk: Desk) -> None:
    desk.take("order:7")

    result = desk.type("release", "order:7", answer="y\n")

    assert result.exit_code == 0
    said = ("  task      id-1", "Release it, though its body may still run?", "is released")
    shown, question, answer = (result.output.index(text) for text in said)
    assert shown < question < answer
    assert "within a third of its ttl" in result.output
    assert desk.holder("order:7") is None


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_any_other_answer_than_yes_releases_nothing(desk: Desk, answer: str) -> None:
    desk.take("order:7")

    result = desk.type("release", "order:7", answer=answer)

    assert result.exit_code == 1
    assert desk.holder("order:7") == HOLDER


def test_force_does_not_ask_but_still_says_whom_it_robs(desk: Desk) -> None:
    desk.take("order:7")

    result = desk.type("release", "--force", "order:7")

    assert result.exit_code == 0
    assert "  task      id-1" in result.output
    assert "?" not in result.output
    assert desk.holder("order:7") is None


def test_without_a_terminal_and_without_force_nothing_is_released(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    desk.take("order:7")

    result = desk.type("release", "order:7", answer="y\n")

    assert result.exit_code == 2
    assert "no terminal to ask at" in result.output
    assert "--force" in result.output
    assert desk.holder("order:7") == HOLDER


def test_a_free_key_is_nothing_to_release_and_nobody_is_asked(desk: Desk) -> None:
    result = desk.type("release", "order:7")

    assert result.exit_code == 0
    assert "lock 'order:7' is free already" in result.output


def test_release_ends_the_floor_of_a_running_body_as_well(desk: Desk) -> None:
    desk.take("feed", at_least=3600.0)

    result = desk.type("release", "--force", "feed")

    assert result.exit_code == 0
    assert desk.store.peek("feed") is None


def test_release_ends_a_floor_that_nobody_holds_any_more(desk: Desk) -> None:
    desk.store.inner.release(desk.take("feed", at_least=3600.0))

    result = desk.type("release", "feed", answer="y\n")

    assert result.exit_code == 0
    assert "at_least no longer keeps it taken" in result.output
    assert "body may still run" not in result.output
    assert desk.store.peek("feed") is None


def test_a_key_that_is_kept_for_a_retry_is_released_and_the_retry_is_not_lost(desk: Desk) -> None:
    desk.take("order:7", holder=str(Holder.for_retry("id-1", 2)), ttl=3600.0)

    result = desk.type("release", "order:7", answer="y\n")

    assert result.exit_code == 0
    assert "may still run" not in result.output
    assert "The retry comes all the same" in result.output
    assert desk.holder("order:7") is None


def while_asked(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]) -> None:
    """Let something happen between the question and the answer yes."""

    def confirm(*args: Any, **kwargs: Any) -> bool:
        meanwhile()
        return True

    monkeypatch.setattr(click, "confirm", confirm)


def test_whoever_got_the_key_while_the_question_stood_is_not_robbed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = desk.take("order:7")
    other = str(Holder("id-2", NODE, 4712, "n2"))

    def changes_hands() -> None:
        desk.store.inner.release(lease)
        desk.take("order:7", other)

    while_asked(monkeypatch, changes_hands)

    result = desk.type("release", "order:7")

    assert result.exit_code == 1
    assert "nothing was released, the key has changed hands" in result.output
    assert "  task      id-2" in result.output
    assert desk.holder("order:7") == other


def test_a_second_delivery_of_the_same_task_is_somebody_else(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = desk.take("order:7")
    copy = str(Holder("id-1", NODE, 4711, "n2"))

    def delivered_again() -> None:
        desk.store.inner.release(lease)
        desk.take("order:7", copy)

    while_asked(monkeypatch, delivered_again)

    assert desk.type("release", "order:7").exit_code == 1
    assert desk.holder("order:7") == copy


def test_a_holder_that_leaves_its_floor_behind_while_the_question_stands_is_not_told_of(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = desk.take("feed", at_least=3600.0)
    while_asked(monkeypatch, lambda: desk.store.inner.release(lease))

    result = desk.type("release", "feed")

    assert result.exit_code == 0
    assert "at_least no longer keeps it taken" in result.output
    assert desk.store.peek("feed") is None


def test_a_key_that_became_free_while_the_question_stood_is_free(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = desk.take("order:7")
    while_asked(monkeypatch, lambda: desk.store.inner.release(lease))

    result = desk.type("release", "order:7")

    assert result.exit_code == 0
    assert "has become free by itself: nothing was released" in result.output


def test_the_robbed_holder_is_told_at_its_next_renewal(desk: Desk) -> None:
    grant = desk.engine.take("order:7", ttl=30.0)

    desk.type("release", "--force", "order:7")
    desk.engine.move(10.1)

    assert grant.lease.lost
    (lost,) = [fact for fact in desk.engine.facts if type(fact).__name__ == "Lost"]
    assert (lost.reason, lost.by) == ("taken", f"`lock release` ({_operator()})")
    with pytest.raises(LeaseLost, match=r"is lost \(taken by `lock release` \(.+@.+\)\)") as raised:
        grant.lease.check()
    assert raised.value.by == lost.by


# -- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["show", "release"])
def test_a_store_without_an_answer_is_named_without_a_traceback(desk: Desk, command: str) -> None:
    gone = StoreUnavailable("redis://shop:6379/0", "nobody listens there")
    desk.store.refuse("peek", error=gone)

    result = desk.type(command, "order:7")

    assert result.exit_code == 1
    assert "Error: the lock store redis://shop:6379/0 is not available" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", ["show", "release"])
def test_an_app_without_a_store_is_told_which_setting_it_needs(desk: Desk, command: str) -> None:
    app = Celery("shop", broker="amqp://me:secret@shop//", set_as_current=False)

    result = desk.type(command, "order:7", app=app)

    assert result.exit_code == 2
    assert "Error: there is no store for locks: lock_store is not set" in result.output
    assert "secret" not in result.output


def test_a_setting_that_is_wrong_is_named(desk: Desk) -> None:
    app = Celery("shop", broker="redis://", set_as_current=False)
    app.conf.lock_tll = 3

    result = desk.type("show", "order:7", app=app)

    assert result.exit_code == 2
    assert "did you mean 'lock_ttl'" in result.output


def test_a_release_that_gets_no_answer_says_so(desk: Desk) -> None:
    desk.take("order:7")
    desk.store.refuse("free", error=StoreUnavailable("redis://shop:6379/0", "it hangs"))

    result = desk.type("release", "--force", "order:7")

    assert result.exit_code == 1
    assert "it hangs" in result.output


def test_options_that_a_project_adds_to_every_command_are_taken(desk: Desk) -> None:
    """As Celery's own `celery` does it for plug-in commands, before and since 5.7."""
    option = click.Option(["--ini"], default="x.ini")
    cli.lock.params.append(option)
    try:
        result = desk.type("--ini", "shop.ini", "show", "order:7")
    finally:
        cli.lock.params.remove(option)

    assert result.exit_code == 0


# -- what is no key --------------------------------------------------------------------------------


@pytest.fixture
def shop(desk: Desk) -> Desk:
    def charge(user_id: int) -> None: ...
    def reindex(shop_id: int) -> None: ...
    def nightly() -> None: ...

    locked(desk.app, Lock("points:{user_id}"), name="shop.charge")(charge)
    locked(desk.app, name="shop.reindex")(reindex)
    locked(desk.app, Lock("shop.nightly"), name="shop.nightly")(nightly)
    desk.app.task(name="shop.plain", shared=False)(nightly)
    return desk


@pytest.mark.parametrize("command", [("show",), ("release", "--force")])
@pytest.mark.parametrize(
    "typed",
    ["celery-lock:1:{points:7}", "celery-lock:2:{points:7}:w", '"celery-lock:2:{points:7}"'],
)
def test_a_name_pasted_from_redis_is_read_as_its_key(
    shop: Desk, typed: str, command: tuple[str, ...]
) -> None:
    shop.take("points:7")

    result = shop.type(*command, typed)

    assert "lock 'points:7' is held" in result.output
    assert "is how Redis names the key 'points:7'" in result.output


def test_a_name_of_another_prefix_says_so_and_has_its_escapes_undone(shop: Desk) -> None:
    result = shop.type("show", "other:2:{a%7Bb%257B}")

    assert "lock 'a{b%7B' is free" in result.output
    assert "its prefix is 'other:', and the lock_key_prefix of this app is 'celery-lock:'" in (
        result.output
    )


@pytest.mark.parametrize("command", [("show",), ("release", "--force")])
@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("points:{user_id}", "is the template of the lock of task shop.charge, and no key"),
        ("points:{user_id}", "with values in place of {user_id}"),
        ("shop.reindex:*", "is the template of the lock of task shop.reindex, and no key"),
        ("points:{userid}", "the form of a template (did you mean 'points:{user_id}'?)"),
        ("shop.reindex", "the name of a task, whose keys are made by 'shop.reindex:*'"),
        ("shop.charge", "the name of a task, whose keys are made by 'points:{user_id}'"),
        ("shop.plain", "is the name of a task without a lock"),
        ("shop.reindx", "no task has this name either (did you mean 'shop.reindex'?)"),
        ("0b9d5d28-6c1b-4a2e-9f0e-3a5b7c9d1e2f", "looks like the id of a task"),
    ],
)
def test_what_is_no_key_is_told_from_a_free_key(
    shop: Desk, command: tuple[str, ...], typed: str, said: str
) -> None:
    result = shop.type(*command, typed)

    assert result.exit_code == 0
    assert "free" in result.stdout
    assert said in result.stderr


@pytest.mark.parametrize("typed", ["points:7", "shop.nightly", "a.b", "shop:8"])
def test_a_free_key_has_no_note(shop: Desk, typed: str) -> None:
    assert (
        shop.type("show", typed).stderr
        == "note: memory:// is seen by one process alone: this one\n"
    )


def test_a_program_that_typed_a_template_still_reads_one_object(shop: Desk) -> None:
    read = json.loads(shop.type("show", "points:{user_id}", "--json").stdout)

    assert read["state"] == "free"


def test_a_line_of_the_log_is_read_as_the_key_in_it(shop: Desk) -> None:
    shop.take("points:7")

    assert (
        "lock 'points:7' is held" in shop.type("show", "lock 'points:7' is held by task x").output
    )


@pytest.mark.parametrize("command", [("show", "x"), ("release", "x"), ("beat",)])
def test_without_an_app_the_command_says_to_give_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    nobodys = Celery("default", broker="amqp://", set_as_current=False)
    monkeypatch.setattr("celery._state.default_app", nobodys)

    result = desk.type(*command, app=nobodys)

    assert result.exit_code == 2
    assert "no app was given: write celery -A APP lock" in result.output
