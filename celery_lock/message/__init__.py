"""What a message carries: its header, its publication, its raw form, and sending it again."""

from .delivery import holder_of, in_canvas, new_nonce, publication_of
from .header import HEADER, Header
from .packing import pack, unpack
from .parts import Given, Parts, give, leave, parts_of, take
from .raw import raw_of
from .sending import Sender, Unsent
from .tick import tick_header
from .tombstones import asks_since, remembered_for
from .transports import NO_BROKER, Transport, transport_of

__all__ = [
    "HEADER",
    "NO_BROKER",
    "Given",
    "Header",
    "Parts",
    "Sender",
    "Transport",
    "Unsent",
    "asks_since",
    "give",
    "holder_of",
    "in_canvas",
    "leave",
    "new_nonce",
    "pack",
    "parts_of",
    "publication_of",
    "raw_of",
    "remembered_for",
    "take",
    "tick_header",
    "transport_of",
    "unpack",
]
