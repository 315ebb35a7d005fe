"""How long a run is: the full one, whose numbers are kept, and a quick one for development."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FULL", "QUICK", "Sizes"]


@dataclass(frozen=True)
class Sizes:
    """How much of everything is done. More narrows the medians and takes longer."""

    seconds: float
    """That the rounds of one section may take, on a machine that is slow or busy: then there are
    fewer of them."""
    cycle_rounds: int
    cycles: int
    """Acquire and release, so many times in a row. Few: who is next is measured a moment later,
    and what else the machine does is the same for both."""
    task_rounds: int
    tasks: int
    """Tasks that are published, and then run, in a row; times the rounds: 10,000 in a full run.
    Few, for the same reason."""
    publish_rounds: int
    pools: tuple[str, ...]
    leases: tuple[int, ...]
    renewals: int
    """How often all the leases are renewed."""
    other_keys: tuple[int, int]
    """In the store beside the locks: few, many."""
    connections: tuple[int, int]
    growth_rounds: int
    store_rounds: int
    store_cycles: int
    hand_offs: int
    """On each kind of store."""
    beat_seconds: int
    idle_seconds: int


FULL = Sizes(
    seconds=210,
    cycle_rounds=300,
    cycles=25,
    task_rounds=200,
    tasks=50,
    publish_rounds=300,
    pools=("prefork", "threads"),
    leases=(1, 100, 1_000, 10_000),
    renewals=20,
    other_keys=(1_000, 1_000_000),
    connections=(1, 1_000),
    growth_rounds=200,
    store_rounds=100,
    store_cycles=10,
    hand_offs=50,
    beat_seconds=20,
    idle_seconds=10,
)

QUICK = Sizes(
    seconds=20,
    cycle_rounds=40,
    cycles=25,
    task_rounds=10,
    tasks=50,
    publish_rounds=40,
    pools=("prefork", "threads"),
    leases=(1, 100, 1_000),
    renewals=3,
    other_keys=(1_000, 100_000),
    connections=(1, 200),
    growth_rounds=20,
    store_rounds=10,
    store_cycles=10,
    hand_offs=10,
    beat_seconds=8,
    idle_seconds=4,
)
