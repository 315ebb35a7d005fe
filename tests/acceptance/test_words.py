"""Words that a reader must look up are in no page, message, option or public docstring."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.blocks import ROOT, pages

REFUSED = re.compile(
    r"\b(told(?! apart)|robs|robbed|bears|anew|reckons?|rash|(?<!look )(?<!ask )at it(?! again)"
    r"|(?:is|are) none of ours|spells? (?:a|the|one|the same) key|may die)\b",
    re.IGNORECASE,
)
"""Each has a plain word: reported, taken from, allows, again, count, unsafe, fail."""

PACKAGE = ROOT / "celery_lock"
API = ROOT / "docs" / "reference" / "api.md"

PAGES = [page for page in pages() if page.parent.name != "decisions"]
MODULES = sorted(PACKAGE.rglob("*.py"))
FIELDS = {"entries.py", "record_lives.py"}
"""Their texts are names in what a store keeps, which nobody reads."""


def found_in(text: str) -> list[str]:
    """Return each refused word with what stands around it."""
    plain = " ".join(text.split())
    return [plain[max(0, m.start() - 30) : m.end() + 30] for m in REFUSED.finditer(plain)]


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def texts_of(tree: ast.Module) -> Iterator[tuple[bool, str]]:
    """Yield each text of a module, and whether it documents something."""
    documenting = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and is_text(node.value)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield id(node) in documenting, node.value


def public_modules() -> list[Path]:
    """Return the files in which the names of the page of the API are written."""
    found = {PACKAGE / "cli" / "commands.py"}  # its docstrings are what --help says
    for target in re.findall(r"^::: (\S+)", API.read_text(encoding="utf-8"), re.MULTILINE):
        place = ROOT.joinpath(*target.split("."))
        name = re.compile(rf"^(?:class|def) {place.name}\b|^{place.name}\b.* = ", re.MULTILINE)
        if place.is_dir():
            found |= {*place.glob("*.py")}
        elif place.with_suffix(".py").is_file():
            found.add(place.with_suffix(".py"))
        else:
            found |= {one for one in MODULES if name.search(one.read_text(encoding="utf-8"))}
    return sorted(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_has_plain_words(page: Path) -> None:
    assert found_in(re.sub(r"(?ms)^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.relative_to(ROOT).as_posix())
def test_what_a_module_says_has_plain_words(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))

    said = [text for documents, text in texts_of(tree) if not documents]

    assert module.name in FIELDS or [w for text in said for w in found_in(text)] == []


@pytest.mark.parametrize("module", public_modules(), ids=lambda m: m.relative_to(ROOT).as_posix())
def test_a_public_docstring_has_plain_words(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))

    documents = [text for documents, text in texts_of(tree) if documents]

    assert [words for text in documents for words in found_in(text)] == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("The holder is told.", 1),
        ("two that cannot be told apart", 0),
        ("you need not look\nat it again", 0),
        ("It begins\n  anew, below 5 s is rash.", 2),
    ],
)
def test_a_word_is_found_over_the_end_of_a_line(text: str, count: int) -> None:
    assert len(found_in(text)) == count
