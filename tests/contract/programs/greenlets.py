"""Two hundred greenlets share one store: `greenlets.py URL`; exit status 0 if all is well."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402

from celery_lock.stores.redis import RedisStore  # noqa: E402
from tests.contract.programs.contending import contend  # noqa: E402

store = RedisStore(sys.argv[1] + "?client_name=greenlets", deadline=20.0)
contend(store, 200, keys=20)
names = bytes(store._server.say("CLIENT", "LIST")).count(b"name=greenlets")
assert names <= 10, f"{names} connections"
print("well")
