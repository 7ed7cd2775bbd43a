#!/bin/sh
# How near a training step is to its bare matrix products for the layers of several families, as one table: the example
# teacher, Gemma 3 270M, and models of random weights in published widths (random_model.py). `make && make fetch` first.
# About a minute each on a quiet machine; OUT (build/shapes) keeps the random models.
set -eu
cd "$(dirname "$0")/.."
out=${OUT:-build/shapes}
retort=${RETORT:-build/release/retort}

measure() {
    "$retort" bench "$2" --quick --quiet --json | python3 -c '
import json, sys
b = json.load(sys.stdin)
cells = (sys.argv[1], b["student_layers"], b["step_tokens"], b["step_seconds"], b["gemm_seconds"], b["step_over_gemm"])
print("| %s | %d | %d | %.2f | %.2f | %.2f |" % cells)' "$1"
}

echo "load: $(cut -d ' ' -f 1-3 /proc/loadavg)"
echo "| layers of | student's layers | tokens | step, s | its products, s | ratio |"
echo "|---|---|---|---|---|---|"
measure SmolLM2-135M models/SmolLM2-135M-Instruct.Q4_1.gguf
measure "Gemma 3 270M" models/gemma-3-270m.Q4_K_M.gguf
for shape in qwen3-0.6b gemma-3-1b; do
    [ -f "$out/$shape/model.safetensors" ] || python3 bench/random_model.py "$shape" "$out/$shape"
    measure "$shape" "$out/$shape"
done
echo "load: $(cut -d ' ' -f 1-3 /proc/loadavg)"
