"""What came of the plays beside a tool, against what is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.beside.plays import FOLLOWED, PLAYS
from tests.beside.tools import Tool

__all__ = ["differences", "expected"]


def expected(tool: Tool) -> dict[str, Any]:
    """What is right beside a tool, by the name of a play."""
    right = {play.__name__: right for together in PLAYS for play, right in together.items()}
    return {
        name: tool.traces if value == FOLLOWED else value
        for name, value in right.items()
        if name not in tool.leaves_out
    }


def differences(tool: Tool, facts: Mapping[str, Any]) -> list[str]:
    """Say which plays came out otherwise."""
    return [
        f"{name.replace('_', ' ')}: {facts.get(name)!r}, and not {right!r}"
        for name, right in expected(tool).items()
        if facts.get(name) != right
    ]
