"""A process that can open nothing more, as one does that has leaked its files."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress


@contextmanager
def too_many_files() -> Iterator[None]:
    """Leave no file to be opened, for a forked child alone: no thread of it needs one."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
    with ExitStack() as stack:
        with suppress(OSError):
            while True:
                stack.enter_context(open("/dev/null"))
        yield
