"""The tutorial as a newcomer goes through it: from top to bottom, in real terminals, on a server.

Its port is the test's own, and its tasks sleep for three seconds instead of five; all else is
typed and read as it stands on the page.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.blocks import (
    PROGRAM,
    ROOT,
    Block,
    blocks_of,
    commands,
    python_files,
    user_environment,
)
from tests.services import Process, find_redis, free_port, missing
from tests.services.binaries import GET_REDIS

PAGE = blocks_of(ROOT / "docs" / "tutorial.md")
PORT = "6379"
SLEEP, SHORTER = "time.sleep(5)", "time.sleep(3)"
INSTALLED = ["python3 -m venv .venv", ". .venv/bin/activate", "pip install '.[redis]'"]
"""How a checkout is installed; the test of the README types it."""

_TERMINAL = re.compile(r"# terminal (\d)\b")
_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_VARIES = (
    _ID,
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:,\d{3})?",
    r"\d+\.\d+",
    r"ForkPoolWorker-\d+",
    r"celery@[\w.-]+",
    r"pid \d+",
)
"""What is another one at each run."""


class Newcomer:
    """Somebody with three terminals, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._long: dict[str, Process] = {}
        self._seen: list[Block] = []
        self.said = ""
        """What the last command of terminal 2 has printed."""

    def save(self, block: Block) -> None:
        """Write the Python file as far as the page has come."""
        self._seen.append(block)
        for name, text in python_files(self._seen).items():
            assert name != PROGRAM, f"{block} does not say which file it is"
            (self.folder / name).write_text(self._mine(text), encoding="utf-8")

    def type(self, block: Block) -> None:
        """Type the commands of a block into the terminal that it names."""
        lines = commands([block])
        if lines == INSTALLED:
            return
        terminal = _TERMINAL.match(block.text)
        assert terminal, f"{block} does not say which terminal it is for"
        if terminal.group(1) == "2":
            self.said = "".join(self._type_and_wait(self._mine(line)) for line in lines)
        else:
            (line,) = lines
            self._type_and_leave(terminal.group(1), self._mine(line))

    def read(self, block: Block) -> None:
        """Compare what a block shows with what a terminal has said."""
        if block.text.startswith("["):
            self._long["1"].wait_for_log(expected(block.text), timeout=60)
        else:
            assert re.fullmatch(expected(block.text), self.said), f"{block}: {self.said}"

    def leave(self) -> None:
        """End what still runs; nobody waits for the last charge."""
        for process in reversed(self._long.values()):
            process.kill()

    def _mine(self, text: str) -> str:
        return text.replace(PORT, str(self.port)).replace(SLEEP, SHORTER)

    def _type_and_wait(self, line: str) -> str:
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=self.folder,
            env=user_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _type_and_leave(self, terminal: str, line: str) -> None:
        if terminal in self._long:
            self._long[terminal].stop()
        process = Process(
            ["sh", "-c", f"exec {line}"],
            cwd=self.folder,
            log=self.folder / f"terminal-{terminal}.log",
            env=user_environment(),
        )
        self._long[terminal] = process
        process.start()
        ready = "Ready to accept connections" if terminal == "3" else r"celery@\S+ ready\."
        process.wait_for_log(ready, timeout=60, since_start=True)


def expected(shown: str) -> str:
    """Make a pattern of what the page shows: the same lines in the same order, perhaps with others
    in between; ids that are one on the page must be one, and two must be two."""
    varies = re.compile("|".join(f"({kind})" for kind in _VARIES))
    ids: list[str] = []

    def pattern_of(line: str) -> str:
        pattern, end = "", 0
        for found in varies.finditer(line):
            assert found.lastindex is not None
            kind = _VARIES[found.lastindex - 1]
            pattern += re.escape(line[end : found.start()])
            pattern += id_like(found.group()) if kind is _ID else kind
            end = found.end()
        return pattern + re.escape(line[end:])

    def id_like(shown: str) -> str:
        if shown in ids:
            return f"(?P=id{ids.index(shown)})"
        others = "".join(f"(?!(?P=id{number}))" for number in range(len(ids)))
        ids.append(shown)
        return f"(?P<id{len(ids) - 1}>{others}{_ID})"

    return r"(?s:.*?)".join(map(pattern_of, shown.rstrip("\n").split("\n"))) + r"\n"


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    if find_redis() is None:
        missing("redis-server", GET_REDIS)
    somebody = Newcomer(tmp_path)
    yield somebody
    somebody.leave()


@pytest.mark.timeout(300)
def test_the_tutorial_shows_what_a_newcomer_sees(newcomer: Newcomer) -> None:
    assert any(SLEEP in block.text for block in PAGE)
    act = {"python": newcomer.save, "sh": newcomer.type, "text": newcomer.read}

    for block in PAGE:
        act[block.language](block)
