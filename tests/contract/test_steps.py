"""How many functions of the package a usual run and a publish call: each task pays for them."""

from __future__ import annotations

import pytest

from tests.contract.programs.running import run

pytestmark = pytest.mark.contract


@pytest.mark.parametrize(("what", "most"), [("run", 150), ("publish", 130)])
def test_what_each_task_pays_for_takes_few_steps(redis_url: str, what: str, most: int) -> None:
    assert int(run("steps", redis_url, what)) < most
