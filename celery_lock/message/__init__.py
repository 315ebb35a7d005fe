"""What a message carries: its header, its publication, its raw form, and sending it again."""

from .delivery import in_canvas, new_holder, publication_of
from .header import HEADER, Header
from .packing import pack, unpack
from .raw import RAW, raw_of
from .sending import Sender, Unsent
from .tick import tick_header
from .tombstones import asks_since, note_arrival, remembered_for
from .transports import NO_BROKER, Transport, transport_of

__all__ = [
    "HEADER",
    "NO_BROKER",
    "RAW",
    "Header",
    "Sender",
    "Transport",
    "Unsent",
    "asks_since",
    "in_canvas",
    "new_holder",
    "note_arrival",
    "pack",
    "publication_of",
    "raw_of",
    "remembered_for",
    "tick_header",
    "transport_of",
    "unpack",
]
