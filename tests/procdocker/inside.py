"""The worker's `utils` module: what pytest-celery asks of a worker from inside its container."""

from __future__ import annotations

import json
import os

import psutil


def get_running_processes_info(columns: list[str] | None = None) -> str:
    """The processes of this container alone, as JSON: those whose working folder is ours."""
    wanted = columns or ["pid", "name", "username", "cmdline", "create_time"]
    here = os.getcwd()
    found = []
    for process in psutil.process_iter(["cwd", *wanted]):
        if process.info.get("cwd") == here and process.pid != os.getpid():
            found.append({column: process.info.get(column) for column in wanted})
    return json.dumps(found)
