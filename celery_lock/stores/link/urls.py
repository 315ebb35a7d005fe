"""What the URLs and the options of all stores have in common: how they are written and refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...errors import LockConfigurationError, did_you_mean

__all__ = ["refuse_unknown", "unreadable", "written"]


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
        " password: ':' is %3A, '/' %2F, '@' %40, '#' %23, ',' %2C, ';' %3B, '?' %3F, '%' %25"
    )


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
