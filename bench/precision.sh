#!/bin/sh
# bench/precision.sh: what bf16 products cost in accuracy. Trains the same student from one cache on one schedule with
# the machine's products and in f32, once for each seed, and prints the KLs to the teacher on held-out text. A seed
# changes the order of the text and, with it, the rounding of every sum: single pairs scatter by more than a percent
# either way, so what is judged is their mean, which must lie below 1 % (exit status 1: it does not).
# Two minutes a seed on two cores.
#   RETORT=PROGRAM  SEEDS="1 2 3 4"  STEPS=200  BATCH=256 (tokens a step, one sequence)  HELD_OUT=8k (tokens)
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

# train_and_judge SEED PRECISION
train_and_judge() {
    "$retort" train "$work/student" --cache "$work/cache" --steps "$steps" --batch-tokens "$batch" --seed "$1" \
        --precision "$2" --quiet -o "$work/run" >&2
    "$retort" eval "$work/run/student" --text examples/data/books-valid.jsonl --against "$teacher" \
        --max-tokens "${HELD_OUT:-8k}" --precision f32 --json >"$work/$1-$2.json"
    rm -r "$work/run"
}

for seed in ${SEEDS:-1 2 3 4}; do
    train_and_judge "$seed" auto
    train_and_judge "$seed" f32
    echo "seed $seed" >>"$work/seeds"
done

python3 - "$work" <<'PY'
import json
import statistics
import sys

def kl(seed, precision):
    with open(f"{sys.argv[1]}/{seed}-{precision}.json", encoding="utf-8") as file:
        return json.load(file)["kl"]["mean"]

changes = []
for line in open(f"{sys.argv[1]}/seeds", encoding="utf-8"):
    seed = line.split()[1]
    fast, exact = kl(seed, "auto"), kl(seed, "f32")
    changes.append(fast / exact - 1)
    print(f"seed {seed}: held-out KL {fast:.5f} with the machine's products, {exact:.5f} in f32: {changes[-1]:+.2%}")
mean = statistics.fmean(changes)
error = statistics.stdev(changes) / len(changes) ** 0.5 if len(changes) > 1 else float("nan")
print(f"mean of {len(changes)}: {mean:+.2%} (standard error {error:.2%})")
sys.exit(abs(mean) >= 0.01)
PY
