"""Play base classes and results of other packages beside a lock, and say what was wrong.

python -m tests.beside.classes              all whose environment was made
python -m tests.beside.classes flask_shop   those
python -m tests.beside.classes --install    make the environments that are missing first
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.beside.each_tool import each_tool
from tests.beside.environment import ROOT, python_of
from tests.beside.tools import Tool
from tests.services import RedisServer, Worker, find_redis

TOOLS = (
    Tool(
        "batches",
        ("celery-batches>=0.11",),
        modules=("celery-batches", "celery"),
        celery=">=5.6,<5.7",  # it takes no newer one
    ),
    Tool("singleton", ("celery-singleton>=0.3.1",), modules=("celery-singleton",)),
    Tool("flask_shop", ("flask>=3.1",), modules=("flask",)),
    Tool(
        "results",
        ("django-celery-results>=2.6", "django>=5.2,<6"),
        modules=("django-celery-results",),
    ),
)

MIGRATE = "from {module} import app; import django.core.management as m; m.call_command('migrate')"
SAY = "import json; from {module} import EXPECTED, facts; print(json.dumps([EXPECTED, facts()]))"


def main(argv: list[str]) -> int:
    """Return how much was wrong."""
    return each_tool(TOOLS, argv, play)


def play(tool: Tool) -> list[str]:
    """Run a worker and a publisher in a tool's environment; return what is not as it should be."""
    module = f"tests.beside.classes.{tool.name}"
    with tempfile.TemporaryDirectory(prefix="classes-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        redis = stack.enter_context(RedisServer(str(find_redis()), folder / "redis"))
        env = {
            "PYTHONPATH": str(ROOT),
            "TEST_REDIS": redis.url,
            "TEST_DATABASE": str(folder / "results.sqlite3"),
        }
        python = str(python_of(tool))

        def run(code: str) -> str:
            done = subprocess.run(
                [python, "-c", code.format(module=module)],
                cwd=folder,
                env={**os.environ, **env},
                capture_output=True,
                text=True,
                timeout=90,
            )
            assert done.returncode == 0, done.stderr[-2000:]
            return done.stdout

        if tool.name == "results":
            run(MIGRATE)
        worker = Worker(module, folder, concurrency=4, python=python, env=env)
        stack.callback(worker.process.kill)
        worker.start()
        expected, found = json.loads(run(SAY).splitlines()[-1])
        return [
            f"{what}: {found.get(what)!r}, not {right!r}"
            for what, right in as_dict(expected).items()
            if found.get(what) != right
        ]


def as_dict(value: Any) -> dict[str, Any]:
    """What JSON has given, as what it is."""
    assert isinstance(value, dict)
    return value


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
