"""What the site adds to pages: where a name may break, what has no menu, what no search finds."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["on_page_content", "on_page_markdown", "with_breaks"]

WHOLE = 28
"""A name of so many characters fits into a row of a telephone, and is kept in one piece."""

_CODE = re.compile(r"(?<!<span></span>)<code>([^<>]+)</code>")
_HEADING = re.compile(r'(<span class="doc doc-object-name[^"]*">)([\w.]+)(</span>)')
_TEXT = re.compile(r'(?<!"name">)(?<!<wbr>)(?<=>)[^<]+(?=<)')
_HYPHENED = re.compile(r"(?<![\w&'-])[a-z]{2,}(?:-[a-z]+)+(?![\w:'-])")
_AFTER = re.compile(r"([._/:,(=])(?=[^\s._/:,(=)\]])")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Keep the pages for contributors out of users' search, and the menu off the first page."""
    if page.file.src_uri.startswith("decisions/"):
        page.meta["search"] = {"exclude": True}
    if page.is_homepage:  # its own links lead on
        page.meta["hide"] = ["navigation", "toc"]
    return markdown


def on_page_content(html: str, **_: Any) -> str:
    """Mark names, so that each breaks at a dot or an underscore, or not at all."""
    html = _CODE.sub(_marked, html)
    html = _HEADING.sub(lambda found: found[1] + with_breaks(found[2]) + found[3], html)
    whole = r'<span class="name">\g<0></span>'
    return _TEXT.sub(lambda found: _HYPHENED.sub(whole, found[0]), html)


def with_breaks(name: str) -> str:
    """Return the HTML of a name with the places where it may break, if it is a long one."""
    return name if len(name) <= WHOLE else _AFTER.sub(r"\1<wbr>", name)


def _marked(found: re.Match[str]) -> str:
    names = [f'<span class="name">{with_breaks(name)}</span>' for name in found[1].split()]
    return f"<code>{' '.join(names)}</code>"
