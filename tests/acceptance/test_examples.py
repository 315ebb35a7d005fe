"""Each example runs by itself, on real workers, and shows what its README says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from examples.scheduled_job.__main__ import show as show_due_times
from tests.acceptance.blocks import PLAIN, ROOT, run_python
from tests.services import wait_for
from tests.services.binaries import GET_REDIS, find_redis, find_valkey, missing
from tests.services.survivors import was_started_by

EXAMPLES = ROOT / "examples"
FOLDERS = sorted(path.parent.name for path in EXAMPLES.glob("*/__main__.py"))


class Example:
    """One run of an example. A variable in its environment marks all that it starts."""

    def __init__(self, name: str, folder: Path) -> None:
        program = find_redis() or find_valkey() or missing("a Redis or Valkey server", GET_REDIS)
        strangers = ("CELERY_BROKER", "CELERY_RESULT", "PYTEST_", "DJANGO_")
        self._mark = uuid.uuid4().hex
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"examples.{name}"],
            cwd=ROOT,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith(strangers)},
                "REDIS_SERVER": program,
                "TMPDIR": str(folder),
                "PYTHONDONTWRITEBYTECODE": "1",
                "EXAMPLE_TEST": self._mark,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def outcome(self) -> tuple[int, str]:
        """Wait for its end; return its status and all that it said."""
        said, _ = self.process.communicate(timeout=100)
        return self.process.returncode, said

    def running(self) -> list[psutil.Process]:
        """The living processes that it has started, itself too."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def assert_nothing_is_left(self) -> None:
        """Fail if a process or a file outlives it."""
        wait_for(lambda: not self.running(), "the end of all it started", timeout=5)
        assert [path.name for path in self.folder.iterdir()] == []

    def _is_ours(self, process: psutil.Process) -> bool:
        return was_started_by(process, self.folder, "EXAMPLE_TEST", self._mark)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Example]]:
    """Starts an example; what is left of it ends with the test."""
    started: list[Example] = []

    def start(name: str) -> Example:
        started.append(example := Example(name, tmp_path))
        return example

    yield start
    for example in started:
        for process in example.running():
            process.kill()
        example.process.communicate()


# -- what each one shows ---------------------------------------------------------------------

SHOWN = {
    "custom_policy": (
        r"alone: +sent again twice, then \{'skipped': 'catalogue:7'",
        r"chained: waited until the holder was done, and then: 700 articles",
    ),
    "django_shop": (
        r"account 1: 790 points, expected 790",
        r"account 2: 775 points, expected 775",
    ),
    "fencing": (
        r"Without the token:(.|\n)*another lease : has read 1000, writes 990\n"
        r".*paused process: has read 1000, writes 900\n  left: 900, 10 points too many",
        r"With the token in the WHERE clause:(.|\n)*writes 990\n"
        r".*paused process: has read 1000, writes 900: REFUSED\n"
        r".*has read  990, writes 890\n  left: 890, right",
    ),
    "points_shop": (
        r"without a lock +[1-9]\d* points are wrong",
        r"with hold and Lock +0 points are wrong",
    ),
    "scheduled_job": (r"(\d\d:\d\d:\d\d( +\+\d\.\d\d s){2}   1: of the \w+ beat\n){2}",),
    "worker_configuration": (
        r"  list 7: list 7 has its newsletter\n  list 7: \{'skipped': 'newsletter:7', .*\n"
        r"  list 8: list 8 has its newsletter",
        r"key 'report:2030-01-31', 1\d\.\d s left of 20 s",
        r"cat\.png\.small",
    ),
}
"""What must be in the output; `point_charging` has tests of its own in test_demo.py."""


def test_every_example_is_run_here() -> None:
    assert sorted([*SHOWN, "point_charging"]) == FOLDERS


@pytest.mark.parametrize("name", SHOWN)
def test_an_example_shows_what_it_says_and_leaves_nothing(
    name: str, start: Callable[[str], Example]
) -> None:
    example = start(name)

    status, said = example.outcome()

    assert status == 0, said
    for pattern in SHOWN[name]:
        assert re.search(pattern, said), said
    example.assert_nothing_is_left()


def test_ctrl_c_ends_a_process_that_is_paused_too(start: Callable[[str], Example]) -> None:
    example = start("fencing")

    def paused() -> bool:
        return any(p.status() == psutil.STATUS_STOPPED for p in example.running())

    wait_for(paused, "a process that is paused", timeout=60, poll=0.2)
    os.killpg(example.process.pid, signal.SIGINT)
    status, said = example.outcome()

    assert status == 130, said
    assert "Traceback" not in said
    example.assert_nothing_is_left()


def test_a_job_that_ran_twice_for_one_due_time_is_seen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sent = {number: {"first": number * 5.0, "second": number * 5 + 1.5} for number in (1, 2)}

    assert show_due_times([1, 2], sent, {1: ["first"], 2: ["second"]})
    assert not show_due_times([1, 2], sent, {1: ["first"], 2: ["first", "second"]})
    assert not show_due_times([1, 2], sent, {1: ["first"], 2: []})


def test_the_policy_has_a_test_that_passes() -> None:
    folder = EXAMPLES / "custom_policy"
    options = ["-q", "-p", "no:cacheprovider", "-p", "pytest_timeout"]  # our settings name that
    said = run_python(ROOT, "-m", "pytest", *options, str(folder), env=PLAIN)

    assert "3 passed" in said


def test_the_django_project_has_tests_that_pass_and_no_migration_is_missing(
    tmp_path: Path,
) -> None:
    shop = EXAMPLES / "django_shop"
    env = {"SHOP_DATABASE": str(tmp_path / "db.sqlite3")}

    run_python(shop, "manage.py", "test", "--verbosity", "0", env=env)
    run_python(shop, "manage.py", "makemigrations", "--check", "--dry-run", env=env)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_readme_says_how_to_run_its_example(name: str) -> None:
    lines = (EXAMPLES / name / "README.md").read_text(encoding="utf-8").splitlines()
    text = "\n".join(lines)

    assert f"    python -m examples.{name} " in text
    assert len(lines) <= 30
    for file in re.findall(r"`([\w/]+\.(?:py|sql))`", text):
        assert (EXAMPLES / name / file).exists(), file
