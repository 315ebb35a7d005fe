"""What a message carries: its header, its publication, its raw form, and sending it again."""

from .delivery import in_canvas, new_holder, publication_of, redelivered
from .header import HEADER, Header
from .pauses import bounded
from .raw import RAW, raw_of
from .sending import Sender, Unsent
from .tick import tick_header
from .tombstones import asks_since, note_arrival, remembered_for

__all__ = [
    "HEADER",
    "RAW",
    "Header",
    "Sender",
    "Unsent",
    "asks_since",
    "bounded",
    "in_canvas",
    "new_holder",
    "note_arrival",
    "publication_of",
    "raw_of",
    "redelivered",
    "remembered_for",
    "tick_header",
]
