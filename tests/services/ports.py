"""Ports on the loopback address, given by the kernel."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"

TRIES = 5
"""How many ports a server may try: between asking and binding, somebody else can take the port."""


def free_port() -> int:
    """Return a port that was free a moment ago. Be ready to ask again if a bind fails."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
