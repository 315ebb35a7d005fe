"""The pages for those who change the code: what they name exists, and is as they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house import PACKAGE, ROOT, files, imports, where
from tests.test_house import FLOORS

MAP, GUIDE = ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"

_FILE = re.compile(r"[\w./-]+\.(?:py|lua|md|toml|yml|json|sh)")


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def named(page: Path) -> set[str]:
    """Every path on a page, in backticks or as the target of a link; tests without their names."""
    plain = re.sub(r"(?s)```.*?```", "", text(page))
    quoted = {word.partition("::")[0] for word in re.findall(r"`([^`\s]+)`", plain)}
    linked = set(re.findall(r"\]\(([^)\s#]+)", plain))
    return linked | {word for word in quoted if "/" in word or _FILE.fullmatch(word)}


def section(page: Path, title: str) -> str:
    return re.split(r"(?m)^## ", text(page).partition(f"\n## {title}\n")[2])[0]


def rows(table: str) -> list[str]:
    """The rows of a table, without its head."""
    return [line for line in table.splitlines() if line.startswith("|")][2:]


@pytest.mark.parametrize("page", [MAP, GUIDE], ids=lambda page: page.name)
def test_every_path_on_the_page_exists(page: Path) -> None:
    missing = sorted(path for path in named(page) if not (ROOT / path).exists())

    assert missing == []


@pytest.mark.parametrize("page", [MAP, GUIDE], ids=lambda page: page.name)
def test_every_command_on_the_page_is_one_of_the_makefile(page: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", text(ROOT / "Makefile")))

    assert set(re.findall(r"(?m)(?:`|^)make ([a-z-]+)", text(page))) <= targets


def test_the_floors_on_the_map_are_those_of_the_house() -> None:
    drawn = re.findall(r"(?m)^ *(\d+) \| ([a-z_ ]+?) *\|", text(MAP))

    assert {int(number): set(rooms.split()) for number, rooms in drawn} == dict(enumerate(FLOORS))


def test_every_room_is_on_the_map() -> None:
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    loose = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py"}
    rooms = section(MAP, "The rooms")

    assert {room for room in folders | loose if f"`celery_lock/{room}`" not in rooms} == set()


def test_every_file_that_knows_celery_is_among_the_seams() -> None:
    """Where Celery may move under us is nobody's secret."""
    seams = section(MAP, "Where we touch Celery")
    knowing = {
        where(file)
        for file in files()
        for source, _ in imports(file)
        if source.split(".")[0] in ("celery", "kombu", "billiard", "django_celery_beat")
    }

    assert {name for name in knowing if f"`celery_lock/{name}`" not in seams} == set()


def test_every_seam_names_the_test_that_watches_it() -> None:
    for row in rows(section(MAP, "Where we touch Celery")):
        assert re.search(r"`tests/[^`]+`", row.split(" | ")[-1]), row


def test_the_map_says_where_to_change_what() -> None:
    found = rows(section(MAP, "Where to change what"))

    assert len(found) >= 16
    for row in found:
        assert re.search(r"`(celery_lock/[^`]+|pyproject\.toml)`", row), row
