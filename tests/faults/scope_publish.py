"""A publisher as a process of its own: it sends one task, and says what it was given for it.

python -m tests.faults.scope_publish until_finished KEY SECONDS TASK_ID
"""

from __future__ import annotations

import json
import sys

from tests.faults.scope_app import QUEUE, make_app


def main(scope: str, key: str, seconds: str, task_id: str) -> None:
    """Send it."""
    app = make_app()
    try:
        # not a preset id: that would be a canvas, in which each message is sent
        result = app.tasks[scope].apply_async((key, float(seconds)), queue=QUEUE)
        print(json.dumps({"id": result.id, "asked": task_id}))
    except Exception as error:
        print(json.dumps({"error": type(error).__name__, "says": str(error)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
