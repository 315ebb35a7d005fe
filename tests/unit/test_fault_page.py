"""The page of the fault matrix says first what it shows, in the words that `make faults` writes."""

from __future__ import annotations

import pytest

from tests.faults.page import HEAD, PAGE
from tests.faults.scenario import SOON


def test_the_page_begins_with_five_lines_that_say_what_it_shows() -> None:
    if not PAGE.exists():
        pytest.skip("the tests run without the documentation")
    written = HEAD.partition("\n## ")[0].format(soon=SOON)

    first = PAGE.read_text("utf-8").partition("\n## ")[0]

    title, _, *lines = first.splitlines()
    assert first == written
    assert title == "# Fault matrix"
    assert len(lines) == 5
