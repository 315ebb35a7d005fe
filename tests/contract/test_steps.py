"""How many functions of the package a usual run and a publish call: each task pays for them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.services.worker import CHECKOUT

pytestmark = pytest.mark.contract


@pytest.mark.parametrize(("what", "most"), [("run", 150), ("publish", 130)])
def test_what_each_task_pays_for_takes_few_steps(redis_url: str, what: str, most: int) -> None:
    counting = subprocess.run(
        [sys.executable, "-m", "tests.contract.programs.steps", redis_url, what],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert int(counting.stdout) < most
