"""The pages under docs keep their word: each block of code is run, each link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.acceptance.blocks import (
    PLAIN,
    PROGRAM,
    ROOT,
    Block,
    blocks_of,
    check_other,
    commands,
    pages,
    python_files,
    run_python,
)

pytestmark = pytest.mark.acceptance

BEFORE = """
import celery
app = celery.Celery("page", broker="memory://", backend="cache+memory://")
app.set_current()
app.conf.task_always_eager = True
"""
"""What a page may take as given."""

STAND_INS = {
    "prometheus_client/__init__.py": "",
    "prometheus_client/core.py": """
class CounterMetricFamily:
    def __init__(self, name, documentation, labels=()): self.labels = labels
    def add_metric(self, labels, value): assert len(labels) == len(self.labels)
class REGISTRY:
    @staticmethod
    def register(collector): print(*collector.collect())
""",
    "tenant_schemas_celery/app.py": """
from celery import Celery
class CeleryApp(Celery): task_cls = "tenant_schemas_celery.task:TenantTask"
""",
    "tenant_schemas_celery/task.py": """
from celery import Task
class TenantTask(Task): tenant_databases = None
""",
}
"""Other people's libraries that pages show and tests do not install: as little as is used."""

BIND = """
from celery import _state
for app in list(_state._get_active_apps()):
    app.finalize()
"""
"""Binds the tasks of a file, so that a lock which cannot be is found."""

DOCS = [page for page in pages() if page.name != "README.md"]
TYPED = [
    ROOT / "README.md",
    ROOT / "docs" / "tutorial.md",
    ROOT / "docs" / "how-to" / "free-a-stuck-key.md",
    ROOT / "docs" / "how-to" / "two-beats.md",
    ROOT / "docs" / "how-to" / "your-own-scheduler.md",
    ROOT / "docs" / "how-to" / "move-from-redbeat.md",
]
"""The pages whose commands are typed by tests of their own."""


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def is_run(page: Path) -> bool:
    return any(block.language == "python" for block in blocks_of(page))


@pytest.mark.parametrize("page", [page for page in DOCS if is_run(page)], ids=name)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    files = {**STAND_INS, **python_files(blocks_of(page))}
    for file, text in files.items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    if PROGRAM in files:
        start = f"{BEFORE}\nexec(compile(open({PROGRAM!r}).read(), {name(page)!r}, 'exec'))\n{BIND}"
        run_python(tmp_path, "-c", start)
    for file in files:
        if file.startswith("test_"):
            run_python(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", file, env=PLAIN)
        elif file not in STAND_INS and file != PROGRAM:
            module = file.removesuffix(".py").replace("/", ".")
            run_python(tmp_path, "-c", f"import {module}\n{BIND}")


@pytest.mark.parametrize("page", DOCS, ids=name)
def test_every_block_of_a_page_is_of_a_kind_that_is_checked(page: Path) -> None:
    for block in blocks_of(page):
        check_other(block)


def test_pages_give_no_commands_but_those_that_are_typed_in_tests() -> None:
    """Another one needs a test of its own first."""
    known = {command for page in TYPED for command in commands(blocks_of(page))}

    for page in DOCS:
        assert set(commands(blocks_of(page))) <= known, name(page)


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    text = re.sub(r"(?s)```.*?```", "", page.read_text(encoding="utf-8"))

    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), f"{name(page)} links to {target}"
        if anchor and file.suffix == ".md":  # of a picture: in which colour scheme it is shown
            assert anchor in headings(file), f"{name(page)} links to {target}"


def headings(page: Path) -> set[str]:
    """The anchors of a page, as the usual renderers name them."""
    found = re.findall(r"(?m)^#+ (.+)$", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in found}


def test_a_block_is_read_with_its_place_and_its_file() -> None:
    page = ROOT / "README.md"
    lines = page.read_text(encoding="utf-8").split("\n")

    for block in blocks_of(page):
        assert isinstance(block, Block)
        assert lines[block.line - 1] == block.text.split("\n")[0]
        assert lines[block.line - 2].startswith("```")
