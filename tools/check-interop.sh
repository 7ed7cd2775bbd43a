#!/bin/sh
# tools/check-interop.sh: the tests that need other people's programs: llama.cpp, transformers and a browser. Sets up
# what is missing first (inside build/, but for Debian packages); what cannot be set up fails, nothing is skipped.
# RETORT_LLAMA_CHROOT=DIR and RETORT_PEERS=VENV name ones that are there already.
set -eu
cd "$(dirname "$0")/.."

build=${RETORT_BUILD:-build/release}

say() { printf '\n== %s\n' "$*"; }

# absolute DIR: a path that holds wherever the tests run
absolute() { case $1 in /*) printf '%s\n' "$1" ;; *) printf '%s\n' "$PWD/$1" ;; esac; }

say "1/4 Debian packages"
tools/setup.sh packaging/apt-packages-interop.txt
say "2/4 llama.cpp"
tools/setup-llama-cpp.sh
say "3/4 Python peers"
tools/setup-peers.sh
tools/fetch-teacher.sh

say "4/4 tests"
RETORT_LLAMA_CHROOT=$(absolute "${RETORT_LLAMA_CHROOT:-build/llama}")
RETORT_PEERS=$(absolute "${RETORT_PEERS:-build/interop-venv}")
export RETORT_LLAMA_CHROOT RETORT_PEERS
ctest --test-dir "$build" --label-regex interop --no-tests=error --output-on-failure
