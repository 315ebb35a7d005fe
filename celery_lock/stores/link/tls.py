"""The TLS options of a URL and of Celery's `ssl` dictionaries, in redis-py's words.

Certificates and the host names in them are verified unless somebody says no, aloud.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from errno import EACCES
from typing import Any

from ...errors import LockConfigurationError, StoreError, did_you_mean

__all__ = [
    "ENDED",
    "TLS_OPTIONS",
    "context_of",
    "tls_options",
    "unreadable_file",
    "untrusted",
    "unverified",
]

ENDED = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError, BrokenPipeError)
"""How the end of a handshake looks that the server has broken off.

Which one it is depends on the release of Python, and on whether the end of a server that has read
something else overtakes its last words.
"""

_EXPIRED = 10
"""What OpenSSL calls X509_V_ERR_CERT_HAS_EXPIRED."""
_OF_OTHERS = (62, 64)
"""What it calls X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""

TLS_OPTIONS = (
    "ssl_ca_certs",
    "ssl_ca_data",
    "ssl_ca_path",
    "ssl_cert_reqs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_ciphers",
    "ssl_exclude_verify_flags",
    "ssl_include_verify_flags",
    "ssl_keyfile",
    "ssl_min_version",
    "ssl_ocsp_context",
    "ssl_ocsp_expected_cert",
    "ssl_password",
    "ssl_validate_ocsp",
    "ssl_validate_ocsp_stapled",
)
"""The TLS options of redis-py, as `broker_use_ssl` and URLs spell them."""

_CERT_REQS = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}
_YES, _NO = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def tls_options(scheme: str, query: dict[str, str], asked: Any) -> dict[str, Any] | None:
    """Return the options of a TLS connection, or `None` for a plain one.

    Takes the `ssl_` options out of `query`; `asked` is a dictionary of them, or True. Either
    means TLS, whatever the scheme, as it does in Celery.
    """
    options: dict[str, Any] = {n: query.pop(n) for n in list(query) if n in TLS_OPTIONS}
    if isinstance(asked, Mapping):
        options = {**asked, **options}
    elif asked is not None:
        asked = _boolean("ssl", asked, "True, False, or a dictionary of the ssl options")
    if scheme != "rediss" and not options and not asked:
        return None
    for name, value in options.items():
        if name not in TLS_OPTIONS:
            raise LockConfigurationError(
                f"the ssl options have no {name!r}{did_you_mean(name, TLS_OPTIONS)};"
                f" they have {', '.join(TLS_OPTIONS)}"
            )
        if name in ("ssl_check_hostname", "ssl_validate_ocsp", "ssl_validate_ocsp_stapled"):
            options[name] = _boolean(name, value)
    if options.get("ssl_keyfile") and not options.get("ssl_certfile"):
        raise LockConfigurationError(
            "ssl_keyfile is the key of a certificate, and none is named: write ssl_certfile too"
        )
    options["ssl_cert_reqs"] = _cert_reqs(options.get("ssl_cert_reqs", ssl.CERT_REQUIRED))
    if "ssl_min_version" in options:
        options["ssl_min_version"] = _version(options["ssl_min_version"])
    # redis-py before 6 does not look at the name in the certificate unless it is asked to
    options.setdefault("ssl_check_hostname", True)
    if options["ssl_cert_reqs"] == ssl.CERT_NONE:
        options["ssl_check_hostname"] = False
    return options


def context_of(options: Mapping[str, Any]) -> ssl.SSLContext:
    """Return what Python's own sockets need for these options, as redis-py makes it of them."""
    context = ssl.create_default_context()
    context.check_hostname = options["ssl_check_hostname"]
    context.verify_mode = options["ssl_cert_reqs"]
    for flag in options.get("ssl_include_verify_flags") or ():
        context.verify_flags |= flag
    for flag in options.get("ssl_exclude_verify_flags") or ():
        context.verify_flags &= ~flag
    certificate: Any = options.get("ssl_certfile")
    key = options.get("ssl_keyfile")
    if certificate or key:
        context.load_cert_chain(certificate, key, options.get("ssl_password"))
    authorities = [options.get(f"ssl_ca_{where}") for where in ("certs", "path", "data")]
    if any(authorities):
        context.load_verify_locations(*authorities)
    if options.get("ssl_min_version"):
        context.minimum_version = options["ssl_min_version"]
    if options.get("ssl_ciphers"):
        context.set_ciphers(options["ssl_ciphers"])
    return context


def _cert_reqs(value: Any) -> ssl.VerifyMode:
    """Read `required`, Celery's `CERT_REQUIRED`, or the constant of `ssl`."""
    if isinstance(value, str):
        value = _CERT_REQS.get(value.lower().removeprefix("cert_"), value)
    try:
        return ssl.VerifyMode(ssl.CERT_NONE if value is None else value)
    except ValueError:
        raise LockConfigurationError(
            f"ssl_cert_reqs={value!r} is not known; write required, optional or none"
        ) from None


def _version(value: Any) -> ssl.TLSVersion:
    try:
        return ssl.TLSVersion(int(value))
    except ValueError:
        raise LockConfigurationError(
            f"ssl_min_version={value!r} is not known; write a number of ssl.TLSVersion"
        ) from None


def _boolean(name: str, value: Any, write: str = "true or false") -> bool:
    word = str(value).lower()
    if word not in _YES | _NO:
        raise LockConfigurationError(f"{name}={value!r} is not known; write {write}")
    return word in _YES


def untrusted(shown: str, error: ssl.SSLCertVerificationError) -> StoreError:
    """Say why the certificate of a server was refused, and what to do about it."""
    advice = "Where an authority of your own has signed it, name its file:"
    advice += " ?ssl_ca_certs=/path/ca.pem"
    if error.verify_code == _EXPIRED:
        advice = "It has to be renewed on the server"
    if error.verify_code in _OF_OTHERS:
        advice = "It has to name the host that is connected to, as the URL or the servers name it"
    return StoreError(
        f"the certificate of {shown} was not accepted ({error.verify_message}). {advice}"
    )


def unreadable_file(shown: str, cause: BaseException | None) -> StoreError | None:
    """Say that a file of the ssl options cannot be read; `None`: that is not what went wrong."""
    if isinstance(cause, FileNotFoundError):
        return StoreError(f"a file that the ssl options name is not there ({shown})")
    if isinstance(cause, PermissionError) and cause.errno == EACCES:
        return StoreError(
            f"a file that the ssl options name may not be read by this process's user ({shown})"
        )
    return None


def unverified(shown: str) -> str:
    """Return the warning of a server whose certificate nobody looks at."""
    return (
        f"the certificate of {shown} is not verified (ssl_cert_reqs): anybody in between can read"
        " the password"
    )
