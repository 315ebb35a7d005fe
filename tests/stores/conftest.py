"""Tests that need several servers of a store are for `make stores`, and not for `make test`."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("STORES") else ["test_*.py"]
