"""`python -m examples.point_charging`: plays it without a lock, then with one, and compares."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from . import stop


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status: 0, 1 when the locked run went wrong, 128 + n when told to stop."""
    stop.listen()  # before the imports that take their time
    status = 1
    try:
        status = _play(_options(argv))
        if status > 128:
            print("\nstopped; every process of the demo has ended")
        sys.stdout.flush()
    except BrokenPipeError:  # `... | head`: nobody reads any more, not even what is still buffered
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _play(options: argparse.Namespace) -> int:
    from .child import DemoError
    from .stage import perform

    try:
        stop.check()
        return 0 if perform(options.top_ups, broken=options.broken) else 1
    except stop.Stopped as stopped:
        return stopped.status
    except DemoError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m examples.point_charging",
        description="Tops up points on three servers, without a lock and with one.",
    )
    parser.add_argument(
        "--top-ups",
        "--charges",
        type=_positive,
        default=300,
        help="how many, per run (default: 300)",
    )
    # the second run without its lock too: shows that the check can fail
    parser.add_argument("--broken", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
