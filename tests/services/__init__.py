"""Real servers and workers as processes of the test: everything else stands on them.

Fixtures that hand them out ready-made are described at the top of tests/conftest.py.
"""

from tests.services.binaries import (
    find_rabbit,
    find_redis,
    find_redis_62,
    find_valkey,
    in_ci,
    missing,
)
from tests.services.certificates import Certificates, make_certificates
from tests.services.etcd_server import EtcdCluster, EtcdServer
from tests.services.ports import free_port
from tests.services.process import Process
from tests.services.proxy import Proxy
from tests.services.rabbit_server import RabbitServer
from tests.services.redis_cluster import RedisCluster
from tests.services.redis_server import RedisServer
from tests.services.sending import sending
from tests.services.sentinel_server import SentinelServer, Watched
from tests.services.shared_rabbit import SharedRabbit, VirtualHost
from tests.services.sqs_server import SqsServer
from tests.services.waiting import STALL, WaitedTooLong, wait_for
from tests.services.worker import Worker
from tests.services.zookeeper_server import ZooKeeperEnsemble, ZooKeeperServer

__all__ = [
    "STALL",
    "Certificates",
    "EtcdCluster",
    "EtcdServer",
    "Process",
    "Proxy",
    "RabbitServer",
    "RedisCluster",
    "RedisServer",
    "SentinelServer",
    "SharedRabbit",
    "SqsServer",
    "VirtualHost",
    "WaitedTooLong",
    "Watched",
    "Worker",
    "ZooKeeperEnsemble",
    "ZooKeeperServer",
    "find_rabbit",
    "find_redis",
    "find_redis_62",
    "find_valkey",
    "free_port",
    "in_ci",
    "make_certificates",
    "missing",
    "sending",
    "wait_for",
]
