"""The README as a package index shows it: an index has no folders that its links could lead to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

try:
    from hatchling.metadata.plugin.interface import MetadataHookInterface
except ImportError:  # the tests need no build backend

    class MetadataHookInterface:  # type: ignore[no-redef]
        root: str


LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")
"""A link of Markdown. It may be broken over two lines of the text."""

LAST = (
    "The pages whose names stand in brackets are in the source distribution,"
    " where `make docs` makes a site of them."
)


class IndexPage(MetadataHookInterface):
    """Gives the package its long description; `pyproject.toml` names this file."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the long description to what the package says of itself."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": index_page(text)}


def index_page(readme: str) -> str:
    """Return the text with the name of each page in place of a link to it.

    A link to another site stays. A link within the page, or to what is no page, is its words alone:
    an index may give its headings other anchors, or none.
    """
    parts = re.split(r"(?ms)(^```.*?^```$|`[^`\n]+`)", readme)  # every second one is code
    parts[::2] = [LINK.sub(_named, part) for part in parts[::2]]
    page = "".join(parts)
    return page if page == readme else f"{page.rstrip()}\n\n{LAST}\n"


def _named(link: re.Match[str]) -> str:
    words, target = link.groups()
    if "://" in target or target.startswith("mailto:"):
        return link[0]
    path = target.partition("#")[0]
    return f"{words} (`{path}`)" if path.endswith(".md") else words
