#!/bin/sh
# bench/targets.sh: what a student loses when the teacher's distributions are kept as draws or as their top. Trains one
# cut student on the same tokens, batches and learning rates from caches of one text - the states before the teacher's
# head (dense: the whole distribution), draws, the K likeliest ids with the rest as one mass, and the same renormalised (a
# mistake that retort does not make: bench_renormalise makes it) - for several seeds of the order of the batches and of
# the draws, and prints held-out KL, perplexity, calibration and bytes a token. A target is
# equivalent to dense when the 90 % interval of the paired differences over seeds lies within 2 % of dense's KL and within
# 0.01 of its calibration error. What WORK has already is not made again: a stopped measurement goes on with the same
# command.
#   RETORT=PROGRAM  RENORMALISE=PROGRAM  SEEDS="1 2 3"  TOKENS=60k  BATCH=2k (tokens a step)
#   KEEP=0,1,24,27,28,29 (layers)  DRAWS=50  K="32 8"  HELD_OUT=8k (tokens)  WORK=FOLDER
set -eu
cd "$(dirname "$0")/.."
. bench/common.sh

renormalise=${RENORMALISE:-build/release/bench_renormalise}
seeds=${SEEDS:-1 2 3}
tokens=${TOKENS:-60k}
held_out=${HELD_OUT:-8k}
work=${WORK:-build/bench-targets}

[ -x "$renormalise" ] || { echo "'$renormalise' does not exist: run make" >&2; exit 1; }
mkdir -p "$work"

[ -f "$work/cut/config.json" ] || "$retort" init "$teacher" -o "$work/cut" --keep "${KEEP:-0,1,24,27,28,29}" --quiet

# cache NAME SEED OPTION...
cache() {
    name=$1 seed=$2
    shift 2
    [ -f "$work/$name/cache.json" ] || "$retort" collect "$teacher" --text examples/data/books.jsonl --tokens "$tokens" \
        --seed "$seed" "$@" --quiet -o "$work/$name"
}

# student ARM SEED CACHE OPTION...
student() {
    run=$1-$2 from=$3 seed=$2
    shift 3
    [ -f "$work/$run.json" ] && return
    "$retort" train "$work/cut" --cache "$work/$from" --tokens "$tokens" --batch-tokens "${BATCH:-2k}" --seed "$seed" \
        "$@" --quiet -o "$work/run-$run"
    judge "$work/$run" "$work/run-$run/student" "$held_out"
    rm -r "$work/run-$run"
}

judge "$work/cut" "$work/cut" "$held_out"
cache dense 1 --targets hidden
for seed in $seeds; do
    student dense "$seed" dense --teacher "$teacher"
done
for seed in $seeds; do
    cache draws-cache-"$seed" "$seed" --draws "${DRAWS:-50}"
    student draws "$seed" draws-cache-"$seed"
done
for k in ${K:-32 8}; do
    cache top-"$k"-cache 1 --targets topk --k "$k"
    for seed in $seeds; do
        student top-"$k" "$seed" top-"$k"-cache
    done
    [ -f "$work/renorm-$k-cache/cache.json" ] ||
        "$renormalise" "$teacher" "$work/top-$k-cache" "$work/renorm-$k-cache"
    for seed in $seeds; do
        student renorm-"$k" "$seed" renorm-"$k"-cache
    done
done
python3 bench/targets.py "$work" ${K:-32 8} -- $seeds
