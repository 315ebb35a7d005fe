"""`python -m tests.property.shop COUNT [FIRST SEED]`: random plays by hand."""

from __future__ import annotations

import logging
import sys

from .by_hand import main

if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    sys.exit(bool(main(*map(int, sys.argv[1:]))))
