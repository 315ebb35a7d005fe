"""`python -m examples.django_shop`: migrates, starts two workers, and runs `manage.py rush`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from examples.demo import Demo, play

HERE = Path(__file__).resolve().parent


def story(demo: Demo) -> bool:
    environment = {**demo.environment, "SHOP_DATABASE": str(demo.folder / "db.sqlite3")}

    def manage(*argv: str) -> bool:
        print("$ python manage.py", *argv, flush=True)
        command = [sys.executable, "manage.py", *argv]
        return subprocess.run(command, cwd=HERE, env=environment, check=False).returncode == 0

    if not manage("migrate", "--verbosity", "0"):
        return False
    database = environment["SHOP_DATABASE"]
    print("$ celery -A shop worker    # twice", flush=True)
    demo.workers("shop", "A", "B", concurrency=2, cwd=HERE, SHOP_DATABASE=database)
    return manage("rush")


if __name__ == "__main__":
    sys.exit(play(story))
