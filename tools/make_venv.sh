#!/bin/sh
# Make a virtual environment with pip: make_venv.sh PYTHON FOLDER
#
# Debian splits Python's venv in two. Without python3-venv an environment can still be made, and the
# system's own pip fills it; only where that pip is missing or too old is a package installed.
set -eu
python=$1
folder=$2

say() { echo "make_venv: $*" >&2; }

if ! command -v "$python" >/dev/null 2>&1; then
    say "there is no $python. Install Python 3.10 or later, or name one: make PYTHON=/path/to/python"
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    say "$python is $("$python" -V 2>&1), and Python 3.10 or later is needed: make PYTHON=..."
    exit 1
fi

has_pip() { "$folder/bin/python" -m pip --version >/dev/null 2>&1; }

if "$python" -c 'import ensurepip, venv; ensurepip.version()' >/dev/null 2>&1; then
    "$python" -m venv "$folder"
elif "$python" -m venv --without-pip "$folder" >/dev/null 2>&1 &&
    "$python" -m pip --python "$folder/bin/python" install --quiet --disable-pip-version-check \
        pip >/dev/null 2>&1; then
    :
elif sh "$(dirname "$0")/may_install.sh" python3-venv; then
    say "installing python3-venv, which Debian keeps apart"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
    rm -rf "$folder"
    "$python" -m venv "$folder"
fi

if ! has_pip; then
    rm -rf "$folder"
    say "$python cannot make an environment with pip: its module ensurepip is missing, and so is a"
    say "pip of version 22.3 or later. On Debian and Ubuntu: sudo apt-get install python3-venv"
    exit 1
fi
