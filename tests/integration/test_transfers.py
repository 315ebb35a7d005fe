"""Transfers between accounts by tasks that lock two accounts each: none is lost, sums are exact.

`python -m tests.transfers` plays 10,000 of them.
"""

from __future__ import annotations

import random
from pathlib import Path

from tests.transfers.playing import draw, running

COUNT = 80


def test_transfers_in_both_directions_neither_lock_each_other_out_nor_lose_money(
    redis_binary: str, tmp_path: Path
) -> None:
    seed = random.randrange(10**6)
    print(f"python -m tests.transfers --count {COUNT} --seed {seed}")

    with running(redis_binary, tmp_path, workers=1, concurrency=4) as bank:
        wrong = bank.play(draw(seed, COUNT), patience=30)

    assert wrong == []
