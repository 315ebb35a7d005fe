"""Move money between 20 accounts by 10,000 tasks that lock two accounts each.

python -m tests.transfers --count 10000 --seed 1
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from tests.services import find_redis
from tests.services.survivors import end_survivors, mark_this_run
from tests.services.worker import Pool
from tests.transfers.playing import draw, running


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 where no transfer is lost, doubled or held up, and the sums are exact."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--pool", default="prefork", choices=get_args(Pool))
    parser.add_argument("--window", type=int, default=60, help="how many are on their way at once")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds without progress")
    parser.add_argument("--keep", type=Path, help="a folder for logs")
    options = parser.parse_args(argv)
    binary = find_redis()
    if binary is None:
        parser.error("redis-server is missing")
    mark_this_run()
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    transfers = draw(seed, options.count)
    print(f"{len(transfers)} transfers, seed {seed}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="transfers-") as temporary:
        folder = options.keep or Path(temporary)
        workers, concurrency = options.workers, options.concurrency
        how: dict[str, Any] = {"workers": workers, "concurrency": concurrency, "pool": options.pool}
        with running(binary, folder, **how) as bank:
            wrong = bank.play(transfers, patience=options.patience, window=options.window)
            logs = "".join(worker.logs() for worker in bank.workers)
    print(*wrong[:50], sep="\n")
    print(
        f"{len(transfers)} transfers in {time.monotonic() - began:.0f} s: {len(wrong)} faults,"
        f" {logs.count('sent again')} lines of messages that were sent again"
    )
    left = end_survivors()
    if left:
        print("processes outlived the run and were killed:", *left, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
