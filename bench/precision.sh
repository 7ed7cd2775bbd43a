#!/bin/sh
# bench/precision.sh: what bf16 products cost in accuracy. Trains the same student from one cache on one schedule with
# the machine's products, in f32, and in f32 by AVX2 alone, and prints the KLs to the teacher on held-out text. The last
# two differ in nothing but the order of their sums: what lies between them is what rounding alone does to a run. The
# first two must differ by less than 1 %, or by no more than that; else the exit status is 1. Eleven minutes on two cores.
#   RETORT=PROGRAM  STEPS=200  BATCH=256 (tokens a step, one sequence)  HELD_OUT=8k (tokens)
set -eu
cd "$(dirname "$0")/.."

retort=${RETORT:-build/release/retort}
steps=${STEPS:-200}
batch=${BATCH:-256}
teacher=models/SmolLM2-135M-Instruct.Q4_1.gguf

[ -x "$retort" ] || { echo "'$retort' does not exist: run make" >&2; exit 1; }
[ -f "$teacher" ] || { echo "'$teacher' does not exist: run make fetch" >&2; exit 1; }

mkdir -p build
work=$(mktemp -d build/bench-precision.XXXXXX)
trap 'rm -rf "$work"' EXIT

"$retort" init "$teacher" -o "$work/student" --keep 0,1,2,8,9,11,20,21,24,27,28,29 >&2
"$retort" collect "$teacher" --text examples/data/books.jsonl -o "$work/cache" --tokens $((steps * batch)) \
    --sequence "$batch" >&2

# train_and_judge NAME PRECISION [ISA]
train_and_judge() {
    env ${3:+RETORT_ISA=$3} "$retort" train "$work/student" --cache "$work/cache" --steps "$steps" --batch-tokens "$batch" \
        --precision "$2" --quiet -o "$work/run-$1" >&2
    "$retort" eval "$work/run-$1/student" --text examples/data/books-valid.jsonl --against "$teacher" \
        --max-tokens "${HELD_OUT:-8k}" --precision f32 --json >"$work/$1.json"
}

train_and_judge machine auto
train_and_judge exact f32
train_and_judge reordered f32 avx2

python3 - "$work" <<'PY'
import json
import sys

names = ("machine", "exact", "reordered")
fast, exact, reordered = (json.load(open(f"{sys.argv[1]}/{n}.json", encoding="utf-8"))["kl"]["mean"] for n in names)
change, noise = fast / exact - 1, reordered / exact - 1
print(f"held-out KL {fast:.5f} with the machine's products, {exact:.5f} in f32: {change:+.2%}; "
      f"{reordered:.5f} in f32 by AVX2: {noise:+.2%}")
sys.exit(abs(change) >= max(0.01, abs(noise)))
PY
