#!/bin/sh
# bench/precision.sh: what bf16 products cost in accuracy. Trains the same student twice from one cache on one schedule,
# with the machine's products and in f32, and prints both KLs to the teacher on held-out text. They must differ by less
# than 1 %; more is exit status 1. Ten minutes on two cores.
#   RETORT=PROGRAM  STEPS=200  BATCH=512 (tokens a step)  HELD_OUT=8k (tokens)
set -eu
cd "$(dirname "$0")/.."

retort=${RETORT:-build/release/retort}
steps=${STEPS:-200}
batch=${BATCH:-512}
teacher=models/SmolLM2-135M-Instruct.Q4_1.gguf

[ -x "$retort" ] || { echo "'$retort' does not exist: run make" >&2; exit 1; }
[ -f "$teacher" ] || { echo "'$teacher' does not exist: run make fetch" >&2; exit 1; }

mkdir -p build
work=$(mktemp -d build/bench-precision.XXXXXX)
trap 'rm -rf "$work"' EXIT

"$retort" init "$teacher" -o "$work/student" --keep 0,1,2,8,9,11,20,21,24,27,28,29 >&2
"$retort" collect "$teacher" --text examples/data/books.jsonl -o "$work/cache" --tokens $((steps * batch)) >&2
for precision in auto f32; do
    "$retort" train "$work/student" --cache "$work/cache" --steps "$steps" --batch-tokens "$batch" \
        --precision $precision --quiet -o "$work/run-$precision" >&2
    "$retort" eval "$work/run-$precision/student" --text examples/data/books-valid.jsonl --against "$teacher" \
        --max-tokens "${HELD_OUT:-8k}" --precision f32 --json >"$work/$precision.json"
done

python3 - "$work/auto.json" "$work/f32.json" <<'PY'
import json
import sys

fast, exact = (json.load(open(path, encoding="utf-8"))["kl"]["mean"] for path in sys.argv[1:])
change = fast / exact - 1
print(f"held-out KL {fast:.5f} with the machine's products, {exact:.5f} in f32: {change:+.2%}, less than 1 % wanted")
sys.exit(abs(change) >= 0.01)
PY
