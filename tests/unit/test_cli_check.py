"""`lock check` says which store an app has, what that can do and how it is, and ends so too."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery import Celery
from celery.bin.base import CLIContext
from click.testing import CliRunner, Result

from celery_lock import Lock, cli
from celery_lock.app.locks import locks_of
from celery_lock.errors import StoreError
from celery_lock.model import Feature, LockStore

from .engine import Engine, locked

pytestmark = pytest.mark.unit


def body() -> None: ...


def typed(app: Celery, *words: str) -> Result:
    context = CLIContext(app=app, no_color=True, workdir=None)
    return CliRunner().invoke(cli.lock, ("check", *words), obj=context)


def rows(result: Result) -> dict[str, str]:
    """What it says, by the word that each line begins with."""
    lines = [line.partition(" ") for line in result.stdout.splitlines()]
    return {name: value.strip() for name, _, value in lines}


@pytest.fixture
def app(engine: Engine) -> Celery:
    return engine.app()


def test_it_says_which_store_it_is_and_how_that_is(app: Celery) -> None:
    locked(app, Lock("k"), name="report")(body)

    result = typed(app)

    assert result.exit_code == 0, result.output
    said = rows(result)
    assert said["store"] == "memory://, lock_key_prefix 'celery-lock:'"
    assert said["features"].split(", ") == [feature.value for feature in Feature]
    assert said["tasks"] == "1 with a lock"
    assert said["latency"].startswith("0.0")
    assert "the slowest of 20 calls" in said["latency"]
    assert "behind this machine's" in said["clock"]  # the engine's time is in 2023
    assert "seen by one process alone" in said["warning"]
    assert "lacks" not in said


def test_a_program_finds_every_field_always(app: Celery, engine: Engine) -> None:
    healthy = json.loads(typed(app, "--json").stdout)
    engine.store.refuse()
    down = json.loads(typed(app, "--json").stdout)

    assert healthy.keys() == down.keys()
    assert (healthy["error"], healthy["lacks"], healthy["tasks"]) == (None, {}, [])
    assert healthy["latency"] <= healthy["latency_most"]
    assert "the test says that it is down" in down["error"]
    assert (down["latency"], down["warnings"]) == (None, None)


def test_a_store_that_gives_no_answer_is_status_1(app: Celery, engine: Engine) -> None:
    engine.store.refuse("check", error=StoreError("memory:// wants a password"))

    result = typed(app)

    assert result.exit_code == 1
    assert "memory:// wants a password" in result.stderr
    assert rows(result)["features"]


def test_a_lock_that_needs_what_the_store_lacks_is_status_2(app: Celery, engine: Engine) -> None:
    locked(app, Lock("k", limit=3), name="report")(body)
    engine.store.lacks = {Feature.PERMITS}

    result = typed(app)

    assert result.exit_code == 2
    assert "the lock of task report needs a store with the feature 'permits'" in result.stderr
    assert rows(result)["lacks"].startswith("permits, which these have: memory://, redis://")


def test_it_says_both_of_a_store_that_lacks_something_and_is_down(
    app: Celery, engine: Engine
) -> None:
    locked(app, Lock("k", limit=3), name="report")(body)
    engine.store.lacks = {Feature.PERMITS}
    engine.store.refuse("check")

    result = typed(app)

    assert result.exit_code == 2
    assert "the test says that it is down" in result.stderr
    assert "'permits'" in result.stderr


def test_no_store_is_status_2() -> None:
    app = Celery("shop", broker="amqp://nowhere", set_as_current=False)

    result = typed(app)

    assert result.exit_code == 2
    assert "there is no store for locks" in result.stderr


def test_a_store_without_a_clock_is_not_asked_for_it(app: Celery, engine: Engine) -> None:
    engine.store.lacks = {Feature.CLOCK, Feature.RECORDS}

    result = typed(app)

    assert rows(result)["clock"] == "the store has none to ask"
    assert "records" not in engine.store.calls


def test_version_and_rights_are_shown_where_the_store_knows_them(
    app: Celery, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Telling:
        """A store with what only some have."""

        permissions = "+get ~locks:*"

        def __init__(self, inner: LockStore) -> None:
            self.inner = inner

        def version(self) -> str:
            return "Redis 7.0.15"

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

    monkeypatch.setattr(locks_of(app), "open_store", lambda: Telling(engine.store))

    said = rows(typed(app))

    assert said["version"] == "Redis 7.0.15"
    assert said["rights"] == "+get ~locks:*"
