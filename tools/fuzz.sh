#!/bin/sh
# Runs every libFuzzer target of a build for FUZZ_SECONDS (60) each, starting from fuzz/corpus. New inputs stay in
# the build directory; one worth keeping is copied to fuzz/corpus/<x>/ by hand.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/fuzz}
export ASAN_OPTIONS=allocator_may_return_null=1
found=
for target in "$build"/fuzz_*; do
    [ -x "$target" ] || continue
    found=yes
    what=$(basename "$target" | sed 's/^fuzz_//')
    mkdir -p "$build/corpus/$what" "fuzz/corpus/$what"
    printf '%s\n' "fuzz: $what"
    "$target" -max_total_time="${FUZZ_SECONDS:-60}" -rss_limit_mb=2048 -artifact_prefix="$build/$what-" \
        -print_final_stats=1 "$build/corpus/$what" "fuzz/corpus/$what"
done
[ -n "$found" ] || { printf '%s\n' "fuzz: '$build' holds no fuzz_*; make fuzz builds them" >&2; exit 1; }
