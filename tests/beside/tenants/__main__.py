"""Play tenant-schemas-celery's own scheduler under the mixin, and say what was wrong.

python -m tests.beside.tenants              in its environment, if that was made
python -m tests.beside.tenants --install    make the environment first
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.beside.environment import ROOT, is_there, python_of
from tests.beside.install import install
from tests.beside.tools import Tool
from tests.services import RedisServer, find_redis
from tests.services.postgres_server import PostgresServer
from tests.services.process import Process

TOOL = Tool(
    "tenants",
    ("tenant-schemas-celery==5.0.0", "django-tenants", "psycopg2-binary"),
    modules=("tenant-schemas-celery",),
)
TENANTS = ("alpha", "beta", "gamma")
SECONDS = 14.0

MAKE = f"""
from django.db import connection
from tests.beside.tenants.app import app
from tests.beside.tenants.models import Domain, Shop
with connection.schema_editor() as editor:
    editor.create_model(Shop); editor.create_model(Domain)
for name in {("public", *TENANTS)!r}:
    Shop.objects.create(schema_name=name, name=name)
    if name != "public":
        connection.cursor().execute("CREATE SCHEMA " + name)
"""


def main() -> int:
    """Return how much was wrong."""
    if "--install" in sys.argv:
        install(TOOL)
    if not is_there(TOOL):
        print("tenants: not installed, see --install")
        return 0
    wrong = judge(play())
    print("\n    ".join([f"tenants: {len(wrong)} wrong", *wrong]), flush=True)
    return len(wrong)


def play() -> list[dict[str, Any]]:
    """Run two beats, one of which dies in the middle of a tick, and return all runs."""
    with tempfile.TemporaryDirectory(prefix="tenants-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        redis = stack.enter_context(RedisServer(str(find_redis()), folder / "redis"))
        postgres = stack.enter_context(PostgresServer(folder / "postgres"))
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TEST_REDIS": redis.url,
            "TEST_POSTGRES_PORT": str(postgres.port),
        }
        python = str(python_of(TOOL))
        subprocess.run([python, "-c", MAKE], cwd=folder, env=env, check=True)
        celery = [python, "-m", "celery", "-A", "tests.beside.tenants.app"]
        beat = [*celery, "beat", "-l", "INFO", "-S"]
        scheduler = "tests.beside.tenants.app:"
        commands = {
            "worker": [*celery, "worker", "-c", "2", "-l", "INFO"],
            "dies": [*beat, f"{scheduler}DiesInTheMiddle"],
            "beat": [*beat, f"{scheduler}LockedTenants"],
        }
        for name, argv in commands.items():
            process = Process(argv, cwd=folder, log=folder / f"{name}.log", env=env)
            process.start()
            stack.callback(process.kill)
        time.sleep(SECONDS)
        with redis.client() as client:
            return [json.loads(run) for run in client.lrange("runs", 0, -1)]


def judge(runs: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong: a tenant left out, a locked run repeated, a key of another tenant."""
    wrong = [f"no tick: {run}" for run in runs if run["due"] is None]
    wrong += [
        f"another key: {r}" for r in runs if r.get("key") not in (None, f"report:{r['tenant']}")
    ]
    dues = sorted({(run["kind"], run["due"]) for run in runs if run["due"]})
    last = {kind: max(due for k, due in dues if k == kind) for kind in ("locked", "plain")}
    if len(dues) < 8:
        wrong.append(f"only {len(dues)} ticks")
    for kind, due in dues:
        of_tick = [run for run in runs if (run["kind"], run["due"]) == (kind, due)]
        times = Counter(run["tenant"] for run in of_tick)
        if due != last[kind] and set(times) != set(TENANTS):
            wrong.append(f"{kind} {due}: ran for {sorted(times)}")
        if kind == "locked" and max(times.values()) > 1:  # a plain task runs a copy too
            wrong.append(f"{kind} {due}: ran {dict(times)}")
        if len({run["id"] for run in of_tick}) != len(times):
            wrong.append(f"{kind} {due}: {len(of_tick)} runs, and other ids than one a tenant")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
