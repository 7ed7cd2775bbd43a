#!/bin/sh
# clang-tidy over all sources of a build: tools/tidy.sh [build/release]. Zero findings is the rule.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/release}
# gcc's own flags are unknown to clang.
database=$(mktemp -d)
trap 'rm -rf "$database"' EXIT
sed -e 's/-fopenmp//g' "$build/compile_commands.json" >"$database/compile_commands.json"
find src -name '*.c' | sort | xargs -P "$(nproc)" -n 4 clang-tidy-14 --quiet -p "$database"
