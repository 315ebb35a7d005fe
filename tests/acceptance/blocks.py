"""The code blocks of Markdown pages, as files that can be run.

A Python block whose first line is a comment with a file's name (`# shop.py`) belongs to that
file; blocks of one file are joined in their order. Blocks without one make up one program, which
runs after an `app` was made. Each keeps its line numbers, so that a traceback shows the page's.
A line such as `--8<-- "examples/shop.py"` stands for that file, here as on the site.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

PROGRAM = "page.py"
"""The file of the blocks that name none."""

PLAIN = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""A user's own tests need nothing but pytest; other plug-ins take seconds to load."""

_FENCE = re.compile(r"^(?P<indent> *)(?P<marks>`{3,}|~{3,}) *(?P<info>.*)$")
_INCLUDE = re.compile(r'^--8<-- "(?P<path>[\w/.]+)"$')
_NAME = re.compile(r"^# ([\w/]+\.py)$")


@dataclass(frozen=True)
class Block:
    """One fenced block of code."""

    page: Path
    line: int
    """Where its text begins, counted from 1."""
    language: str
    text: str

    @property
    def file(self) -> str:
        """The file it belongs to."""
        named = _NAME.match(self.text.split("\n", 1)[0])
        return named.group(1) if named else PROGRAM

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """The README, and all pages under docs."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks_of(page: Path) -> list[Block]:
    """Read the fenced blocks of a page, in their order."""
    found: list[Block] = []
    fence: re.Match[str] | None = None
    inside: list[str] = []
    start = 0
    for number, line in enumerate(page.read_text(encoding="utf-8").split("\n"), 1):
        match = _FENCE.match(line)
        if fence is None:
            if match:
                fence, inside, start = match, [], number + 1
        elif match and match["marks"].startswith(fence["marks"]) and not match["info"]:
            language = fence["info"].split()[0] if fence["info"] else ""
            found.append(Block(page, start, language, "\n".join(inside) + "\n"))
            fence = None
        elif included := _INCLUDE.match(line):
            inside += (ROOT / included["path"]).read_text(encoding="utf-8").splitlines()
        else:
            inside.append(line.removeprefix(fence["indent"]))
    assert fence is None, f"{page.name}: a block of code has no end"
    return found


def python_files(blocks: list[Block]) -> Mapping[str, str]:
    """Return the text of each Python file that these blocks make up, lines where the page has
    them."""
    files: dict[str, list[str]] = {}
    for block in blocks:
        if block.language == "python":
            lines = files.setdefault(block.file, [])
            lines += [""] * (block.line - 1 - len(lines))
            lines += block.text.rstrip("\n").split("\n")
    return {name: "\n".join(lines) + "\n" for name, lines in files.items()}


def commands(blocks: list[Block]) -> list[str]:
    """Return the commands of shell blocks, one for each line, without comments."""
    lines = [
        re.sub(r"(^|\s+)#.*", "", line).strip()
        for block in blocks
        if block.language == "sh"
        for line in block.text.splitlines()
    ]
    return [line for line in lines if line]


def user_environment() -> dict[str, str]:
    """Return the environment of a user whose shell finds the programs of this Python, and the
    package of this checkout."""
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith(("CELERY_", "PYTEST_"))},
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }


def run_python(folder: Path, *argv: str, env: Mapping[str, str] | None = None) -> str:
    """Run Python in `folder`, with the package of this checkout; return what it printed."""
    done = subprocess.run(
        [sys.executable, *argv],
        cwd=folder,
        env={
            **user_environment(),
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
            **(env or {}),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_other(block: Block) -> None:
    """Check a block that is no code to run; raises for a language that nobody knows here."""
    if block.language == "json":
        json.loads(block.text)
    elif block.language == "toml" and sys.version_info >= (3, 11):
        import tomllib

        tomllib.loads(block.text)
    elif block.language not in ("python", "sh", "sql", "text", "toml"):
        raise AssertionError(
            f"{block}: nothing here knows how to run {block.language or 'a block without name'!r};"
            " call it text if there is nothing to run"
        )
