"""What the site adds to the pages: where a long name may break, and which pages no search finds."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["on_page_content", "on_page_markdown", "with_breaks"]

WHOLE = 28
"""A name of so many characters fits into a row of a telephone, and is kept in one piece."""

_CODE = re.compile(r"(?<!<span></span>)<code>([^<>\s]+)</code>")
_HEADING = re.compile(r'(<span class="doc doc-object-name[^"]*">)([\w.]+)(</span>)')
_AFTER = re.compile(r"([._/:,(=])(?=[^\s._/:,(=)\]])")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Keep the pages for contributors out of the search of those who look for the lock."""
    if page.file.src_uri.startswith("decisions/"):
        page.meta["search"] = {"exclude": True}
    return markdown


def on_page_content(html: str, **_: Any) -> str:
    """Mark each name in code, so that it breaks at a dot or an underscore, or not at all."""
    html = _CODE.sub(_marked, html)
    return _HEADING.sub(lambda found: found[1] + with_breaks(found[2]) + found[3], html)


def with_breaks(name: str) -> str:
    """Return the HTML of a name with the places where it may break, if it is a long one."""
    return name if len(name) <= WHOLE else _AFTER.sub(r"\1<wbr>", name)


def _marked(found: re.Match[str]) -> str:
    return f'<code class="name">{with_breaks(found[1])}</code>'
