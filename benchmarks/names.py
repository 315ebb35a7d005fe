"""What sections, rows and columns are called: in the results, in the table and in the targets."""

from __future__ import annotations

# -- sections --------------------------------------------------------------------------------

CYCLE = "cycle"
RENEWAL = "renewal"
MEMORY = "memory"
GROWTH = "growth"
BEATS = "beats"
STORES = "stores"
HAND_OFF = "hand-off"
STORE_RENEWAL = "store-renewal"


def throughput(pool: str) -> str:
    """Return the name of a pool's section."""
    return f"throughput-{pool}"


def publishing(broker: str) -> str:
    """Return the name of the section of what is published to a broker."""
    return f"publishing-{broker.lower()}"


REDIS, RABBITMQ = "Redis", "RabbitMQ"
"""Brokers."""


# -- rows ------------------------------------------------------------------------------------

PINGS = "two PINGs on a raw socket"
STORE = "celery_lock, the store"
REMEMBERED = "celery_lock, the store, with a tombstone"
ENGINE = "celery_lock, the engine"
PERMITS = "celery_lock, the engine, limit=10"
TWO_LOCKS = "celery_lock, the engine, two locks"
REDIS_PY_LOCK = "redis-py Lock"
PYTHON_REDIS_LOCK = "python-redis-lock"
ONCE_BACKEND = "celery-once, its backend"
SINGLETON_BACKEND = "celery-singleton, its backend"

PLAIN = "plain task"
PINGS_IN_BODY = "two PINGs in the body"
TEMPLATE = "LockedTask, a template as key"
DIGEST = "LockedTask, all arguments as key"
REDIS_PY = "redis-py Lock in the body"
WHILE_RUNNING = "LockedTask, the worker takes the key"
UNTIL_STARTED = "LockedTask, UNTIL_STARTED"
UNTIL_FINISHED = "LockedTask, UNTIL_FINISHED"
ONCE = "celery-once"
SINGLETON = "celery-singleton"


PLAIN_BEATS = "two beats of Celery's own"
REDBEAT = "RedBeat, two beats"


def locked_beats(number: int) -> str:
    """Return the name of the row of so many of our beats."""
    return f"celery_lock, {({2: 'two', 3: 'three'})[number]} beats"


def ours(store: str) -> str:
    """Return the name of our row on a kind of store: its scheme, and what is special."""
    return f"celery_lock, {store}"


ON_REDIS, ON_SENTINEL, ON_CLUSTER = (
    f"redis-py Lock, {where}" for where in ("one Redis", "through Sentinel", "on a Cluster")
)
REDLOCK_NG, POTTERY = "redlock-ng, five servers", "pottery, five servers"
ETCD3GW = "etcd3gw's Lock"
KAZOO = "kazoo's Lock"

TEN_PINGS = "ten PINGs to five servers"

WITHOUT_WAITING = (ETCD3GW,)
"""Whose users have to write a loop of their own to wait for a key."""


def keys_had(row: str, who: str) -> str:
    """Return the name of a row where it matters who had a key last: `it` or `another`."""
    return f"{row}, keys {who} had last"


def leases(number: int) -> str:
    """Return the name of a row of the renewals."""
    return "1 lease" if number == 1 else f"{number:,} leases"


def size(keys: int, connections: int) -> str:
    """Return the name of a row of the growth."""
    clients = "1 connection" if connections == 1 else f"{connections:,} connections"
    return f"{keys:,} other keys, {clients}"


# -- columns ---------------------------------------------------------------------------------

MICROSECONDS = "microseconds"

WORKER = "worker, tasks/s"
PUBLISHER = "publisher, tasks/s"
PROCESSOR = "worker, processor time of a task, microseconds"

TRIPS = "round trips"
NODE_TRIPS = "round trips of a node"
MILLISECONDS = "milliseconds"
BUSY = "server busy, milliseconds"
LONGEST = "longest command, milliseconds"

HELD = "bytes, held"
GIVEN_BACK = "bytes, given back"

SENT = "messages for a due time"
MISSED = "due times missed"
GAP = "gap after kill -9, seconds"
CALLS = "store calls for a tick"
IDLE = "store calls while idle"
