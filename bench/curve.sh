#!/bin/sh
# bench/curve.sh: how near half of the teacher's layers come to it, token by token of training. One cut of fifteen layers
# learns from draws of the teacher (forward KL) for each of TOKENS, and as its twin, on the same text and schedule, from
# the text alone (cross-entropy); each run is a whole schedule of its own, warmed up and let down to zero. Prints held-out
# KL, perplexity beside the teacher's, agreement and acceptance (alpha), the seconds of each, and the law
# KL = floor + a * tokens^-b fitted to the runs. Students stay in WORK/LOSS-TOKENS.student. What WORK has already is not made
# again.
#   RETORT=PROGRAM  TEXT="examples/data/books.jsonl"  TOKENS="50k 100k 200k 400k 800k"  TWINS="50k 200k 800k"
#   LAYERS=15  BATCH=2k (tokens a step)  HELD_OUT=16k (tokens)  WORK=FOLDER
set -eu
cd "$(dirname "$0")/.."
. bench/common.sh

tokens=${TOKENS:-50k 100k 200k 400k 800k}
twins=${TWINS-50k 200k 800k}
held_out=${HELD_OUT:-16k}
work=${WORK:-build/bench-curve}
mkdir -p "$work"

[ -f "$work/cut/config.json" ] || "$retort" init "$teacher" -o "$work/cut" --layers "${LAYERS:-15}" \
    --ranking examples/rankings/smollm2-135m-instruct.json --quiet
# As many positions as the longest run asks for, or the whole text.
for longest in $tokens; do :; done
[ -f "$work/cache/cache.json" ] || "$retort" collect "$teacher" --text ${TEXT:-examples/data/books.jsonl} \
    --tokens "$longest" --quiet -o "$work/cache"

# student LOSS TOKENS
student() {
    [ -f "$work/$1-$2.json" ] && return
    "$retort" train "$work/cut" --cache "$work/cache" --loss "$1" --tokens "$2" --batch-tokens "${BATCH:-2k}" --quiet \
        -o "$work/run-$1-$2"
    cp "$work/run-$1-$2/metrics.jsonl" "$work/$1-$2.metrics.jsonl"
    judge "$work/$1-$2" "$work/run-$1-$2/student" "$held_out"
    rm -rf "$work/$1-$2.student"
    mv "$work/run-$1-$2/student" "$work/$1-$2.student"
    rm -r "$work/run-$1-$2"
}

judge "$work/cut" "$work/cut" "$held_out"
for n in $tokens; do
    student forward_kl "$n"
done
for n in $twins; do
    student ce "$n"
done
python3 bench/curve.py "$work"
