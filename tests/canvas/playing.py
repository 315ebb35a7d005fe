"""A plan is played with locked tasks and with plain ones, and what differs is what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.canvas.plans import Plan
from tests.canvas.running import Outcome, Runner, overlaps

__all__ = ["Verdict", "differences", "play"]


@dataclass
class Verdict:
    """What came out of one plan."""

    name: int | str
    plan: Plan
    wrong: list[str] = field(default_factory=list)
    vague: list[str] = field(default_factory=list)
    """Two plain runs differed: there is nothing to compare with."""
    instead: int = 0
    """Tasks that ended without their body."""
    resent: int = 0


def play(runner: Runner, name: int | str, plan: Plan) -> Verdict:
    """Play a plan: locked first, then plain, where each node does what became of its twin."""
    verdict = Verdict(name, plan)
    locked = runner.run(plan, locked=True)
    verdict.instead = len(locked.instead)
    verdict.resent = sum(
        bool(m.ours and m.ours.get("attempt")) for m in runner.board.messages(locked.run)
    )
    verdict.wrong += overlaps(plan, locked)
    verdict.wrong += [f"still taken: {key}" for key in runner.taken(plan, locked.run)]
    plain = runner.run(plan, locked=False, instead=locked.instead)
    found = differences(locked, plain)
    if found:
        again = runner.run(plan, locked=False, instead=locked.instead)
        verdict.vague = differences(plain, again)
        if not verdict.vague:
            verdict.wrong += found
    return verdict


def differences(one: Outcome, other: Outcome) -> list[str]:
    """Return what differs between two runs, in words."""
    return list(_differences(one.compared(), other.compared(), ""))


def _differences(one: Any, other: Any, where: str) -> list[str]:
    if type(one) is type(other):
        if isinstance(one, dict):
            names = sorted({*one, *other}, key=str)
            each = [
                _differences(one.get(name, ...), other.get(name, ...), f"{where}.{name}")
                for name in names
            ]
            return [said for some in each for said in some]
        if isinstance(one, list) and len(one) == len(other):
            each = [
                _differences(a, b, f"{where}[{n}]")
                for n, (a, b) in enumerate(zip(one, other, strict=True))
            ]
            return [said for some in each for said in some]
    return [] if one == other else [f"{where}: {one!r}, plain: {other!r}"[:700]]
