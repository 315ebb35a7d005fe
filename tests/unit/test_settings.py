"""Reading `app.conf`: every way to write a setting, and every way to get one wrong."""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from celery_lock.app.settings import Settings
from celery_lock.errors import LockConfigurationError
from celery_lock.policies import requeue, skip

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"
NAMES = [f"lock_{field.name}" for field in fields(Settings)]


def an_app(**changes: Any) -> Celery:
    return Celery("app", set_as_current=False, changes=changes)


def configured(source: object, namespace: str | None = None) -> Celery:
    app = an_app()
    app.config_from_object(source, namespace=namespace)
    return app


@pytest.fixture(autouse=True)
def _unexpected_warnings_fail() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


# -- where a value may come from -------------------------------------------------------------


def test_an_app_that_sets_nothing_gets_the_defaults() -> None:
    assert Settings.read(an_app().conf) == Settings()


@pytest.mark.parametrize(
    "source",
    [
        {"lock_ttl": 4},
        types.SimpleNamespace(lock_ttl=4),
        type("Config", (), {"lock_ttl": 4}),
    ],
    ids=["dict", "object", "class"],
)
def test_a_configuration_objects_value_wins_over_our_default(source: object) -> None:
    assert Settings.read(configured(source).conf).ttl == 4


@pytest.mark.parametrize(
    ("namespace", "name"), [("CELERY", "CELERY_LOCK_TTL"), ("celery", "celery_lock_ttl")]
)
def test_a_value_in_djangos_spelling_is_seen(namespace: str, name: str) -> None:
    settings = Settings.read(configured({name: 4}, namespace).conf)

    assert settings.ttl == 4


def test_djangos_own_settings_object_is_read() -> None:
    django = pytest.importorskip("django.conf")
    project = django.LazySettings()
    project.configure(
        SECRET_KEY="x",
        CELERY_LOCK_TTL=4,
        CELERY_BEAT_SCHEDULE={},
        LOCK_TTL=5,  # another program's, and no business of ours
        LOCK_TLL=6,
    )

    settings = Settings.read(configured(project, "CELERY").conf)

    assert settings.ttl == 4


def test_a_misspelt_name_in_djangos_own_settings_object_raises() -> None:
    django = pytest.importorskip("django.conf")
    project = django.LazySettings()
    project.configure(SECRET_KEY="x", CELERY_LOCK_TLL=4)

    with pytest.raises(LockConfigurationError, match="did you mean 'CELERY_LOCK_TTL'"):
        Settings.read(configured(project, "CELERY").conf)


def test_a_value_set_on_the_app_wins_over_its_configuration_object() -> None:
    app = configured({"lock_ttl": 4})
    app.conf.lock_ttl = 5

    assert Settings.read(app.conf).ttl == 5


def test_values_given_to_the_app_as_it_is_made_are_read() -> None:
    assert Settings.read(an_app(lock_ttl=4).conf).ttl == 4


def test_a_plain_mapping_will_do() -> None:
    assert Settings.read({"lock_ttl": 4}).ttl == 4


def test_only_get_and_keys_are_used_of_a_conf() -> None:
    class Narrow:
        """`in` and `[]` do not know namespaces; `add_defaults` overrides what the user set."""

        def get(self, name: str, default: Any = None) -> Any:
            return {"lock_ttl": 4}.get(name, default)

        def keys(self) -> list[str]:
            return ["CELERY_LOCK_TTL", "broker_url"]

        prefix = "CELERY_"

    conf: Any = Narrow()

    assert Settings.read(conf).ttl == 4


def test_values_of_other_settings_are_not_evaluated() -> None:
    class Config:
        lock_ttl = 4

        @property
        def broker_lock(self) -> str:
            raise RuntimeError("a property that costs something, or fails")

    assert Settings.read(configured(Config()).conf).ttl == 4


# -- values ----------------------------------------------------------------------------------


def test_good_values_are_kept() -> None:
    given = {
        "lock_store": "redis://localhost:6379/1",
        "lock_store_options": {"client_name": "locks"},
        "lock_store_deadline": timedelta(milliseconds=500),
        "lock_key_prefix": "shop/",
        "lock_ttl": timedelta(minutes=1),
        "lock_on_conflict": skip(),
        "lock_on_store_error": "run",
        "lock_send_events": False,
        "lock_beat_on_store_error": "fire",
    }

    settings = Settings.read(an_app(**given).conf)

    assert sorted(given) == sorted(NAMES)
    assert settings == Settings(
        store="redis://localhost:6379/1",
        store_options={"client_name": "locks"},
        store_deadline=0.5,
        key_prefix="shop/",
        ttl=60.0,
        on_conflict=skip(),
        on_store_error="run",
        send_events=False,
        beat_on_store_error="fire",
    )


def test_a_policy_may_be_a_function() -> None:
    def by_attempt(conflict: Any) -> Any:
        return skip() if conflict.attempt > 3 else requeue()

    assert Settings.read({"lock_on_conflict": by_attempt}).on_conflict is by_attempt


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("lock_store", "", "a URL such as"),
        ("lock_store", 6379, "a URL such as"),
        ("lock_store_options", None, "a dict"),
        ("lock_store_options", {1: "db"}, "a dict"),
        ("lock_store_deadline", 0, "more than zero"),
        ("lock_store_deadline", "2", "seconds or a timedelta"),
        ("lock_store_deadline", float("inf"), "finite"),
        ("lock_key_prefix", "", "at least one character"),
        ("lock_key_prefix", "{shop}:", "without braces"),
        ("lock_key_prefix", "my shop:", "without braces, spaces"),
        ("lock_key_prefix", "shop\n", "control characters"),
        ("lock_key_prefix", "shop\x00", "control characters"),
        ("lock_key_prefix", b"shop:", "write a string"),
        ("lock_ttl", -1, "more than zero"),
        ("lock_ttl", None, "seconds or a timedelta"),
        ("lock_ttl", True, "seconds or a timedelta"),
        ("lock_ttl", float("nan"), "finite"),
        ("lock_on_conflict", skip, "lock_on_conflict=skip()"),
        ("lock_on_conflict", "skip", "write skip(), requeue()"),
        ("lock_on_store_error", "ignore", "'requeue', 'run' or 'fail'"),
        ("lock_on_store_error", None, "'requeue', 'run' or 'fail'"),
        ("lock_send_events", 1, "True, False, or None"),
        ("lock_send_events", "no", "True, False, or None"),
    ],
)
def test_a_bad_value_is_refused_with_its_name_and_what_is_accepted(
    name: str, value: object, accepted: str
) -> None:
    with pytest.raises(LockConfigurationError) as caught:
        Settings.read({name: value})

    assert name in str(caught.value)
    assert accepted in str(caught.value)


@pytest.mark.parametrize("value", [["redis://:hunter2@db/0"], {"url": "redis://:hunter2@db/0"}])
@pytest.mark.parametrize("name", ["lock_store", "lock_store_options"])
def test_a_bad_value_that_may_hold_a_password_is_not_shown(name: str, value: object) -> None:
    bad = [value] if name == "lock_store_options" else value

    with pytest.raises(LockConfigurationError) as caught:
        Settings.read({name: bad})

    assert "hunter2" not in str(caught.value)


def test_no_password_is_in_the_repr() -> None:
    settings = Settings(store="redis://:hunter2@db/0", store_options={"password": "hunter2"})

    assert "hunter2" not in repr(settings)


def test_settings_are_frozen_and_do_not_follow_the_users_dict() -> None:
    options = {"db": 1}
    settings = Settings(store_options=options)

    options["db"] = 2

    assert settings.store_options == {"db": 1}
    with pytest.raises(TypeError):
        settings.store_options["db"] = 3  # type: ignore[index]  # that is the point
    with pytest.raises(FrozenInstanceError):
        settings.ttl = 3  # type: ignore[misc]  # that is the point


# -- names -----------------------------------------------------------------------------------


def by_attribute(name: str) -> Celery:
    app = an_app()
    setattr(app.conf, name, 3)
    return app


def by_update(name: str) -> Celery:
    app = an_app()
    app.conf.update({name: 3})
    return app


def by_update_once_loaded(name: str) -> Celery:
    app = an_app()
    assert app.conf.timezone is None  # the first look loads the configuration
    app.conf.update({name: 3})
    return app


def by_changes(name: str) -> Celery:
    return an_app(**{name: 3})


def by_object(name: str) -> Celery:
    return configured(types.SimpleNamespace(**{name: 3}))


@pytest.mark.parametrize(
    "way", [by_attribute, by_update, by_update_once_loaded, by_changes, by_object]
)
def test_a_misspelt_name_raises_whichever_way_it_came(way: Callable[[str], Celery]) -> None:
    with pytest.raises(LockConfigurationError) as caught:
        Settings.read(way("lock_tll").conf)

    assert "no setting lock_tll (did you mean 'lock_ttl'?)" in str(caught.value)
    assert all(name in str(caught.value) for name in NAMES)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("lock_prefix", "lock_key_prefix"),
        ("lock_conflict", "lock_on_conflict"),
        ("lock_store_url", "lock_store"),
        ("lock_deadline", "lock_store_deadline"),
        ("lock_send_event", "lock_send_events"),
    ],
)
def test_a_name_that_is_nearly_ours_raises(written: str, meant: str) -> None:
    with pytest.raises(LockConfigurationError, match=f"did you mean '{meant}'"):
        Settings.read({written: 3})


def test_both_spellings_of_a_misspelt_name_are_seen_under_a_namespace() -> None:
    prefixed = configured({"CELERY_LOCK_TLL": 3}, "CELERY")
    plain = configured({"CELERY_LOCK_TTL": 4}, "CELERY")
    plain.conf.lock_tll = 3

    with pytest.raises(LockConfigurationError, match=r"CELERY_LOCK_TLL .* 'CELERY_LOCK_TTL'"):
        Settings.read(prefixed.conf)
    with pytest.raises(LockConfigurationError, match=r"lock_tll .* 'lock_ttl'"):
        Settings.read(plain.conf)


def test_an_unknown_name_that_is_far_from_ours_warns_and_lists_ours() -> None:
    app = configured({"lock_directory": "/run", "lock_file": "x"})

    with pytest.warns(UserWarning, match="no setting lock_directory, lock_file;") as caught:
        Settings.read(app.conf)

    assert len(caught) == 1
    assert all(name in str(caught[0].message) for name in NAMES)


def test_an_unknown_name_under_a_namespace_is_listed_as_it_must_be_written() -> None:
    app = configured({"CELERY_LOCK_DIRECTORY": "/run"}, "CELERY")

    with pytest.warns(UserWarning, match="CELERY_LOCK_DIRECTORY; it has CELERY_LOCK_STORE, "):
        Settings.read(app.conf)


@pytest.mark.parametrize(
    ("written", "namespace", "right"),
    [
        ("LOCK_TTL", None, "lock_ttl"),
        ("CELERY_LOCK_TTL", None, "lock_ttl"),
        ("celery_lock_ttl", None, "lock_ttl"),
        ("CELERY_CELERY_LOCK_TTL", "CELERY", "CELERY_LOCK_TTL"),
        ("CELERY_lock_ttl", "CELERY", "CELERY_LOCK_TTL"),
        ("CELERY_LOCK_TTL", "SHOP", "SHOP_LOCK_TTL"),
    ],
)
def test_our_name_where_celery_does_not_read_it_warns_with_the_right_spelling(
    written: str, namespace: str | None, right: str
) -> None:
    app = configured({written: 4}, namespace)

    with pytest.warns(UserWarning, match=f"not read the setting {written}; write {right}$"):
        settings = Settings.read(app.conf)

    assert settings.ttl == 30


def test_other_peoples_names_are_left_alone() -> None:
    others = {
        "worker_pool_putlocks": True,
        "worker_lost_wait": 10,
        "redbeat_lock_timeout": 60,
        "LOCK_TLL": 1,
        "BLOCK_TTL": 1,
        "lockdown_enabled": True,
        "clock_ttl": 1,
        "celery_lockdown": 1,
    }
    django = {
        "CELERY_REDBEAT_LOCK_TIMEOUT": 60,
        "CELERY_BEAT_LOCK_TTL": 1,
        "LOCK_TLL": 1,
    }

    assert Settings.read(configured(others).conf) == Settings()
    assert Settings.read(configured(django, "CELERY").conf) == Settings()


def test_no_setting_of_celery_itself_could_be_taken_for_ours() -> None:
    app = an_app()

    assert [name for name in app.conf if name.lower().startswith("lock_")] == []


# -- the reference ---------------------------------------------------------------------------


def test_the_reference_lists_each_setting_with_its_default() -> None:
    page = PAGE.read_text("ascii")
    defaults = {field.name: getattr(Settings(), field.name) for field in fields(Settings)}
    defaults["store_options"] = dict(defaults["store_options"])

    rows = [line for line in page.splitlines() if line.startswith("| [`")]
    sections = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]

    assert [row.split("|")[1:3] for row in rows] == [
        [f" [`lock_{name}`](#lock_{name}) ", f" `{default!r}` "]
        for name, default in defaults.items()
    ]
    assert sections == [*NAMES, "Limits"]


# -- settings of a lock, and settings beside the namespace -----------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lock_at_least", r"each lock says it, Lock\(..., at_least=...\)"),
        ("lock_at_most", r"each lock says it, Lock\(..., at_most=...\)"),
        ("lock_scope", r"each lock says it, Lock\(..., scope=...\)"),
        ("lock_key", r"each lock says it, Lock\(..., key=...\)"),
        ("lock_queue_ttl", r"each lock says it, Lock\(..., queue_ttl=...\)"),
        ("lock_on_lost", r"each lock says it, Lock\(..., on_lost=...\)"),
        ("lock_expiry", "here it is lock_ttl"),
        ("lock_timeout", "here it is lock_ttl"),
    ],
)
@pytest.mark.parametrize("namespace", [None, "CELERY"])
def test_a_setting_that_only_a_lock_has_is_refused_with_what_to_write(
    name: str, said: str, namespace: str | None
) -> None:
    written = name if namespace is None else f"CELERY_{name.upper()}"

    with pytest.raises(LockConfigurationError, match=rf"no setting {written}: {said}; there are"):
        Settings.read(configured({written: 5}, namespace).conf)


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_of_ours_without_the_namespace_is_refused(name: str) -> None:
    with pytest.raises(
        LockConfigurationError, match=rf"{name.upper()} is not read.*write CELERY_{name.upper()}"
    ):
        Settings.read(configured({name.upper(): 5}, "CELERY").conf)


def test_djangos_own_settings_without_the_namespace_are_refused() -> None:
    django = pytest.importorskip("django.conf")
    project = django.LazySettings()
    project.configure(SECRET_KEY="x", LOCK_TTL=5)

    with pytest.raises(LockConfigurationError, match=r"LOCK_TTL is not read.*CELERY_LOCK_TTL"):
        Settings.read(configured(project, "CELERY").conf)


@pytest.mark.parametrize(
    "others", [{"CELERY_LOCK_TTL": 4, "LOCK_TTL": 5}, {"LOCK_DIR": "/run", "LOCK_FILE": "x"}]
)
def test_another_programs_setting_beside_the_namespace_is_its_own(others: dict[str, Any]) -> None:
    Settings.read(configured(others, "CELERY").conf)
