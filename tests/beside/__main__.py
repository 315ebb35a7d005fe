"""Play every policy beside the tools that write into messages, and compare with what is right.

python -m tests.beside                    all whose environment was made
python -m tests.beside sentry ddtrace     those
python -m tests.beside --acks late        acknowledged late
python -m tests.beside --install          make the environments that are missing first
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.beside.environment import facts_beside, is_there
from tests.beside.expected import differences
from tests.beside.install import install
from tests.beside.tools import TOOLS
from tests.beside.versions import version_of
from tests.services.survivors import end_survivors, mark_this_run


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 when everything is as it is without a tool."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("tools", nargs="*", help=f"of {', '.join(TOOLS)}")
    parser.add_argument("--acks", choices=("early", "late"), default="early")
    parser.add_argument("--install", action="store_true", help="make what is missing, by pip")
    parser.add_argument("--keep", type=Path, help="a folder for logs and facts")
    options = parser.parse_args(argv)
    unknown = [name for name in options.tools if name not in TOOLS]
    if unknown:
        parser.error(f"there is no {unknown[0]!r}; there are {', '.join(TOOLS)}")
    mark_this_run()
    wanted = [TOOLS[name] for name in options.tools] or list(TOOLS.values())
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="beside-") as temporary:
        for tool in wanted:
            if options.install:
                install(tool)
            if not is_there(tool):
                print(f"{tool.name}: not installed, see make beside")
                wrong += bool(options.tools)
                continue
            folder = (options.keep or Path(temporary)) / tool.name
            folder.mkdir(parents=True, exist_ok=True)
            began = time.monotonic()
            try:
                found = differences(tool, facts_beside(tool, folder, acks=options.acks))
            except AssertionError as error:  # the worker or the publisher has died
                found = [str(error)]
            wrong += len(found)
            print(
                f"{tool.name} {version_of(tool)}: {len(found)} wrong,"
                f" {time.monotonic() - began:.0f} s",
                *found,
                sep="\n    ",
                flush=True,
            )
    for left in end_survivors():
        print("outlived its play and was killed:", left)
        wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
