#!/bin/sh
# bench/peers/run.sh: retort's training step from a cache against PyTorch's, in turn (A B A B) on this machine: the same
# teacher, text, 12-layer student, 4,096 tokens a step in sequences of 512, forward KL to the top 32 with tail mass,
# 2 threads. Prints the median rate of each and their ratio. Five minutes; the figures mean nothing beside other work.
#   RETORT=PROGRAM  RETORT_PEERS=VENV  STEPS=6 (a turn; the first 2 do not count)  ROUNDS=2  THREADS=2
set -eu
cd "$(dirname "$0")/../.."

retort=${RETORT:-build/release/retort}
python=${RETORT_PEERS:-build/interop-venv}/bin/python
teacher=models/SmolLM2-135M-Instruct.Q4_1.gguf
text=examples/data/books.jsonl
keep=0,1,2,8,9,11,20,21,24,27,28,29
steps=${STEPS:-6}
rounds=${ROUNDS:-2}
threads=${THREADS:-2}
warmup=2

say() { printf '== %s\n' "$*" >&2; }

[ -x "$retort" ] || { echo "'$retort' does not exist: run make" >&2; exit 1; }
[ -x "$python" ] || { echo "'$python' does not exist: run tools/setup-peers.sh" >&2; exit 1; }
[ -f "$teacher" ] || { echo "'$teacher' does not exist: run make fetch" >&2; exit 1; }

mkdir -p build
work=$(mktemp -d build/bench-peers.XXXXXX)
trap 'rm -rf "$work"' EXIT

say "preparing"
"$retort" init "$teacher" -o "$work/student" --keep "$keep" >&2
"$retort" export "$teacher" -o "$work/teacher" --type safetensors >&2
"$retort" collect "$teacher" --text "$text" --targets topk --k 32 --sequence 512 --tokens $(((steps + 1) * 4096)) \
    -o "$work/cache" --threads $threads >&2

round=1
while [ "$round" -le "$rounds" ]; do
    say "round $round, load $(cut -d' ' -f1-3 /proc/loadavg): retort"
    "$retort" train "$work/student" --cache "$work/cache" --steps "$steps" --batch-tokens 4096 --threads $threads \
        --quiet -o "$work/run$round" >&2
    mv "$work/run$round/metrics.jsonl" "$work/retort$round.jsonl"
    rm -rf "$work/run$round"
    say "round $round, load $(cut -d' ' -f1-3 /proc/loadavg): PyTorch"
    "$python" bench/peers/torch_kd_cached.py "$work/teacher" "$work/student" "$text" --steps "$steps" \
        --warmup $warmup --threads $threads >"$work/torch$round.json"
    round=$((round + 1))
done

"$python" - "$work" "$warmup" <<'PY'
import json
import statistics
import sys
from pathlib import Path

work, warmup = Path(sys.argv[1]), int(sys.argv[2])
ours, theirs, first_losses = [], [], []
for file in sorted(work.glob("retort*.jsonl")):
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    machine = lines[0]["machine"]
    run = [line for line in lines if "loss" in line and "tokens_per_s" in line]
    ours += [line["tokens_per_s"] for line in run[warmup:]]
    first_losses.append(run[0]["loss"])
for file in sorted(work.glob("torch*.json")):
    peer = json.loads(file.read_text())
    theirs += peer["tokens_per_s"]
    first_losses.append(peer["losses"][0])


def line(name, rates):
    return f"{name:8} {statistics.median(rates):7.0f} tokens/s, median of {len(rates)} steps ({min(rates):.0f} to {max(rates):.0f})"


print(f"{machine['cpu']}, {machine['isa']}, {machine['gemm']}, inputs {machine['compute']}; "
      f"torch {peer['torch']}, transformers {peer['transformers']}; {peer['parameters'] / 1e6:.1f} M parameters")
print(line("retort", ours))
print(line("PyTorch", theirs))
print(f"ratio    {statistics.median(ours) / statistics.median(theirs):7.2f}")
print("KL at the first step:", ", ".join(f"{loss:.3f}" for loss in first_losses))
PY
