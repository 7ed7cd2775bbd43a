#!/bin/sh
# tools/setup.sh [LIST]: installs what is missing of the Debian packages in LIST (packaging/apt-packages.txt), and
# says which.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "setup: $*"; }

list=${1:-packaging/apt-packages.txt}
names=$(sed 's/#.*//' "$list")
missing=
for package in $names; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
if [ -z "$missing" ]; then
    say "all Debian packages of $list are installed"
    exit 0
fi

say "installing Debian packages:$missing"
sudo=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { say "not root and no sudo: install the packages above, then run again" >&2; exit 1; }
    sudo=sudo
fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# shellcheck disable=SC2086 # the list is words
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
