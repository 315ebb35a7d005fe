#!/bin/sh
# Run the tests that a version can break with one Python and one Celery: pair.sh PYTHON PACKAGE...
#
#     tools/pair.sh 3.10 'celery==5.5.*' 'redis==5.2.*'
#
# $PAIR_TESTS: others than the units and the endings, which are what versions have broken so far.
# $SHARED: options of pytest, for several processes.
# Looks for that Python on the path and under pyenv. Where there is none it says so and is content:
# `make test` runs everything with the Python that is there.
set -eu
version=$1
shift

python=
for one in "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python "python$version"; do
    # tried, not looked for: pyenv puts a name on the path for each version, used or not
    if "$one" -c '' 2>/dev/null; then
        python=$one
        break
    fi
done
if [ -z "$python" ]; then
    echo "there is no Python $version here: its pair is left out" >&2
    exit 0
fi

venv=.venv-$version
if [ ! -e "$venv/.installed" ] || [ pyproject.toml -nt "$venv/.installed" ]; then
    sh tools/make_venv.sh "$python" "$venv"
    echo "installing into $venv: $* ..."
    "$venv/bin/python" -m pip --quiet --disable-pip-version-check --no-input \
        install -e '.[redis,test]' "$@"
    touch "$venv/.installed"
fi
"$venv/bin/python" -c 'import celery, redis, sys
print("Python", sys.version.split()[0], "Celery", celery.__version__, "redis-py", redis.__version__)'
tests="tests/integration/test_endings.py tests/unit"
# shellcheck disable=SC2086  # the names are words of their own
"$venv/bin/python" -m pytest -q ${SHARED:-} ${PAIR_TESTS:-$tests}
