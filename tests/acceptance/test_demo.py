"""The demo as a user runs it: it shows what it says, it can fail, and it leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from tests.services.binaries import GET_REDIS, find_redis, find_valkey, missing
from tests.services.survivors import was_started_by
from tests.services.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]

AT_WORK = {
    "as the servers start": "broker and locks",
    "in the run without a lock": r"without a lock +\[",
    "in the run with a lock": r"with LockedTask +\[",
}


class Demo:
    """One run of the demo. A variable in its environment marks all that it starts."""

    def __init__(self, directory: Path, *options: str) -> None:
        program = find_redis() or find_valkey()
        if program is None:
            missing("a Redis or Valkey server", GET_REDIS)
        self._mark = uuid.uuid4().hex
        self._directory = directory
        self.process = subprocess.Popen(
            [sys.executable, "-m", "examples.point_charging", "--top-ups", "60", *options],
            cwd=ROOT,
            env={
                **os.environ,
                "REDIS_SERVER": program,
                "TMPDIR": str(directory),
                "POINT_CHARGING_TEST": self._mark,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a terminal's Ctrl-C reaches the whole group
        )
        self._said = ""

    def read_until(self, pattern: str) -> None:
        """Read what it says up to a line that matches."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said += line
            if re.search(pattern, line):
                return
        raise AssertionError(f"it ended without saying {pattern!r}:\n{self._said}")

    def outcome(self) -> tuple[int, str]:
        """Wait for its end; return its status and all that it said."""
        if self.process.returncode is None:
            self._said += self.process.communicate(timeout=90)[0]
        return self.process.returncode, self._said

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Send a signal to its group."""
        os.killpg(self.process.pid, number)

    def running(self) -> list[psutil.Process]:
        """Return the living processes that it has started, whoever their parent is by now."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def assert_nothing_runs(self) -> None:
        """Fail if one of them lives on; one that was just killed may take a moment to be gone."""
        wait_for(lambda: not self.running(), "the end of all it started", timeout=5)

    def left_on_disk(self) -> list[str]:
        """Return the names of what it left in the folder for temporary files."""
        return [path.name for path in self._directory.iterdir()]

    def _is_ours(self, process: psutil.Process) -> bool:
        return was_started_by(process, self._directory, "POINT_CHARGING_TEST", self._mark)


@pytest.fixture
def demos() -> Iterator[list[Demo]]:
    started: list[Demo] = []
    yield started
    for demo in started:
        for process in demo.running():
            process.kill()
        demo.process.communicate()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    demo = Demo(tmp_path_factory.mktemp("demo"))
    demo.outcome()
    return demo


def test_points_are_lost_without_a_lock_and_none_with_it(finished: Demo) -> None:
    status, said = finished.outcome()

    assert status == 0, said
    totals = re.search(r"^all +([\d,]+) +([\d,]+) +([\d,]+) +([\d,]+) +([\d,]+)$", said, re.M)
    assert totals is not None, said
    expected, plain, plain_lost, locked, locked_lost = (
        int(number.replace(",", "")) for number in totals.groups()
    )
    assert plain_lost > 0
    assert plain == expected - plain_lost
    assert (locked, locked_lost) == (expected, 0)


def test_the_timeline_shows_a_dozen_holds_one_after_the_other(finished: Demo) -> None:
    _, said = finished.outcome()

    holds = re.findall(r"^[ABC] +([\d.]+) +([\d.]+) +(\d+) +\|[ #]+\|$", said, re.M)

    assert len(holds) == 12, said
    for (_, end, token), (start, _, next_token) in pairwise(holds):
        assert float(start) >= float(end)
        assert int(next_token) > int(token)


def test_nothing_is_left_after_a_run(finished: Demo) -> None:
    finished.assert_nothing_runs()
    assert finished.left_on_disk() == []


def test_a_lock_that_does_not_lock_is_found_out(tmp_path: Path, demos: list[Demo]) -> None:
    demos.append(demo := Demo(tmp_path, "--broken"))

    status, said = demo.outcome()

    assert status == 1, said
    assert "WRONG" in said
    assert "wrong sums, for users" in said
    assert "overlapping holds" in said
    demo.assert_nothing_runs()


@pytest.mark.parametrize("moment", AT_WORK)
def test_ctrl_c_ends_every_process(moment: str, tmp_path: Path, demos: list[Demo]) -> None:
    demos.append(demo := Demo(tmp_path))
    demo.read_until(AT_WORK[moment])

    demo.interrupt()
    demo.interrupt()  # and an impatient second time
    status, said = demo.outcome()

    assert status == 130, said
    assert "Traceback" not in said
    demo.assert_nothing_runs()
    assert demo.left_on_disk() == []


def test_a_polite_end_is_one_too(tmp_path: Path, demos: list[Demo]) -> None:
    demos.append(demo := Demo(tmp_path))
    demo.read_until(AT_WORK["in the run without a lock"])

    demo.interrupt(signal.SIGTERM)
    status, said = demo.outcome()

    assert status == 143, said
    demo.assert_nothing_runs()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's help is Linux's")
def test_nothing_outlives_a_demo_that_is_killed(tmp_path: Path, demos: list[Demo]) -> None:
    demos.append(demo := Demo(tmp_path))
    demo.read_until(AT_WORK["in the run with a lock"])
    assert len(demo.running()) == 11  # itself, the server, three workers with two children each

    demo.process.kill()

    demo.assert_nothing_runs()


def test_a_missing_server_is_said_in_one_sentence(tmp_path: Path) -> None:
    environment = {**os.environ, "REDIS_SERVER": "/nowhere/redis-server"}

    done = subprocess.run(
        [sys.executable, "-m", "examples.point_charging"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "REDIS_SERVER is '/nowhere/redis-server', and there is no such program" in done.stderr
    assert "Traceback" not in done.stderr
