"""Errors by which a broker's driver says that it took no message, and that kombu does not list."""

from __future__ import annotations

import sys

__all__ = ["refusals"]

_DRIVERS: dict[str, tuple[str, ...]] = {
    "botocore.exceptions": ("ClientError",),  # SQS: any answer that is an error
    "kombu.transport.SQS": (
        "AccessDeniedQueueException",
        "DoesNotExistQueueException",
        "InvalidQueueException",
        "UndefinedQueueException",
    ),
    "azure.core.exceptions": ("AzureError",),
    "confluent_kafka": ("KafkaException",),
    "google.api_core.exceptions": ("GoogleAPIError",),
    "kazoo.exceptions": ("KazooException",),
    "psycopg": ("Error",),
    "pymongo.errors": ("PyMongoError",),
    "sqlalchemy.exc": ("SQLAlchemyError",),
}
"""The classes from which a driver's own errors descend, by the module that has them."""


def refusals() -> tuple[type[BaseException], ...]:
    """Return those of the drivers that are loaded: kombu has loaded the one that it uses.

    Another one's cannot come out of a send, so they do no harm.
    """
    loaded = [(sys.modules.get(module), names) for module, names in _DRIVERS.items()]
    found = [getattr(module, name, None) for module, names in loaded for name in names]
    return tuple(one for one in found if isinstance(one, type) and issubclass(one, Exception))
