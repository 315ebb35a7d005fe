"""Points that are played side by side: each test reports its own, as if it had been alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.contract

MODULE = """
import threading

import pytest

from celery_lock.contract import StoreContract
from celery_lock.contract.side_by_side import side_by_side
from celery_lock.stores.memory import MemoryServer, MemoryStore

together = threading.Barrier(2, timeout=30)


@side_by_side
class TestMine(StoreContract):
    server = MemoryServer()

    @pytest.fixture(autouse=True)
    def _prefix(self):
        self.prefix = "mine:"

    def open_store(self, prefix):
        return MemoryStore(self.server, prefix=self.prefix + prefix)

    def test_mine_meets_the_other(self, store, key):
        self.granted(store, self.a_claim(key))
        together.wait()

    @pytest.mark.parametrize("number", [1, 2])
    def test_mine_has_parameters(self, store, number):
        if number == 2:
            together.wait()
        assert number == 2, "the reason"

    def test_mine_has_a_space_and_skips(self, space):
        pytest.skip(f"of {space[:5]}")
"""


def test_each_test_reports_its_own_point(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(MODULE)

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "-k", "mine_ or taken"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    said = run.stdout
    assert "PASSED test_mine.py::TestMine::test_mine_meets_the_other" in said
    assert "PASSED test_mine.py::TestMine::test_mine_has_parameters[2]" in said
    assert "PASSED test_mine.py::TestMine::test_a_taken_key_is_refused_and_its_holder_named" in said
    assert "FAILED test_mine.py::TestMine::test_mine_has_parameters[1]" in said
    assert "the reason" in said
    assert "of beat:" in said
    assert "1 failed" in said
