"""Whose locks a hold means where nobody says: of the running task, else of the process's app."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import celery._state
import pytest
from celery import Celery

from celery_lock import Lock, LockConfigurationError, current_lease, hold, peek
from celery_lock.app.locks import AppLocks, locks_of
from celery_lock.outside.which_app import locks_for

from .engine import Engine, deliver, locked

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
SAID = r"hold\('k'\): no Celery app is known in this process"


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A process without any app; takes those that the test makes."""
    apps: list[Celery] = []
    state: Any = celery._state
    monkeypatch.setattr(state, "default_app", None)
    monkeypatch.setattr(state._tls, "current_app", None, raising=False)
    monkeypatch.setattr(state, "_get_active_apps", lambda: list(apps))
    return apps


def test_without_an_app_a_hold_says_what_is_missing(nobody: Any) -> None:
    with pytest.raises(LockConfigurationError, match=SAID), hold("k", max_wait=0):
        pytest.fail("it is not given")
    with pytest.raises(LockConfigurationError, match=r"peek\('k'\): no Celery app is known"):
        peek("k")


def test_the_store_of_a_configuration_module_is_opened_once(
    nobody: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    open_store = AppLocks.open_store
    monkeypatch.setattr(AppLocks, "open_store", lambda locks: opened.append(0) or open_store(locks))
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://localhost:6379/0")

    found = [locks_for("hold('k')", None) for _ in range(3)]

    assert found[0] is found[2]
    assert len(opened) == 1


def test_an_app_without_a_store_says_what_to_set() -> None:
    app = Celery("shop", broker="amqp://", set_as_current=False)

    with (
        pytest.raises(LockConfigurationError, match="there is no store for locks: lock_store"),
        hold("k", max_wait=0, app=app),
    ):
        pytest.fail("it is not given")


@pytest.mark.parametrize("app", [7, "shop", object()])
def test_what_is_no_app_is_refused(app: Any) -> None:
    with (
        pytest.raises(LockConfigurationError, match=r"is no Celery app; give the one"),
        hold("k", max_wait=0, app=app),
    ):
        pytest.fail("it is not given")


def test_a_decorated_function_needs_an_app_when_it_is_called(nobody: Any) -> None:
    @hold("k", max_wait=0)
    def charge() -> None:
        """Do nothing."""

    with pytest.raises(LockConfigurationError, match=SAID):
        charge()


def test_threads_of_a_web_server_find_the_only_app(nobody: Any) -> None:
    """Celery's current app is one of a thread: there it would make an empty one."""
    app = Celery("shop", set_as_current=False)
    nobody.append(app)
    found: list[Any] = []

    thread = threading.Thread(target=lambda: found.append(locks_for("hold('k')", None)))
    thread.start()
    thread.join()

    assert found == [locks_of(app)]


def test_of_several_apps_the_current_one_is_meant(nobody: Any) -> None:
    nobody += [Celery(name, set_as_current=False) for name in "ab"]

    with pytest.raises(LockConfigurationError, match=r"several Celery apps .*'a', 'b'.*app="):
        locks_for("hold('k')", None)

    nobody[1].set_current()
    assert locks_for("hold('k')", None) is locks_of(nobody[1])


def test_the_default_app_of_a_process_is_meant_in_each_of_its_threads(nobody: Any) -> None:
    nobody += [Celery(name, set_as_current=False) for name in "ab"]
    nobody[0].set_default()

    assert locks_for("hold('k')", None) is locks_of(nobody[0])


def test_within_a_task_its_app_is_meant(nobody: Any) -> None:
    engine = Engine()
    app = engine.app()
    Celery("other").set_current()

    @locked(app, Lock("k"), name="t")
    def task() -> bool:
        with hold("k", max_wait=0) as lease:
            return lease is current_lease()

    assert deliver(task).result is True


def test_a_proxy_of_an_app_is_looked_through() -> None:
    from celery.local import Proxy

    app = Engine().app()

    with hold("k", max_wait=0, app=Proxy(lambda: app)) as lease:
        assert peek("k", app).holder.task_id in lease.holder  # type: ignore[union-attr]


DJANGO = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
sys.path.insert(0, {folder!r})
from celery import Celery
from celery_lock import LockConfigurationError, hold
app = Celery("site")
app.config_from_object("django.conf:settings", namespace="CELERY")
try:
    with hold("k", max_wait=0):
        print("given")
except LockConfigurationError as error:
    print(error)
import django
django.setup()
with hold("k", max_wait=0):
    print("given")
"""
SETTINGS = """
INSTALLED_APPS = ["shop.Shop"]
CELERY_LOCK_STORE = "memory://"
"""
APPS = """
from django.apps import AppConfig
from celery_lock import hold
class Shop(AppConfig):
    name = "shop"
    def ready(self):
        with hold("ready", max_wait=0) as lease:
            print(lease.key)
"""


def test_before_djangos_apps_are_ready_a_hold_says_so(tmp_path: Path) -> None:
    (tmp_path / "site_settings.py").write_text(SETTINGS)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text(APPS)

    said = subprocess.run(
        [sys.executable, "-c", DJANGO.format(folder=str(tmp_path))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    before, ready, after = said.stdout.splitlines()
    assert before.startswith("hold('k'): Django's apps are not ready yet"), said
    assert (ready, after) == ("ready", "given")
