"""The name of what is protected, from the arguments of a call: one key on every machine."""

from .matching import KeysOfTemplate
from .message_context import UNKNOWN, MessageContext, NotInMessage
from .parameters import WrongArguments
from .pydantic_models import find_models, is_celerys
from .source import KeySource, check_declared_key, check_key, compile_key

__all__ = [
    "UNKNOWN",
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
]
