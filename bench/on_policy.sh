#!/bin/sh
# What an on-policy phase adds after an off-policy one: KL on text that the student writes itself, before and after,
# beside the same operations spent on more of the old text (docs/results.md, docs/on-policy.md).
#
# Said before the run: three seeds; the phase may cost at most a tenth of the operations before it; it counts as a gain
# if the reverse KL on the student's own text falls by at least 10 % in the mean over seeds, and in every seed by more
# than in the control.
#
# usage: bench/on_policy.sh [OUT]     OUT: default build/on-policy; what is there already is not done again
# RETORT, LAUNCH (a prefix of every command, e.g. "nice"), SEEDS
set -eu
cd "$(dirname "$0")/.."
out=${1:-build/on-policy}
retort=${RETORT:-build/release/retort}
launch=${LAUNCH:-}
teacher=models/SmolLM2-135M-Instruct.Q4_1.gguf
text=examples/data/books.jsonl
mkdir -p "$out"

# Eight of thirty layers, 250 k tokens of the teacher's draws, 300 k tokens of training: 340 MFLOP a token to train, 269
# for the teacher: 170 TFLOP.
[ -d "$out/student" ] || $launch "$retort" init $teacher -o "$out/student" --layers 8 \
    --ranking examples/rankings/smollm2-135m-instruct.json
$launch "$retort" collect $teacher --text $text -o "$out/cache" --tokens 250k

# Four places in each held-out passage.
python3 - "$out/prompts.jsonl" <<'EOF'
import json, sys
with open("examples/data/books-valid.jsonl", encoding="utf-8") as rows, open(sys.argv[1], "w", encoding="utf-8") as out:
    for row in map(json.loads, rows):
        words = row["text"].split(" ")
        for part in range(4):
            begin = part * len(words) // 4
            out.write(json.dumps({"id": f"{row['id']}/{part}", "title": row["title"], "text": " ".join(words[begin:begin + 150])}) + "\n")
EOF

# measure STUDENT NAME SEED
measure() {
    [ -s "$out/$2.json" ] || { $launch "$retort" eval "$1" --prompts "$out/prompts.jsonl" --against $teacher \
        --seed "$3" --json >"$out/part" && mv "$out/part" "$out/$2.json"; }
    [ -s "$out/$2.text.json" ] || { $launch "$retort" eval "$1" --text examples/data/books-valid.jsonl --against $teacher \
        --max-tokens 8k --json >"$out/part" && mv "$out/part" "$out/$2.text.json"; }
}

# phase NAME SEED OPTION...: on from the student of off-SEED
phase() {
    name=$1-$2
    seed=$2
    shift 2
    [ -d "$out/$name/student" ] || $launch "$retort" train "$out/off-$seed/student" --teacher $teacher --text $text \
        --batch-tokens 1024 --lr 2e-4 --warmup 2 -s "$seed" -o "$out/$name" "$@"
    measure "$out/$name/student" "$name" "$seed"
}

for seed in ${SEEDS:-1 2 3}; do
    [ -d "$out/off-$seed/student" ] || $launch "$retort" train "$out/student" --cache "$out/cache" --tokens 300k \
        --batch-tokens 2048 --lr 6e-4 -s "$seed" -o "$out/off-$seed"
    measure "$out/off-$seed/student" "off-$seed" "$seed"
    # 340 + 269 + at most 113 for writing: 14 TFLOP of 20 k tokens, 8.5 % of what was before
    phase on "$seed" --on-policy 1 --loss reverse_kl --tokens 20k
    # as many operations without writing
    phase more "$seed" --loss forward_kl --tokens 23700
done

python3 - "$out" ${SEEDS:-1 2 3} <<'EOF'
import json, statistics, sys
out, *seeds = sys.argv[1:]
def read(name, seed, kind, key):
    with open(f"{out}/{name}-{seed}{kind}.json", encoding="utf-8") as f:
        return json.load(f)[key]["mean"]
for kind, key, what in (("", "reverse_kl", "own text, reverse KL"), ("", "kl", "own text, KL"), ("", "nll", "own text, entropy (nll)"),
                        (".text", "kl", "held-out text, KL"), (".text", "nll", "held-out text, nll")):
    print(what)
    before = [read("off", s, kind, key) for s in seeds]
    for name in ("off", "more", "on"):
        v = [read(name, s, kind, key) for s in seeds]
        change = [100 * (a / b - 1) for a, b in zip(v, before)]
        spread = statistics.stdev(change) if len(seeds) > 1 else float("nan")
        print(f"  {name:5s} {statistics.mean(v):.4f}  {statistics.mean(change):+6.1f} % ± {spread:.1f} (s.d.)  by seed: "
              + ", ".join(f"{x:.4f}" for x in v))
EOF
