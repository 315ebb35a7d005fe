"""The site as a reader has it: built, opened as files from its folder, followed and searched."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit
from urllib.request import url2pathname

import pytest
from lunr import lunr
from lunr.index import Index

from tests.acceptance.blocks import ROOT

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
"""What a browser fetches by itself, as it opens a page."""


class Page(HTMLParser):
    """What one file of the site links to, loads, and may be linked to at."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.links: list[str] = []
        self.menu: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self._in_menu = 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors.add(given.get("id", ""))
        if tag == "nav" or self._in_menu:
            self._in_menu += tag == "nav"
        if tag == "a" and "href" in given:
            (self.menu if self._in_menu else self.links).append(given["href"])
        if LOADED.get(tag) in given and given.get("rel") != "canonical":
            self.loads.append(given[LOADED[tag]])

    def handle_endtag(self, tag: str) -> None:
        self._in_menu -= tag == "nav"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does: any warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    assert built.returncode == 0, built.stdout
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    # 404.html is what a web server shows, and is not opened as a file
    return {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


@pytest.fixture(scope="module")
def index(site: Path) -> Index:
    # a page that is opened as a file cannot read JSON: there the index is a script
    script = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    parts: list[dict[str, Any]] = json.loads(script.removeprefix("var __index = "))["docs"]
    return lunr(ref="location", fields=("title", "text"), documents=parts)


def leads_nowhere(link: str, page: Page, pages: dict[Path, Page]) -> bool:
    """Whether a browser that has opened the page as a file would not find what it links to."""
    url, anchor = urldefrag(urljoin(page.path.as_uri(), link))
    if not url.startswith("file:"):
        return False
    path = Path(url2pathname(urlsplit(url).path))
    if not path.is_file():  # a folder has no index.html of its own there
        return True
    return bool(anchor) and path in pages and unquote(anchor) not in pages[path].anchors


def test_a_reader_comes_from_the_first_page_to_every_page_of_the_menu(
    site: Path, pages: dict[Path, Page]
) -> None:
    first = pages[site / "index.html"]

    found = {urldefrag(urljoin(first.path.as_uri(), link))[0] for link in first.menu}

    for_users = {path for path in pages if path.parent.name != "decisions"}
    assert {path.as_uri() for path in for_users} <= found


def test_every_link_leads_to_a_file_and_to_a_place_in_it(pages: dict[Path, Page]) -> None:
    broken = [
        (page.path.name, link)
        for page in pages.values()
        for link in (*page.menu, *page.links, *page.loads)
        if leads_nowhere(link, page, pages)
    ]

    assert broken == []


def test_a_signature_links_the_types_of_its_options(pages: dict[Path, Page], site: Path) -> None:
    api = pages[site / "reference" / "api.html"]

    for name in ("lock.Key", "decision.OnConflict", "lock.OnStoreError", "Holder", "LossReason"):
        assert f"#celery_lock.model.{name}" in api.links
        assert f"celery_lock.model.{name}" in api.anchors
    assert "#celery_lock.backoff.Duration" in api.links


def test_nothing_is_fetched_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    fetched = [load for page in pages.values() for load in page.loads if "//" in load]
    styles = [style.read_text(encoding="utf-8") for style in site.rglob("*.css")]

    assert fetched == []
    assert not any("url(http" in style or "url(//" in style for style in styles)


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("fencing token", "explanation/fencing.html"),
        ("django", "how-to/django.html"),
        ("lock_store_deadline", "reference/settings.html"),
        ("LeaseLost", "reference/api.html"),
    ],
)
def test_the_search_finds_a_page_by_its_words(index: Index, words: str, page: str) -> None:
    found = [hit["ref"].partition("#")[0] for hit in index.search(words)]

    assert page in found[:12]


def test_the_search_knows_nothing_of_the_decisions(site: Path) -> None:
    script = (site / "search" / "search_index.js").read_text(encoding="utf-8")

    assert '"location":"decisions/' not in script


def test_the_search_works_in_a_browser_that_opened_a_file(site: Path) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("there is no Chromium; its index was searched above")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000"]
    query = (site / "index.html").as_uri() + "?q=fencing"

    shown = subprocess.run(
        [browser, *options, f"--user-data-dir={site.parent / 'browser'}", "--dump-dom", query],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=60,
    ).stdout

    assert re.search(r">\d+ matching documents<", shown)
