"""No store that an entry point opens is left out of the contract."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from celery_lock.stores import registry
from celery_lock.stores.registry import factories
from tests import contract
from tests.contract.by_entry_point import ByEntryPoint

pytestmark = pytest.mark.unit


def covered() -> set[str]:
    """The schemes of all classes that a plain `make test` collects."""
    for file in Path(contract.__file__).parent.glob("test_*.py"):
        import_module(f"tests.contract.{file.stem}")
    classes, known = [ByEntryPoint], list[type[ByEntryPoint]]()
    while classes:
        known.append(one := classes.pop())
        classes += one.__subclasses__()
    return {
        scheme
        for one in known
        for scheme in one.schemes
        if one.__name__.startswith("Test") and one.__module__.startswith("tests.contract.test_")
    }


def test_each_entry_point_has_a_class_of_the_contract() -> None:
    missing = set(factories()) - covered()

    assert not missing, (
        f"no class of tests/contract has the schemes {sorted(missing)}: write a subclass of"
        " ByEntryPoint in a file tests/contract/test_*.py"
    )


def test_a_new_entry_point_without_a_class_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("floppy", "elsewhere:open_floppy", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: EntryPoints([entry]))

    assert set(factories()) - covered() == {"floppy"}
