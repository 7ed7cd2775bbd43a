#!/bin/sh
# tools/setup-trl.sh: TRL's trainers in the environment of tools/setup-peers.sh, for make bench-peers: 80 MB to fetch,
# 250 MB on disk. Versions: packaging/trl-requirements.txt. An environment that $RETORT_PEERS names is only asked.
set -eu
cd "$(dirname "$0")/.."

list=packaging/trl-requirements.txt
venv=${RETORT_PEERS:-build/interop-venv}
wheels=build/trl-wheels

say() { printf '%s\n' "TRL: $*"; }
die() { printf '%s\n' "TRL: $*" >&2; exit 1; }

version() { TRL_EXPERIMENTAL_SILENCE=1 "$venv/bin/python" -c 'import trl; from trl.experimental import gkd; print(trl.__version__)' 2>&1; }

tools/setup-peers.sh >&2
if [ -n "${RETORT_PEERS:-}" ]; then
    is=$(version) || die "RETORT_PEERS is '$venv', but TRL does not work there: $is"
elif ! cmp -s "$list" "$venv/trl-requirements.txt"; then # copied there once it has worked
    say "installing what $list names into $venv"
    mkdir -p "$wheels"
    TMPDIR=$PWD/$wheels "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps \
        --no-compile --retries 10 -r "$list" || die "pip cannot install $list"
    rm -rf "$wheels"
    is=$(version) || die "TRL does not work in '$venv': $is"
    cp "$list" "$venv/trl-requirements.txt"
fi
say "$venv has TRL"
