"""What the URLs and the options of all stores have in common: how they are written and refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import SplitResult, urlsplit

from ...errors import LockConfigurationError, did_you_mean

__all__ = ["one_login", "pieces_of", "refuse_unknown", "unreadable", "written"]

_SERVER = re.compile(r"([^:@\[\]]+|\[[^\]]*\])(:\d+)?")
"""A server as a list has it, with its port or without."""
_REMOVED = str.maketrans("", "", "\t\r\n")
"""What Python takes out of a URL wherever it stands, such as the end of a secret file's line."""


def written(host: str, port: int) -> str:
    """Return a host and its port as a URL has them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def unreadable(advice: str = "") -> LockConfigurationError:
    """Return the error of a URL that makes no sense, which is not repeated: it may hold a password.

    `advice` says how such a URL is written.
    """
    form = f": {advice}" if advice else ""
    return LockConfigurationError(
        f"the URL of the lock store cannot be read{form}. Percent-encode the odd characters of its"
        " password: ':' is %3A, '/' %2F, '@' %40, '#' %23, ',' %2C, ';' %3B, '?' %3F, '%' %25,"
        " '[' %5B, ']' %5D."
        " A port is a number, and an address of IPv6 stands in brackets: [::1]:6379"
    )


def pieces_of(url: str) -> SplitResult:
    """Return the pieces of a URL, of whose hosts nothing is asked yet.

    Python's `urlsplit` takes all hosts of a list for one, and the releases since early 2025 refuse
    an address of IPv6 that stands behind another host (CVE-2025-0938). Raises `ValueError`.
    """
    head, slashes, rest = url.partition("//")
    netloc = re.split(r"[/?#]", rest, maxsplit=1)[0]
    parts = urlsplit(f"{head}{slashes}{rest[len(netloc) :]}")
    return parts._replace(netloc=netloc.translate(_REMOVED))


def one_login(netloc: str, form: str) -> tuple[str, str]:
    """Return the login and the servers of a URL whose servers have one login: `u:p@a:1,b:2`.

    It may stand before each of them. Raises `LockConfigurationError` where two of them differ,
    where it stands behind the first server, or where a comma has no server beside it.
    """
    parts = [part.rpartition("@") for part in netloc.split(",")]
    logins = {login.strip() for login, at, _ in parts if at}
    if len(logins) > 1 or _is_behind_a_server(netloc.rpartition("@")[0]):
        raise unreadable(f"{form}, with one login for all, before the first of them")
    if sum(bool(at) for _, at, _ in parts) < 2:
        login, _, servers = netloc.rpartition("@")  # a comma before it is one of the password
    else:
        login, servers = logins.pop(), ",".join(server for _, _, server in parts)
    if servers and not all(server.strip() for server in servers.split(",")):
        raise unreadable(form)  # the one that is missing would be this machine
    return login, servers


def _is_behind_a_server(login: str) -> bool:
    """Whether servers stand before a login, which is the last of it: `a:1,u:p` of `a:1,u:p@b:2`.

    They would be taken for a part of the user's name, or of the password, and nobody would ask
    them.
    """
    *before, last = login.split(",")
    servers = (one.strip() for one in before)
    return bool(before) and ":" in last and all(not s or _SERVER.fullmatch(s) for s in servers)


def refuse_unknown(
    given: Iterable[str], known: Sequence[str], store: str, *, besides: Sequence[str] = ()
) -> None:
    """Raise `LockConfigurationError` for an option that a store does not have.

    `besides` are options that it has too, and that nobody is given any more: they were taken out.
    """
    for name in given:
        if name not in known:
            all_of_them = (*known, *besides)
            raise LockConfigurationError(
                f"lock_store_options has no {name!r} for {store}{did_you_mean(name, all_of_them)};"
                f" it has {', '.join(all_of_them)}"
            )
