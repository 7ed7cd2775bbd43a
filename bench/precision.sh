#!/bin/sh
# bench/precision.sh: what bf16 products cost in accuracy. Trains the same student from one cache on one schedule with
# the machine's products and in f32, once for each seed, and prints the KLs to the teacher of both: in training, over the
# last quarter of the steps (the same batches on both sides), and on held-out text. A seed changes the order of the text
# and, with it, the rounding of every sum: single pairs scatter, so what is judged is their mean over seeds, which must lie
# below 1 % in training and on held-out text (exit status 1: it does not). The learning rate is one at which no gradient
# spikes: behind a spike two runs differ by what it did, whatever the precision. What WORK has already is not made again, by
# whatever program: remove it after a change.
# Three minutes a seed on two cores.
#   RETORT=PROGRAM  SEEDS="1 2 3 4"  STEPS=200  BATCH=256 (tokens a step)  LR=2e-4  HELD_OUT=8k (tokens)  WORK=FOLDER
set -eu
cd "$(dirname "$0")/.."
. bench/common.sh

seeds=${SEEDS:-1 2 3 4}
steps=${STEPS:-200}
batch=${BATCH:-256}
lr=${LR:-2e-4}
work=${WORK:-build/bench-precision-$steps-$batch-$lr}
mkdir -p "$work"

[ -f "$work/cut/config.json" ] || "$retort" init "$teacher" -o "$work/cut" \
    --keep 0,1,2,8,9,11,20,21,24,27,28,29 --quiet
[ -f "$work/cache/cache.json" ] || "$retort" collect "$teacher" --text examples/data/books.jsonl -o "$work/cache" \
    --tokens $((steps * batch)) --sequence 256 --quiet

# train_and_judge SEED PRECISION
train_and_judge() {
    [ -f "$work/$1-$2.json" ] && return
    "$retort" train "$work/cut" --cache "$work/cache" --steps "$steps" --batch-tokens "$batch" --seed "$1" \
        --lr "$lr" --precision "$2" --quiet -o "$work/run-$1-$2"
    cp "$work/run-$1-$2/metrics.jsonl" "$work/$1-$2.metrics.jsonl"
    judge "$work/$1-$2" "$work/run-$1-$2/student" "${HELD_OUT:-8k}" --precision f32
    rm -r "$work/run-$1-$2"
}

for seed in $seeds; do
    train_and_judge "$seed" auto
    train_and_judge "$seed" f32
done

python3 - "$work" $seeds <<'PY'
import json
import statistics
import sys

work, *seeds = sys.argv[1:]


def trained(seed, precision):
    with open(f"{work}/{seed}-{precision}.metrics.jsonl", encoding="utf-8") as file:
        steps = [row for row in map(json.loads, file) if "kl" in row and "step" in row and "event" not in row]
    last = steps[-(len(steps) // 4):]
    return sum(s["kl"] * s["rows"] for s in last) / sum(s["rows"] for s in last)


def held_out(seed, precision):
    with open(f"{work}/{seed}-{precision}.json", encoding="utf-8") as file:
        return json.load(file)["kl"]["mean"]


within = True
for label, kl in (("training, last quarter", trained), ("held-out text", held_out)):
    print(f"KL to the teacher, {label}:")
    changes = []
    for seed in seeds:
        fast, exact = kl(seed, "auto"), kl(seed, "f32")
        changes.append(fast / exact - 1)
        print(f"  seed {seed}: {fast:.5f} with the machine's products, {exact:.5f} in f32: {changes[-1]:+.2%}")
    mean = statistics.fmean(changes)
    error = statistics.stdev(changes) / len(changes) ** 0.5 if len(changes) > 1 else float("nan")
    print(f"  mean of {len(changes)}: {mean:+.2%} (standard error {error:.2%})")
    within = within and abs(mean) < 0.01
sys.exit(not within)
PY
