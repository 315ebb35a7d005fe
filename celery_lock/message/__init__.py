"""What a message carries: its header, its publication, its raw form, and sending it again."""

from .delivery import attempt_kept_for, in_canvas, new_holder, publication_of, queued, redelivered
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
    "attempt_kept_for",
    "bounded",
    "in_canvas",
    "new_holder",
    "note_arrival",
    "publication_of",
    "queued",
    "raw_of",
    "redelivered",
    "remembered_for",
    "tick_header",
]
