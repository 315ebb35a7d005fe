#!/bin/sh
# Whether Debian packages may be installed: may_install.sh NAMES
#
# As root on Debian: yes where CI is set, else whoever sits at the terminal is asked. Without a
# terminal nobody is: the answer is no.
set -eu
command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ] || exit 1
[ -z "${CI:-}" ] || exit 0
[ -t 0 ] && [ -t 2 ] || exit 1
printf 'Missing: %s. Install them with apt-get now? [y/N] ' "$(echo $1)" >&2
read -r answer || exit 1
case $answer in
[yY] | [yY][eE][sS]) exit 0 ;;
*) exit 1 ;;
esac
