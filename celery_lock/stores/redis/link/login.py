"""What a new connection says first: who it is, its name, which database it wants."""

from __future__ import annotations

from .address import Address
from .resp import command

__all__ = ["NoCredentials", "greeting_of", "login_of"]


class NoCredentials(Exception):
    """The credential provider failed; the cause says how."""


def login_of(address: Address) -> tuple[str, ...]:
    """Return the arguments of AUTH, if any."""
    provider = address.credential_provider
    if provider is None:
        return address.login
    try:
        return tuple(provider.get_credentials())
    except Exception as error:  # somebody else's code, which may ask a service
        raise NoCredentials from error


def greeting_of(address: Address, login: tuple[str, ...]) -> list[bytes]:
    """Return the commands, each of which has one reply."""
    greeting = [command("AUTH", *login)] if login else []
    if address.client_name:
        greeting.append(command("CLIENT", "SETNAME", address.client_name))
    if address.db:
        greeting.append(command("SELECT", address.db))
    return greeting
