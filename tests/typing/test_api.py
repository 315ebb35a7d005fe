"""Type checkers agree with what tests/typing/api.py says about users' code."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.typing

ROOT = Path(__file__).parents[2]
API = Path(__file__).with_name("api.py")


def check(*command: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def mypy(file: Path, cache: Path) -> tuple[int, str]:
    return check(
        *("mypy", "--strict", "--python-version=3.10", "--config-file=", "--hide-error-context"),
        *("--follow-imports=silent", "--explicit-package-bases"),
        *(f"--cache-dir={cache}", str(file)),
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of mypy: the second run reads what the first one has learnt of Celery."""
    return tmp_path_factory.mktemp("mypy")


def test_mypy_agrees(cache: Path) -> None:
    status, out = mypy(API, cache)

    assert status == 0, out


def test_mypy_refuses_what_the_marks_hide(tmp_path: Path, cache: Path) -> None:
    """The file is really read, and with the package's own types."""
    bare = re.sub(r"  # type: ignore.*", "", API.read_text(encoding="utf-8"))
    wrong = API.read_text(encoding="utf-8").count("# type: ignore")
    (tmp_path / "bare.py").write_text(bare, encoding="utf-8")

    status, out = mypy(tmp_path / "bare.py", cache)

    assert status == 1, out
    assert len(set(re.findall(r"^.*bare\.py:\d+", out, re.MULTILINE))) == wrong


def test_pyright_agrees(tmp_path: Path) -> None:
    if importlib.util.find_spec("pyright") is None:
        pytest.skip("pyright is not installed: make lint installs it, and runs it too")
    (tmp_path / "pyrightconfig.json").write_text(
        json.dumps(
            {
                "include": [str(API)],
                "extraPaths": [str(ROOT)],
                "pythonVersion": "3.10",
                "typeCheckingMode": "standard",
                "enableTypeIgnoreComments": True,
                "reportUnnecessaryTypeIgnoreComment": "error",
            }
        )
    )

    status, out = check("pyright", "--pythonpath", sys.executable, "--project", str(tmp_path))

    assert status == 0, out
