"""A certificate authority for one test session, and a server certificate signed by it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificates:
    """Files in PEM form: the authority, the server's pair, one that has expired, a client's."""

    ca: Path
    cert: Path
    key: Path
    expired_cert: Path
    expired_key: Path
    client_cert: Path
    client_key: Path


def make_certificates(directory: Path, *names: str) -> Certificates:
    """Write new certificates for `names` (default: localhost and 127.0.0.1) into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    files = Certificates(
        ca=directory / "ca.pem",
        cert=directory / "server.pem",
        key=directory / "server.key",
        expired_cert=directory / "expired.pem",
        expired_key=directory / "expired.key",
        client_cert=directory / "client.pem",
        client_key=directory / "client.key",
    )
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(files.ca))
    names = names or ("localhost", "127.0.0.1")
    yesterday = datetime.now(timezone.utc) - timedelta(days=1)
    server = authority.issue_cert(*names)
    expired = authority.issue_cert(
        *names, not_before=yesterday - timedelta(days=9), not_after=yesterday
    )
    client = authority.issue_cert("client.test")
    for issued, cert, key in (
        (server, files.cert, files.key),
        (expired, files.expired_cert, files.expired_key),
        (client, files.client_cert, files.client_key),
    ):
        issued.private_key_pem.write_to_path(str(key))
        for number, blob in enumerate(issued.cert_chain_pems):
            blob.write_to_path(str(cert), append=number > 0)
    return files
