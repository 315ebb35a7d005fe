"""A RabbitMQ installation with only what the broker itself is made of, so that it starts sooner."""

from __future__ import annotations

import re
import shutil
from pathlib import Path


def slim_home(script: str, slim: Path) -> Path | None:
    """Copy the scripts of RabbitMQ's home to `slim`, and link the libraries that it needs.

    Erlang looks for each of a thousand modules in the folder of each plugin, enabled or not: forty
    thousand vain looks, 12 s of a start that takes 5 s without them. None if the home of `script`
    does not look as expected; then `script` itself is the one to run.
    """
    home = Path(script).resolve().parent.parent
    if not (home / "sbin" / "rabbitmq-env").exists() or not (home / "plugins").exists():
        return None
    shutil.copytree(home / "sbin", slim / "sbin", symlinks=True, dirs_exist_ok=True)
    (slim / "plugins").mkdir(exist_ok=True)
    for library in _needed(home / "plugins", "rabbit"):
        link = slim / "plugins" / library.name
        if not link.exists():
            link.symlink_to(library)
    return slim


def _needed(plugins: Path, root: str) -> set[Path]:
    """The folders of an Erlang application and of all that it says it needs."""
    described = {app.stem: app for app in plugins.glob("*/ebin/*.app")}
    wanted, found = [root], set[Path]()
    while wanted:
        app = described.get(wanted.pop())  # what is not there is Erlang's own
        if app is None or app.parent.parent in found:
            continue
        found.add(app.parent.parent)
        listed = re.search(r"{applications,\s*\[(.*?)\]", app.read_text(), re.DOTALL)
        wanted += re.findall(r"\w+", listed[1]) if listed else []
    return found
