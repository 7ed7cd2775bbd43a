#!/bin/sh
# bench/layers.sh: whether a term between what layers read helps a cut student to its teacher. Trains one cut on the same
# draws, tokens, batches and learning rates with forward KL alone, with hidden_cosine between layers falling to nothing
# over the first fifth of the steps, and with it to the end, for several seeds of the order of the batches, and prints
# held-out KL, perplexity, acceptance and the seconds of training. Said before any run: a term helps, or hurts, when the
# 90 % interval of its paired differences over seeds lies beyond 2 % of the KL without it, and changes nothing when it lies
# within. What WORK has already is not made again.
#   RETORT=PROGRAM  SEEDS="1 2 3"  TOKENS=24k  BATCH=1k (a step)  KEEP=0,1,24,27,28,29 (layers; another WORK for others)  HELD_OUT=8k (tokens)
#   WORK=FOLDER
set -eu
cd "$(dirname "$0")/.."
. bench/common.sh

seeds=${SEEDS:-1 2 3}
tokens=${TOKENS:-24k}
batch=${BATCH:-1k}
keep=${KEEP:-0,1,24,27,28,29}
work=${WORK:-build/bench-layers}
# count 24k: in tokens
count() {
    case $1 in
    *k) echo $((${1%k} * 1000)) ;;
    *) echo "$1" ;;
    esac
}
fifth=$(($(count "$tokens") / $(count "$batch") / 5))
[ "$fifth" -ge 1 ] || { echo "TOKENS must be five steps of BATCH at least" >&2; exit 1; }

mkdir -p "$work"
[ -f "$work/cut/config.json" ] || "$retort" init "$teacher" -o "$work/cut" --keep "$keep" --quiet
[ -f "$work/cache/cache.json" ] || "$retort" collect "$teacher" --text examples/data/books.jsonl --tokens "$tokens" \
    --quiet -o "$work/cache"

# student ARM SEED LOSS OPTION...
student() {
    run=$1-$2 seed=$2 loss=$3
    shift 3
    [ -f "$work/$run.json" ] && return
    "$retort" train "$work/cut" --cache "$work/cache" --tokens "$tokens" --batch-tokens "$batch" --seed "$seed" \
        --loss "$loss" "$@" --quiet -o "$work/run-$run"
    cp "$work/run-$run/metrics.jsonl" "$work/$run.metrics.jsonl"
    judge "$work/$run" "$work/run-$run/student" "${HELD_OUT:-8k}"
    rm -r "$work/run-$run"
}

judge "$work/cut" "$work/cut" "${HELD_OUT:-8k}"
for seed in $seeds; do
    student plain "$seed" forward_kl
    student fades "$seed" "forward_kl,hidden_cosine:1:to=0:over=$fifth:layers=1" --teacher "$teacher" --layer-map "$keep"
    student stays "$seed" forward_kl,hidden_cosine:1:layers=1 --teacher "$teacher" --layer-map "$keep"
done
python3 bench/layers.py "$work" $seeds
