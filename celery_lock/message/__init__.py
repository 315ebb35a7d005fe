"""What a message carries: its header, its publication, its raw form, and sending it again."""

from .as_published import note_published
from .context import headers_in, of_call, of_request, of_retry
from .copies import asks_since, is_recorded, record_life
from .delivery import (
    are_siblings,
    holder_of,
    in_canvas,
    named_by_contents,
    new_nonce,
    publication_of,
)
from .header import HEADER, NO_HEADER, Header
from .marks import is_mark_of, mark_in, mark_of, marked, shown_mark
from .naming import handed_to, is_handed_to, named, new_publication, not_sent
from .packing import pack, unpack
from .parts import Given, Parts, give, leave, parts_of, take
from .raw import raw_of
from .routing import RoutedOnce, routed
from .sending import Homeless, Sender, Unsent
from .tick import tick_header
from .transports import NO_BROKER, Transport, transport_of

__all__ = [
    "HEADER",
    "NO_BROKER",
    "NO_HEADER",
    "Given",
    "Header",
    "Homeless",
    "Parts",
    "RoutedOnce",
    "Sender",
    "Transport",
    "Unsent",
    "are_siblings",
    "asks_since",
    "give",
    "handed_to",
    "headers_in",
    "holder_of",
    "in_canvas",
    "is_handed_to",
    "is_mark_of",
    "is_recorded",
    "leave",
    "mark_in",
    "mark_of",
    "marked",
    "named",
    "named_by_contents",
    "new_nonce",
    "new_publication",
    "not_sent",
    "note_published",
    "of_call",
    "of_request",
    "of_retry",
    "pack",
    "parts_of",
    "publication_of",
    "raw_of",
    "record_life",
    "routed",
    "shown_mark",
    "take",
    "tick_header",
    "transport_of",
    "unpack",
]
