"""What the entries of a store are called: a key's own lie beside each other, and none twice."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from uuid import uuid4

__all__ = ["Names", "Proof", "after", "decoded", "encoded", "nonce", "undone_name"]

LAYOUT = "2"


def encoded(name: bytes) -> str:
    """Return bytes as the gateway wants them."""
    return b64encode(name).decode("ascii")


def decoded(text: str) -> bytes:
    """Return the bytes that the gateway has written."""
    return b64decode(text)


def after(beginning: bytes) -> bytes:
    """Return the end of the range of all names that begin so."""
    return beginning[:-1] + bytes([beginning[-1] + 1])


def nonce() -> str:
    """Return a word that nobody has said before."""
    return uuid4().hex[:16]


def undone_name(holder: str) -> str:
    """Name the mark of an undone claim, among the entries of its key."""
    return "u-" + sha256(holder.encode("utf-8", "surrogatepass")).hexdigest()[:24]


class Names:
    """The names of all entries that begin with one prefix.

    A key, a space, a publication lie between two slashes, with their own slashes written otherwise:
    so all entries of a key are one range, and so are all keys that begin alike.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix.encode("utf-8", "surrogatepass") + LAYOUT.encode()

    def key(self, key: str) -> bytes:
        """Return what the names of all entries of a key begin with."""
        return self.keys(key) + b"/"

    def keys(self, beginning: str) -> bytes:
        """Return what the names of the entries of all these keys begin with."""
        return self._prefix + b"/lock/" + _quoted(beginning)

    def key_of(self, name: bytes) -> tuple[str, str]:
        """Return the key of an entry, and the rest of its name."""
        quoted, _, rest = name[len(self._prefix) + len(b"/lock/") :].partition(b"/")
        return _unquoted(quoted), rest.decode("ascii")

    def publication(self, key: str, publication: str) -> bytes:
        """Return what the names of the entries of a publication begin with."""
        return self._prefix + b"/done/" + _quoted(key) + b"/" + _quoted(publication) + b"/"

    def record(self, space: str, name: str) -> bytes:
        """Name a record of a space."""
        return self.records(space) + _quoted(name)

    def records(self, space: str) -> bytes:
        """Return what the names of all records of a space begin with."""
        return self._prefix + b"/record/" + _quoted(space) + b"/"

    def record_of(self, space: str, name: bytes) -> str:
        """Return the name of a record of this space."""
        return _unquoted(name[len(self.records(space)) :])


def _quoted(text: str) -> bytes:
    plain = text.encode("utf-8", "surrogatepass")
    return plain.replace(b"%", b"%25").replace(b"/", b"%2F")


def _unquoted(name: bytes) -> str:
    return name.replace(b"%2F", b"/").replace(b"%25", b"%").decode("utf-8", "surrogatepass")


@dataclass(frozen=True)
class Proof:
    """What proves a lease beside its token: the name of its entry, and what its end needs."""

    slot: int
    nonce: str
    since: int
    limit: int

    def __str__(self) -> str:
        return f"{self.slot}-{self.nonce}-{self.since}-{self.limit}"

    @classmethod
    def parse(cls, text: str) -> Proof | None:
        """Read it; `None`: it is none of this store."""
        parts = text.split("-")
        if len(parts) != 4 or not all(parts[at].isdecimal() for at in (0, 2, 3)):
            return None
        return cls(int(parts[0]), parts[1], int(parts[2]), int(parts[3]))

    @property
    def place(self) -> str:
        """What the names of the lease, of its floor and of its end have in common."""
        return f"{self.slot}-{self.nonce}"
