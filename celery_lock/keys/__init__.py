"""The name of what is protected, from the arguments of a call: one key on every machine."""

from .matching import KeysOfTemplate
from .message_context import OF_MESSAGES, UNKNOWN, MessageContext, NotInMessage
from .parameters import WrongArguments
from .pydantic_models import find_models, is_celerys
from .source import (
    FinishedKey,
    KeySource,
    check_declared_key,
    check_key,
    compile_key,
    read_template,
)

__all__ = [
    "OF_MESSAGES",
    "UNKNOWN",
    "FinishedKey",
    "KeySource",
    "KeysOfTemplate",
    "MessageContext",
    "NotInMessage",
    "WrongArguments",
    "check_declared_key",
    "check_key",
    "compile_key",
    "find_models",
    "is_celerys",
    "read_template",
]
