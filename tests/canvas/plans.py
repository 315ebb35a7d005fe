"""Plans of canvases, drawn at random: data, so that one that went wrong can be shown."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

__all__ = ["MOST_TASKS", "draw", "nodes_of"]

Plan = dict[str, Any]

MOST_TASKS = 30
DEEPEST = 4
KEYS = ("a", "b", "c")
DOES = ("return",) * 8 + ("retry", "retry", "fail", "retry and fail", "replace", "add_to_chord")
DOES += ("send", "call")
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {},
    {"priority": 3},
    {"expires": 300},
    {"headers": {"tenant": "blue"}},
    {"shadow": "other.name"},
    {"countdown": 0.2},
    {"headers": {"tenant": "red", "nested": {"x": 1}}, "priority": 5},
)


def _few(dice: random.Random, variants: Sequence[str]) -> list[str]:
    """Return some locks of one or two scopes and limits: nodes of one canvas are to meet."""
    families = sorted({one.rsplit("-", 1)[0] for one in variants})
    mine = dice.sample(families, min(len(families), dice.choice((1, 1, 2))))
    those = [one for one in variants if one.rsplit("-", 1)[0] in mine]
    return dice.sample(those, min(len(those), dice.choice((1, 2, 4))))


class _Drawing:
    """One drawing: it counts what it has made."""

    def __init__(self, dice: random.Random, variants: Sequence[str]) -> None:
        self.dice, self.variants = dice, variants
        self.made = 0
        self.few = _few(dice, variants)
        self.keys = KEYS[: dice.choice((1, 2, 3))]
        self.most = dice.randint(2, MOST_TASKS)

    def plan(self, depth: int) -> Plan:
        if depth >= DEEPEST or self.made >= self.most:
            return self.node(depth)
        kind = self.dice.choice(("task", "chain", "chain", "group", "chord", "chord"))
        if kind == "task":
            return self.node(depth)
        parts = [self.plan(depth + 1) for _ in range(self.dice.randint(1, 4))]
        made: Plan = {"kind": kind, "of": parts}
        if kind == "chord":
            made["body"] = self.node(depth) if self.dice.random() < 0.7 else self.plan(depth + 1)
        if self.dice.random() < 0.2:
            made["errbacks"] = [self.errback()]
        return made

    def node(self, depth: int) -> Plan:
        self.made += 1
        dice = self.dice
        do = dice.choice(DOES)
        made: Plan = {
            "kind": "task",
            "id": f"n{self.made}",
            "key": dice.choice(self.keys),
            "do": do,
        }
        made["other"] = dice.choice(self.keys)
        made["variant"] = "" if dice.random() < 0.15 else dice.choice(self.few)
        made["sleep"] = dice.choice((0, 0, 0.02, 0.06, 0.15))
        if do.startswith("retry"):
            made["times"] = dice.randint(1, 2)
        if do in ("replace", "send"):
            made["with"] = self.plan(max(depth + 1, DEEPEST - 1))
        if do == "add_to_chord":
            made["with"] = self.node(DEEPEST)
            made["with"]["do"] = "return"
        options = dice.choice(OPTIONS)
        if options:
            made["options"] = options
        made["immutable"] = dice.random() < 0.15
        made["preset"] = dice.random() < 0.1
        if dice.random() < 0.15 and self.made < self.most:
            made["link"] = [self.node(DEEPEST)]
        if dice.random() < 0.15:
            made["errbacks"] = [self.errback()]
        return made

    def errback(self) -> Plan:
        self.made += 1
        made: Plan = {"id": f"n{self.made}", "key": self.dice.choice(self.keys), "do": "errback"}
        made["other"] = made["key"]
        made |= {"by_message": self.dice.random() < 0.5, "variant": self.dice.choice(self.few)}
        return made


def draw(seed: int, variants: Sequence[str]) -> Plan:
    """Return a plan, the same for each seed and each choice of locks."""
    dice = random.Random(seed)
    drawing = _Drawing(dice, variants)
    made = drawing.plan(0)
    while len(nodes_of(made)) < 2:
        made = drawing.plan(0)
    if dice.random() < 0.15:
        made["stamp"] = "blue"
    if dice.random() < 0.4:  # somebody else has the keys as it begins
        made["held"] = dice.choice((0.1, 0.3, 0.7))
    return made


def nodes_of(plan: Any) -> list[Plan]:
    """Return all nodes of a plan, those of its call-backs and replacements too."""
    if isinstance(plan, list):
        return [node for one in plan for node in nodes_of(one)]
    if not isinstance(plan, dict):
        return []
    below = [node for one in plan.values() for node in nodes_of(one)]
    return [plan, *below] if "id" in plan else below
