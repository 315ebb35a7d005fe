"""The publisher: plays all plays in a tool's environment, and writes down the facts.

`python -m tests.beside.player FILE`: a JSON object, from the name of a play to what came of it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.beside.plays import PLAYS, Play
from tests.beside.stage import Stage
from tests.beside.tools import TOOLS
from tests.integration.keys import keys_at

LONGEST = 30.0
"""Seconds for all the plays that run at the same time."""


def main(file: str, store_pid: int) -> None:
    """Play, and write."""

    def switch(on: bool) -> None:
        os.kill(store_pid, signal.SIGCONT if on else signal.SIGSTOP)

    facts: dict[str, Any] = {}
    left_out = TOOLS[os.environ["BESIDE_TOOL"]].leaves_out
    with keys_at(os.environ["BESIDE_STORE"]) as keys:
        stage = Stage(keys, switch)
        for together in PLAYS:
            facts.update(play(stage, [make for make in together if make.__name__ not in left_out]))
    Path(file).write_text(json.dumps(facts))


def play(stage: Stage, together: Sequence[Callable[[Stage], Play]]) -> dict[str, Any]:
    """Play some plays at the same time; each goes on when what it waits for is true."""
    facts: dict[str, Any] = {}
    running = {make.__name__: make(stage) for make in together}
    waits_for: dict[str, Callable[[], Any]] = {name: lambda: True for name in running}
    deadline = time.monotonic() + LONGEST
    while running and time.monotonic() < deadline:
        for name, one in list(running.items()):
            try:
                if waits_for[name]():
                    waits_for[name] = next(one)
            except StopIteration as end:
                facts[name] = end.value
                del running[name]
            except Exception as error:
                facts[name] = f"{type(error).__name__}: {error}"
                traceback.print_exc()
                del running[name]
        time.sleep(0.03)
    for name, one in running.items():
        frame = one.gi_frame
        facts[name] = f"hangs at line {frame.f_lineno if frame else '?'}"
    return facts


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
