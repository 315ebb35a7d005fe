"""The site: every page is in its menu and ends with its limits; every name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import celery_lock
from celery_lock import errors, signals
from tests.acceptance.blocks import ROOT, pages

DOCS = [page for page in pages() if page.is_relative_to(ROOT / "docs")]
WRITTEN_FOR_USERS = [page for page in DOCS if page.parent.name != "decisions"]
HOW_TO = [page for page in DOCS if page.parent.name == "how-to"]


def name(page: Path) -> str:
    return page.relative_to(ROOT / "docs").as_posix()


def test_every_page_for_users_is_in_the_menu_once() -> None:
    menu = re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))

    assert sorted(menu) == sorted(map(name, WRITTEN_FOR_USERS))


def test_the_decisions_are_numbered_without_a_hole_and_found_by_contributors() -> None:
    pages = [page for page in DOCS if page not in WRITTEN_FOR_USERS]
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

    for number, page in enumerate(pages, start=1):
        assert page.name.startswith(f"{number:02}-")
        assert page.read_text(encoding="utf-8").startswith(f"# {number}. ")
        assert re.search(rf"(?m)^{number}\. \[.+\]\(docs/decisions/{page.name}\)$", guide)


@pytest.mark.parametrize("page", WRITTEN_FOR_USERS, ids=name)
def test_every_page_ends_with_its_limits(page: Path) -> None:
    last = re.split(r"(?m)^## ", page.read_text(encoding="utf-8"))[-1]

    assert re.match(r"Limits\n\n- ", last)


@pytest.mark.parametrize("page", HOW_TO, ids=name)
def test_a_how_to_page_is_read_in_two_minutes(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()

    assert 30 <= len(lines) <= 60


def test_every_public_name_is_in_the_reference() -> None:
    shown = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    rooms = {errors: "celery_lock.errors", signals: "celery_lock.signals"}
    public = {f"celery_lock.{name}" for name in celery_lock.__all__ if not hasattr(errors, name)}

    missing = {each for each in public if not re.search(rf"(?m)^::: {re.escape(each)}$", shown)}

    assert missing == set()
    assert all(f"::: {room}\n" in shown for room in rooms.values())


def test_the_first_page_says_how_to_install_which_version() -> None:
    first = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'(?m)^version = "(.+)"$', project)

    assert version
    assert f"Version {version[1]} " in first
    assert "pip install 'celery-lock[redis]'" in first
