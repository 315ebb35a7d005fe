"""Canvases that somebody has thought of: each with each lock, on keys that are free and taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.canvas.plans import Plan

__all__ = ["named_plans"]


class _Nodes:
    """Makes the nodes of one canvas, all with one lock."""

    def __init__(self, variant: str, *, one_key: bool) -> None:
        self.variant, self.one_key, self.made = variant, one_key, 0

    def __call__(self, do: str = "return", **more: Any) -> Plan:
        self.made += 1
        key = "a" if self.one_key else f"k{self.made}"
        made: Plan = {"kind": "task", "id": f"n{self.made}", "key": key, "do": do, "sleep": 0.02}
        made["other"] = "b" if self.one_key else f"{key}b"
        return made | {"variant": self.variant, "times": 1} | more

    def errback(self, *, by_message: bool) -> Plan:
        return self("errback", by_message=by_message)


def _of(kind: str, *parts: Plan, **more: Any) -> Plan:
    return {"kind": kind, "of": list(parts), **more}


def _chord(*parts: Plan, body: Plan, **more: Any) -> Plan:
    return _of("chord", *parts, body=body, **more)


CANVASES: dict[str, Callable[[_Nodes], Plan]] = {
    "chain": lambda n: _of("chain", n(), n(), n()),
    "group": lambda n: _of("group", n(), n(), n()),
    "chord": lambda n: _chord(n(), n(), n(), body=n()),
    "chord of one": lambda n: _chord(n(), body=n()),
    "chord in a chord": lambda n: _chord(n(), _chord(n(), n(), body=n()), body=n()),
    "chord of chains": lambda n: _chord(_of("chain", n(), n()), _of("chain", n(), n()), body=n()),
    "chain with a group": lambda n: _of("chain", n(), _of("group", n(), n()), n()),
    "group of chords": lambda n: _of("group", _chord(n(), n(), body=n()), n()),
    "chord whose body is a chord": lambda n: _chord(n(), n(), body=_chord(n(), n(), body=n())),
    "links": lambda n: n(link=[n(link=[n()]), n()]),
    "links in a chord": lambda n: _chord(n(link=[n()]), n(), body=n(link=[n()])),
    "an errback": lambda n: n("fail", errbacks=[n.errback(by_message=False)]),
    "an errback by message": lambda n: n("fail", errbacks=[n.errback(by_message=True)]),
    "a broken chain": lambda n: _of(
        "chain", n(), n("fail"), n(), errbacks=[n.errback(by_message=True)]
    ),
    "a broken chord": lambda n: _chord(
        n(), n("fail"), body=n(), errbacks=[n.errback(by_message=False)]
    ),
    "retries": lambda n: _of("chain", n("retry"), n("retry")),
    "retries in a chord": lambda n: _chord(n("retry"), n("retry"), body=n("retry")),
    "a retry that fails": lambda n: _chord(n("retry and fail"), n(), body=n()),
    "replace": lambda n: _of("chain", n("replace", **{"with": n()}), n()),
    "replace in a chord": lambda n: _chord(n("replace", **{"with": n()}), n(), body=n()),
    "replace by a group": lambda n: _of(
        "chain", n("replace", **{"with": _of("group", n(), n())}), n()
    ),
    "replace by a chain": lambda n: _chord(
        n("replace", **{"with": _of("chain", n(), n())}), body=n()
    ),
    "replace by what is replaced": lambda n: _of(
        "chain", n("replace", **{"with": n("replace", **{"with": n()})}), n()
    ),
    "a retry that is replaced": lambda n: n("retry", link=[n("replace", **{"with": n("retry")})]),
    "add_to_chord": lambda n: _chord(n("add_to_chord", **{"with": n()}), n(), body=n()),
    "immutable": lambda n: _of("chain", n(), n(immutable=True), n(immutable=True)),
    "preset ids": lambda n: _chord(n(preset=True), n(preset=True), body=n(preset=True)),
    "stamped": lambda n: _chord(n(), n(), body=n(), stamp="blue"),
    "a task that sends": lambda n: _of("chain", n("send", **{"with": n()}), n()),
    "a task that sends a chord": lambda n: n("send", **{"with": _chord(n(), n(), body=n())}),
    "a task that calls itself": lambda n: _of("chain", n("call"), n()),
    "options": lambda n: _of(
        "chain",
        n(options={"priority": 3, "headers": {"tenant": "blue"}}),
        n(options={"expires": 300, "countdown": 0.2, "shadow": "other.name"}),
    ),
}


def named_plans(variants: Sequence[str]) -> Iterator[tuple[str, Plan]]:
    """Yield each canvas with each lock: all keys different, all the same, and these taken."""
    for name, make in CANVASES.items():
        for variant in variants:
            yield f"{name}, {variant}, free", make(_Nodes(variant, one_key=False))
            yield f"{name}, {variant}, one key", make(_Nodes(variant, one_key=True))
            taken = make(_Nodes(variant, one_key=True))
            yield f"{name}, {variant}, taken", taken | {"held": 0.3}
