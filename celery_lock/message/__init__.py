"""What a message carries: its header, its publication, its raw form, and sending it again."""

from .delivery import in_canvas, new_holder, publication_of, redelivered
from .header import HEADER, Header
from .pauses import bounded
from .raw import RAW, raw_of
from .sending import Sender, Unsent

__all__ = [
    "HEADER",
    "RAW",
    "Header",
    "Sender",
    "Unsent",
    "bounded",
    "in_canvas",
    "new_holder",
    "publication_of",
    "raw_of",
    "redelivered",
]
