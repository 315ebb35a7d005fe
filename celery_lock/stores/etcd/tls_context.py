"""The TLS of a connection, made of the options that Celery and redis-py have for it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

__all__ = ["context_of"]


def context_of(options: Mapping[str, Any]) -> ssl.SSLContext:
    """Return the context; raises `OSError` or `ssl.SSLError` for a file that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = options["ssl_check_hostname"]
    context.verify_mode = options["ssl_cert_reqs"]
    authorities = {
        "cafile": options.get("ssl_ca_certs"),
        "capath": options.get("ssl_ca_path"),
        "cadata": options.get("ssl_ca_data"),
    }
    if any(authorities.values()):
        context.load_verify_locations(**authorities)
    else:
        context.load_default_certs()
    if options.get("ssl_certfile") or options.get("ssl_keyfile"):
        certificate = options.get("ssl_certfile") or options["ssl_keyfile"]
        context.load_cert_chain(
            certificate, options.get("ssl_keyfile"), options.get("ssl_password")
        )
    if "ssl_min_version" in options:
        context.minimum_version = options["ssl_min_version"]
    if options.get("ssl_ciphers"):
        context.set_ciphers(options["ssl_ciphers"])
    for flag in options.get("ssl_include_verify_flags") or ():
        context.verify_flags |= flag
    for flag in options.get("ssl_exclude_verify_flags") or ():
        context.verify_flags &= ~flag
    return context
