"""What the pages say of the benchmarks is what the results say, to the last figure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import names, page, readme
from benchmarks.arithmetic import Spread
from benchmarks.results import FILE, Cell, Results
from benchmarks.targets import verdicts

from .bench_run import a_run, cell, section

ROOT = Path(__file__).parents[2]


# -- how numbers are written -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "written"),
    [(1234.4, "1,234"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23"), (7.0, "7"), (0.0, "0")],
)
def test_a_number_has_three_figures_or_so(value: float, written: str) -> None:
    table = page.table(section("s", {"row": {"ms": cell(value=value)}}))

    assert table.splitlines()[-1] == f"| row | {written} |"


def test_a_cell_shows_its_median_and_its_spread_and_the_same_of_its_ratio() -> None:
    both = Cell(Spread(20.0, 15.0, 30.0, 9), Spread(2.0, 1.5, 2.5, 9))

    table = page.table(section("s", {"row": {"ms": both}}))

    assert table == (
        "|  | ms | ratio |\n| --- | ---: | ---: |\n| row | 20 (15 to 30) | 2.00 (1.50 to 2.50) |"
    )


def test_a_spread_that_is_none_is_not_written() -> None:
    table = page.table(section("s", {"row": {"trips": cell(1.0, 10)}}))

    assert table.splitlines()[-1] == "| row | 10 | 1.00 |"


# -- the page --------------------------------------------------------------------------------


def test_the_page_says_where_it_was_measured_and_shows_every_section() -> None:
    results = a_run()

    text = page.page(results)

    assert "2 x Abacus (Linux x86_64), Python 3.13.1, Redis 7.0.15, celery 5.7.0, redis" in text
    for each in results.sections:
        assert f"## {each.title}\n\n{each.about}\n\n{page.table(each)}\n" in text


def test_the_page_says_which_targets_were_missed() -> None:
    text = page.page(a_run(cycle=1.9))

    assert "two PINGs on a raw socket |  | at most 1.45 | 1.9 | missed |" in text
    assert text.count("| missed |") == 1
    assert text.count("| met |") == len(verdicts(a_run())) - 1


# -- the README's table ----------------------------------------------------------------------


def test_the_readmes_table_has_a_column_for_each_library() -> None:
    lines = readme.table(a_run(cycle=1.62, redis_py=2.5, worker=0.98)).splitlines()

    assert len(lines) <= 9
    assert lines[2].endswith("| 1.62 | 2.50 | 2.50 | 2.50 |")
    assert lines[3].endswith("| 0.98 | 0.98 | 0.98 | 0.98 |")
    assert lines[6].endswith("| 300 | 102 | 103 | 104 |")


def test_a_table_takes_the_place_of_the_older_one_and_nothing_else_changes() -> None:
    old, new = readme.table(a_run(cycle=1.1)), readme.table(a_run(cycle=1.2))
    below = "<!-- right below -->\n\n| another | table |\n|---|---|\n"

    after = readme.put(f"# Title\n\n{old}\n{below}", new)

    assert after == f"# Title\n\n{new}\n{below}"
    assert readme.quoted(after) == new


def test_a_page_without_the_table_stays_as_it_is() -> None:
    text = "# Title\n\n| another | table |\n|---|---|\n"

    assert readme.put(text, readme.table(a_run())) == text
    assert readme.quoted(text) is None


# -- the pages as they are -------------------------------------------------------------------


@pytest.fixture(scope="module")
def results() -> Results:
    return Results.read(FILE)


def test_the_page_of_numbers_is_what_the_results_say(results: Results) -> None:
    """After a change of its words: python -m benchmarks.pages"""
    assert page.FILE.read_text(encoding="utf-8") == page.page(results)


def test_the_readme_quotes_the_results(results: Results) -> None:
    found = readme.quoted(readme.FILE.read_text(encoding="utf-8"))
    if found is None:
        pytest.skip("the README has no table of numbers")

    assert found == readme.table(results)


def test_the_results_are_those_of_a_whole_run(results: Results) -> None:
    pools = [names.throughput(pool) for pool in ("prefork", "threads")]

    published = [names.publishing(broker) for broker in (names.REDIS, names.RABBITMQ)]
    stores = [names.STORES, names.HAND_OFF, names.STORE_RENEWAL]
    there = [each.name for each in results.sections]
    assert [name for name in there if name not in (*published, *stores)] == [
        names.CYCLE, *pools, names.RENEWAL, names.MEMORY, names.GROWTH, names.BEATS
    ]  # fmt: skip
    sizes = [int(re.sub(r"\D", "", row.name)) for row in results.section(names.RENEWAL).rows]
    assert sizes == [1, 100, 1_000, 10_000]
    for pool in pools:
        assert int(results.section(pool).about.split()[0].replace(",", "")) >= 1_000
    for each in results.sections:
        if each.name in (names.BEATS, names.STORE_RENEWAL):
            continue  # counts of messages and calls: none of these is a share of another
        for row in each.rows:
            assert row.name == each.base or any(found.ratio for found in row.cells.values())
