"""The pages can be read by people whose first language is another: measured, page by page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import textstat

from tests.acceptance.blocks import ROOT, pages
from tests.acceptance.prose import cells_of, sentences_of

PAGES = [page for page in pages() if page.parent.name != "decisions"]
"""The pages for users; the decisions are notes for those who change the code."""

EASE = 60.0
"""Flesch reading ease: 60 to 70 is plain English, and more is easier still."""

WORDS = 15
"""A cell of a table has fewer."""

LONGEST = 30
"""Words of a sentence on the pages that a newcomer reads first."""

FIRST_READ = [
    page
    for page in PAGES
    if page.name in ("README.md", "tutorial.md") or page.parent.name == "how-to"
]

LONG_CELLS: set[str] = set()
HARD_TO_READ: set[str] = set()
"""The pages that still wait to be mended: each set only ever shrinks."""


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def long_cells(page: Path) -> list[str]:
    return [cell for cell in cells_of(page) if len(cell.split()) >= WORDS]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_is_easy_to_read(page: Path) -> None:
    text = sentences_of(page)

    ease = textstat.flesch_reading_ease(text)

    assert (ease >= EASE) != (name(page) in HARD_TO_READ), f"{ease:.1f}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_cell_of_a_table_is_a_few_words(page: Path) -> None:
    found = long_cells(page)

    assert bool(found) == (name(page) in LONG_CELLS), found


@pytest.mark.parametrize("page", FIRST_READ, ids=name)
def test_a_sentence_is_read_once(page: Path) -> None:
    sentences = re.split(r"(?<=[.!?])\s+", sentences_of(page))

    found = [sentence for sentence in sentences if len(sentence.split()) > LONGEST]

    assert found == []


def test_code_tables_headings_and_addresses_count_for_nothing(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A title\n\nIt is [free](there.md#now) in `lock_ttl` s, 2.5 at most:\n\n- one\n- two;\n\n"
        "| a | b c |\n|---|---|\n| d | e |\n\n```python\nx = 1\n```\n",
        encoding="utf-8",
    )

    assert sentences_of(page) == "It is free in  s, 25 at most.\none.\ntwo."
    assert cells_of(page) == ["a", "b c", "d", "e"]


def test_long_words_in_long_sentences_are_found(tmp_path: Path) -> None:
    hard, plain = tmp_path / "hard.md", tmp_path / "plain.md"
    hard.write_text(
        "Notwithstanding considerable operational complications, implementations necessarily"
        " accommodate intermittently unavailable infrastructure by anticipatory synchronisation.",
        encoding="utf-8",
    )
    plain.write_text("The worker takes the key. It gives it back at the end.", encoding="utf-8")

    assert textstat.flesch_reading_ease(sentences_of(hard)) < 0
    assert textstat.flesch_reading_ease(sentences_of(plain)) > 80
