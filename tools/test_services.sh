#!/bin/sh
# Make sure that the servers for the tests are installed. As root on Debian they are installed: where
# CI is set without a question, at a terminal if the answer is yes. Elsewhere this says what is
# missing and how to get it, and goes on. Nothing is started here: the tests start their own.
set -eu

missing=''
[ -n "${REDIS_SERVER:-}" ] || command -v redis-server >/dev/null 2>&1 || missing="redis-server"
[ -n "${RABBITMQ_SERVER:-}" ] || [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] ||
    command -v rabbitmq-server >/dev/null 2>&1 || missing="$missing rabbitmq-server"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 ||
    missing="$missing postgresql"
command -v etcd >/dev/null 2>&1 || missing="$missing etcd-server"
[ -e /usr/share/java/zookeeper.jar ] || missing="$missing zookeeper"
command -v java >/dev/null 2>&1 || missing="$missing default-jre-headless"
[ -n "$missing" ] || exit 0

if sh "$(dirname "$0")/may_install.sh" "$missing"; then
    echo "installing for the tests: $missing ..."
    # Debian starts a service that it installs, unless this policy says no.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        trap 'exit 1' HUP INT TERM
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086  # the names are words of their own
    if apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null; then
        exit 0
    fi
fi

for name in $missing; do
    case $name in
    redis-server) how='apt-get install redis-server, or brew install redis; or set $REDIS_SERVER' ;;
    postgresql) how='apt-get install postgresql, or brew install postgresql' ;;
    etcd-server) how='apt-get install etcd-server, or brew install etcd' ;;
    zookeeper | default-jre-headless) how="apt-get install $name" ;;
    *) how='apt-get install rabbitmq-server, or brew install rabbitmq; or set $RABBITMQ_SERVER' ;;
    esac
    echo "missing for the tests: $name ($how)" >&2
done
echo 'The tests that need it are skipped; where CI is set, they fail.' >&2
