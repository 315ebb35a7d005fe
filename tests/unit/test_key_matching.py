"""Which keys a template may have made: found by their form."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celery_lock.errors import LockConfigurationError
from celery_lock.keys import KeysOfTemplate, MessageContext, compile_key


def body(a: Any = 1, b: Any = 2) -> None: ...


TEMPLATES = [
    *("nightly", "o:{a}", "o:{a}:items", "{a}", "{a}:{b}", "o:{a}:{b}", "x{{{a}}}:{b}", "{a!h}"),
    *(
        "{a}--{b!h}",
        "{header[t]}:{a}",
        "{queue}/{b}",
        "o:{a}:{bucket:1h}",
        "ä {a} [{b}]",
        "{a}0{b}",
    ),
]
CONTEXT = MessageContext(first_published=1e9, headers={"t": "red:blue"}, queue="a/b")
values = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=8) | st.integers()


def made_by(template: str, a: Any, b: Any) -> str:
    source = compile_key(template, task="t", signature=inspect.signature(body))
    return source.render((a, b), {}, CONTEXT)


@pytest.mark.parametrize("template", TEMPLATES)
@given(a=values, b=values)
def test_a_key_has_the_form_of_its_template(template: str, a: Any, b: Any) -> None:
    if template == "{a}" and a == "":
        return  # an empty key is refused
    key, keys = made_by(template, a, b), KeysOfTemplate(template)

    assert keys.has(key)
    assert key.startswith(keys.beginning)


@pytest.mark.parametrize(
    ("template", "key"),
    [
        ("nightly", "nightly:7"),
        ("o:{a}", "o:7:items"),
        ("o:{a}", "p:7"),
        ("o:{a}", "O:7"),
        ("o:{a}", "o:7%"),
        ("o:{a}", "o:7%queued"),
        ("o:{a}:items", "o:7"),
        ("o:{a!h}", "o:7"),
        ("o.{a}", "ox7"),
        ("{a}:{b}", "7"),
    ],
)
def test_another_key_has_not(template: str, key: str) -> None:
    assert not KeysOfTemplate(template).has(key)


def test_a_key_that_was_cut_is_not_known_again() -> None:
    assert not KeysOfTemplate("o:{a}").has(made_by("o:{a}", "x" * 2000, 1))


def test_the_keys_of_a_task_without_a_template_are_digests() -> None:
    source = compile_key(None, task="shop.t{x}", signature=inspect.signature(body))
    keys = KeysOfTemplate.of_task("shop.t{x}")

    assert keys.template == source.template
    assert keys.has(source.render((1, 2), {}))
    assert not keys.has("shop.t{x}:7")
    assert keys.beginning == "shop.t{x}:"


def test_what_is_no_template_is_refused() -> None:
    with pytest.raises(LockConfigurationError, match="is malformed"):
        KeysOfTemplate("o:{a")
