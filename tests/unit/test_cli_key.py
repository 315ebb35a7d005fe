"""`lock key`: the key of a call as it is typed, and who has it."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest
from celery import Celery
from celery.bin.base import CLIContext
from click.testing import CliRunner, Result

from celery_lock import Lock, Scope, cli
from celery_lock.errors import StoreUnavailable
from celery_lock.model import Claim, Holder, Lease

from .engine import Engine, locked

HOLDER = str(Holder("id-1", "celery@shop-3", 4711, "n1"))


def charge(user_id: int, amount: int = 5) -> None: ...


def order(order_id: int) -> None: ...


def nothing() -> None: ...


class Desk:
    """An app with tasks, the store of its locks, and whoever types at it."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.app = self.engine.app()
        self.store = self.engine.store
        once = Lock("o:{order_id}", scope=Scope.UNTIL_STARTED)
        locked(self.app, Lock("user:{user_id}"), name="shop.charge")(charge)
        locked(self.app, Lock("{header[tenant]}:{queue}"), name="shop.ship")(nothing)
        locked(self.app, once, name="shop.once")(order)
        locked(self.app, Lock(), name="shop.digest")(order)
        locked(self.app, [Lock("b:{order_id}"), Lock("a:{order_id}")], name="shop.two")(order)
        self.app.task(nothing, name="shop.plain", shared=False, lazy=False)
        locked(self.app, None, name="shop.off")(nothing)

    def take(self, key: str) -> Lease:
        got = self.store.inner.acquire(Claim(key, HOLDER, 30.0))
        assert isinstance(got, Lease)
        return got

    def type(self, *words: str, app: Celery | None = None) -> Result:
        context = CLIContext(app=app or self.app, no_color=True, workdir=None)
        return CliRunner().invoke(cli.lock, ["key", *words], obj=context)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize(
    "words", [("--args", "[7]"), ("-a", "[7, 9]"), ("--kwargs", '{"user_id": 7}'), ("-a", '["7"]')]
)
def test_the_key_of_a_call_stands_in_the_first_line(desk: Desk, words: Any) -> None:
    result = desk.type("shop.charge", *words)

    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "user:7"
    assert "lock 'user:7' is free (in memory://" in result.stdout


def test_who_has_it_stands_below(desk: Desk) -> None:
    desk.take("user:7")

    result = desk.type("shop.charge", "--args", "[7]")

    assert "lock 'user:7' is held\n  task      id-1\n  node      celery@shop-3" in result.stdout


def test_a_program_reads_the_same(desk: Desk) -> None:
    desk.take("user:7")

    read = json.loads(desk.type("shop.charge", "--args", "[7]", "--json").stdout)

    assert read["task"] == "shop.charge"
    (found,) = read["keys"]
    assert (found["key"], found["state"], found["task_id"]) == ("user:7", "held", "id-1")


def test_a_key_may_need_headers_and_a_queue(desk: Desk) -> None:
    given = desk.type("shop.ship", "--headers", '{"tenant": "red"}', "--queue", "high")
    routed = desk.type("shop.ship", "--headers", '{"tenant": "red"}')
    missing = desk.type("shop.ship")

    assert given.stdout.splitlines()[0] == "red:high"
    assert routed.stdout.splitlines()[0] == "red:celery"
    assert missing.exit_code == 2
    assert "has no header 'tenant'" in missing.stderr


def test_a_place_in_the_queue_is_shown_by_its_name(desk: Desk) -> None:
    assert desk.type("shop.once", "-a", "[7]").stdout.splitlines()[0] == "o:7%queued"


def test_of_several_locks_each_is_shown_in_declared_order(desk: Desk) -> None:
    desk.take("a:7")

    lines = desk.type("shop.two", "-a", "[7]").stdout.splitlines()
    read = json.loads(desk.type("shop.two", "-a", "[7]", "--json").stdout)

    assert lines[:2] == ["b:7", "a:7"]
    assert lines[2].startswith("lock 'b:7' is free")
    assert lines[3] == "lock 'a:7' is held"
    assert [(each["key"], each["state"]) for each in read["keys"]] == [
        ("b:7", "free"),
        ("a:7", "held"),
    ]


def test_what_json_cannot_say_is_written_as_in_a_message(desk: Desk) -> None:
    typed = '[{"__type__": "datetime", "__value__": "2026-11-29T10:00:00"}]'

    result = desk.type("shop.digest", "--args", typed)

    assert result.exit_code == 0
    assert result.stdout.startswith("shop.digest:")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("shop.chrge",), "there is no task 'shop.chrge' in this app (did you mean 'shop.charge'"),
        (
            ("shop.chrge",),
            "its tasks with a lock: shop.charge, shop.digest, shop.once, shop.ship, shop.two",
        ),
        (("shop.plain",), "task shop.plain has no lock"),
        (("shop.off",), "task shop.off has no lock, so a call of it has no key"),
        (("shop.charge",), "missing a required argument: 'user_id'"),
        (("shop.charge", "-a", "[1,2,3]"), "too many positional arguments"),
        (("shop.charge", "-a", "7"), "7 is not a list, as in '[7]'"),
        (("shop.charge", "-a", "[7"), "it is no JSON"),
        (("shop.charge", "-k", "[7]"), "[7] is not an object, as in"),
        (("shop.ship", "--headers", "[]"), "[] is not an object"),
        ((), "Missing argument 'TASK'"),
    ],
)
def test_a_call_that_cannot_be_says_what_to_type(desk: Desk, words: Any, said: str) -> None:
    result = desk.type(*words)

    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("Error: ", "").split())
    assert result.stdout == ""


def test_a_queue_that_the_app_must_not_make_is_said(desk: Desk) -> None:
    desk.app.conf.task_create_missing_queues = False

    result = desk.type("shop.ship", "--headers", '{"tenant": "red"}', "--queue", "hihg")

    assert result.exit_code == 2
    assert "the call cannot be routed: Queue 'hihg' missing from task_queues" in result.stderr


def test_the_key_is_written_though_the_store_gives_no_answer(desk: Desk) -> None:
    desk.store.refuse("peek", error=StoreUnavailable("redis://shop", "refused"))

    result = desk.type("shop.charge", "-a", "[7]")

    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == "user:7"
    assert "redis://shop" in result.stderr


@pytest.mark.parametrize(("named", "status"), [(True, 0), (False, 2)])
def test_an_app_that_was_named_is_known_although_it_is_the_default_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, named: bool, status: int
) -> None:
    monkeypatch.setattr("celery._state.default_app", desk.app)  # as `set_default()` does
    words = ["-A", "shop"] if named else []

    @click.group()
    @click.option("-A", "--app")
    @click.pass_context
    def celery(ctx: click.Context, app: str | None) -> None:
        ctx.obj = CLIContext(app=desk.app, no_color=True, workdir=None)

    celery.add_command(cli.lock)
    result = CliRunner().invoke(celery, [*words, "lock", "key", "shop.charge", "-a", "[7]"])

    assert result.exit_code == status, result.output
    assert ("no app was given" in result.output) is not named
