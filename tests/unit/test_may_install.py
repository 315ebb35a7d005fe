"""Whether the tools install Debian packages: never unasked, but in CI, and they never hang."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.house import ROOT
from tests.services.terminal import at_a_terminal

SCRIPT = ROOT / "tools" / "may_install.sh"


@pytest.fixture
def debian(tmp_path: Path) -> dict[str, str]:
    """The environment of root on Debian; what is called apt-get there does nothing."""
    for name, text in (("apt-get", "exit 0"), ("id", "echo 0")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    env = {name: value for name, value in os.environ.items() if name != "CI"}
    return {**env, "PATH": f"{tmp_path}:{env['PATH']}"}


def asked(env: dict[str, str], answer: bytes) -> tuple[int, str]:
    return at_a_terminal(["sh", SCRIPT, "redis-server"], answer, env=env, timeout=20)


def test_ci_is_never_asked(debian: dict[str, str]) -> None:
    env = {**debian, "CI": "true"}

    assert subprocess.run(["sh", SCRIPT, "x"], stdin=subprocess.DEVNULL, env=env).returncode == 0
    ended, said = asked(env, b"\n")

    assert ended == 0
    assert said.strip() == ""  # at most the echo of what was typed


def test_without_a_terminal_nothing_is_installed_and_nothing_hangs(debian: dict[str, str]) -> None:
    done = subprocess.run(["sh", SCRIPT, "x"], stdin=subprocess.PIPE, env=debian, timeout=20)

    assert done.returncode == 1


@pytest.mark.parametrize(("answer", "status"), [(b"y\n", 0), (b"n\n", 1), (b"\n", 1), (b"\4", 1)])
def test_at_a_terminal_it_asks(debian: dict[str, str], answer: bytes, status: int) -> None:
    ended, said = asked(debian, answer)

    assert ended == status
    assert "Missing: redis-server. Install them with apt-get now? [y/N]" in said


def test_who_is_not_root_is_not_asked(debian: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")

    assert asked(debian, b"y\n")[0] == 1


def test_no_other_script_installs_packages_by_itself() -> None:
    for script in (ROOT / "tools").glob("*.sh"):
        if "apt-get install -y" in script.read_text(encoding="utf-8"):
            assert "may_install.sh" in script.read_text(encoding="utf-8"), script
