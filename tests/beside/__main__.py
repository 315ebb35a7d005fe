"""Play every policy beside the tools that write into messages, and compare with what is right.

python -m tests.beside                    all whose environment was made
python -m tests.beside sentry ddtrace     those
python -m tests.beside --acks late --broker rabbit
python -m tests.beside --install          make the environments that are missing first
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from tests.beside.environment import facts_beside, is_there
from tests.beside.expected import differences
from tests.beside.install import install
from tests.beside.tools import TOOLS, Tool
from tests.beside.versions import version_of
from tests.services import RabbitServer, find_rabbit
from tests.services.survivors import end_survivors, mark_this_run


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 when everything is as it is without a tool."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("tools", nargs="*", help=f"of {', '.join(TOOLS)}")
    parser.add_argument("--acks", choices=("early", "late"), default="early")
    parser.add_argument("--broker", choices=("redis", "rabbit"), default="redis")
    parser.add_argument("--jobs", type=int, default=2, help="tools at the same time")
    parser.add_argument("--install", action="store_true", help="make what is missing, by pip")
    parser.add_argument("--keep", type=Path, help="a folder for logs and facts")
    options = parser.parse_args(argv)
    unknown = [name for name in options.tools if name not in TOOLS]
    if unknown:
        parser.error(f"there is no {unknown[0]!r}; there are {', '.join(TOOLS)}")
    mark_this_run()
    wanted = [TOOLS[name] for name in options.tools] or list(TOOLS.values())
    if options.install:
        for tool in wanted:
            install(tool)
    missing = [tool.name for tool in wanted if not is_there(tool)]
    for name in missing:
        print(f"{name}: not installed, see make beside")
    with tempfile.TemporaryDirectory(prefix="beside-") as temporary, ExitStack() as stack:
        folder = options.keep or Path(temporary)
        rabbit = None
        if options.broker == "rabbit":
            rabbit = stack.enter_context(RabbitServer(str(find_rabbit()), folder / "rabbit"))
        pool = stack.enter_context(ThreadPoolExecutor(options.jobs))
        wrong = sum(
            pool.map(
                lambda tool: _try(tool, folder / tool.name, options.acks, rabbit),
                [tool for tool in wanted if is_there(tool)],
            )
        )
    for left in end_survivors():
        print("outlived its play and was killed:", left)
        wrong += 1
    return 1 if wrong or (missing and options.tools) else 0


def _try(tool: Tool, folder: Path, acks: str, rabbit: RabbitServer | None) -> int:
    """Play beside one tool, say what came of it, and return how much of that is wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    broker = rabbit.url_for(rabbit.new_vhost()) if rabbit else None
    try:
        found = differences(tool, facts_beside(tool, folder, acks=acks, broker=broker))
    except AssertionError as error:  # the worker or the publisher has died
        found = [str(error)]
    said = f"{' '.join((tool.name, version_of(tool))).strip()}: {len(found)} wrong"
    print("\n    ".join([f"{said}, {time.monotonic() - began:.0f} s", *found]), flush=True)
    return len(found)


if __name__ == "__main__":
    sys.exit(main())
