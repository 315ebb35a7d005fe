"""The judgement of one run: are the sums exact, and did every top-up run once, alone?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .points import Hold
from .story import TopUp


@dataclass(frozen=True)
class Sum:
    """The points of one user."""

    user_id: int
    expected: int
    found: int

    @property
    def lost(self) -> int:
        """Points that are missing; below zero when there are too many."""
        return self.expected - self.found


@dataclass(frozen=True)
class Verdict:
    """What is wrong with a run; all empty when nothing is."""

    sums: list[Sum]
    not_run: list[int]
    """Top-ups that are not in the history."""
    run_again: list[int]
    """Top-ups that are in it more than once."""
    overlaps: list[tuple[Hold, Hold]]
    """Holds that began while another hold of the same user had not ended: that one, and it."""
    stale_tokens: list[Hold]
    """Holds whose fencing token is not above that of the user's hold before."""

    @property
    def lost(self) -> int:
        """Points missing in total."""
        return sum(row.lost for row in self.sums)

    @property
    def faults(self) -> list[str]:
        """Say what is wrong, one line for each kind."""
        wrong_sums = [row.user_id for row in self.sums if row.lost]
        found = {
            "wrong sums, for users": wrong_sums,
            "top-ups lost": self.not_run,
            "top-ups run twice": self.run_again,
            "overlapping holds, in top-ups": [second.top_up_id for _, second in self.overlaps],
            "fencing tokens that do not grow, in top-ups": [
                hold.top_up_id for hold in self.stale_tokens
            ],
        }
        return [f"{what}: {_few(which)}" for what, which in found.items() if which]


def judge(
    top_ups: Sequence[TopUp],
    first_balance: int,
    balances: Mapping[int, int],
    history: Iterable[Hold],
) -> Verdict:
    """Compare what was sent with what is in the database."""
    expected = {user_id: first_balance for user_id in balances}
    for top_up in top_ups:
        expected[top_up.user_id] = expected.get(top_up.user_id, first_balance) + top_up.amount
    holds = sorted(history, key=lambda hold: hold.start)
    runs = Counter(hold.top_up_id for hold in holds)
    by_user = [[hold for hold in holds if hold.user_id == user_id] for user_id in sorted(expected)]
    return Verdict(
        sums=[
            Sum(user_id, total, balances.get(user_id, 0))
            for user_id, total in sorted(expected.items())
        ],
        not_run=[top_up.top_up_id for top_up in top_ups if not runs[top_up.top_up_id]],
        run_again=sorted(top_up_id for top_up_id, times in runs.items() if times > 1),
        overlaps=[pair for in_turn in by_user for pair in _overlaps(in_turn)],
        stale_tokens=[
            two
            for in_turn in by_user
            for one, two in pairwise(in_turn)
            if one.token is not None and two.token is not None and two.token <= one.token
        ],
    )


def _overlaps(in_turn: list[Hold]) -> Iterator[tuple[Hold, Hold]]:
    # against the one that ends last so far: a long hold can cover several short ones
    last: Hold | None = None
    for hold in in_turn:
        if last is not None and hold.start < last.end:
            yield last, hold
        if last is None or hold.end > last.end:
            last = hold


def _few(which: list[int]) -> str:
    shown = ", ".join(str(number) for number in which[:10])
    return shown if len(which) <= 10 else f"{shown}, ... ({len(which)} in all)"
