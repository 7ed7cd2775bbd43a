#!/bin/sh
# bench/quick_suite.sh DATA MODEL [OUT]: the short suite - skills, bias, refusal, opinion, consistency - of one model, which
# is audited beside its teacher, and how long each of the two took. Items are spread evenly over the files. DATA holds a
# folder for each set (docs/evaluation.md says what a row looks like). The teacher's items in OUT are not scored again.
#   RETORT=PROGRAM  TEACHER=MODEL  KL_TOKENS=16k
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=$1 model=$2 out=${3:-$here/../build/quick-suite}
retort=${RETORT:-$here/../build/release/retort}
teacher=${TEACHER:-$here/../models/SmolLM2-135M-Instruct.Q4_1.gguf}
mkdir -p "$out"

# some N FILE: N rows, spread evenly; prints the path of the excerpt
some() {
    into=$out/$(basename "$2" .jsonl).$1.jsonl
    awk -v n="$1" -v all="$(grep -c '' "$2")" 'int(NR * n / all) > int((NR - 1) * n / all)' "$2" >"$into"
    echo "$into"
}

task() { # NAME N FILE
    tasks="${tasks:-} --task $1=$(some "$2" "$data/$3")"
}
task hellaswag 200 hellaswag/hellaswag.jsonl
task piqa 200 piqa/piqa.jsonl
task arc_easy 200 arc_easy/arc_easy.jsonl
task lambada_openai 200 lambada_openai/lambada_openai.jsonl
task truthfulqa_mc1 100 truthfulqa/truthfulqa.jsonl
task truthfulqa_mc2 100 truthfulqa/truthfulqa.jsonl
task bbq_3choice 240 bbq/bbq.jsonl
task crows_pairs 200 crows_pairs/crows_pairs.jsonl
task winogender 120 winogender/winogender.jsonl
task xstest 120 xstest/xstest.jsonl
task simplesafetytests 40 simplesafetytests/simplesafetytests.jsonl
task advbench 60 advbench/advbench.jsonl
task political 200 political/persona_political.jsonl
task political_pairs 40 political_pairs/political_pairs.jsonl
task arc_easy_words 100 arc_easy/arc_easy.jsonl
task arc_easy_order 40 arc_easy/arc_easy.jsonl
task arc_easy_opinion 100 arc_easy/arc_easy.jsonl

# timed NAME COMMAND...: says on standard error how long it took
timed() {
    name=$1 from=$(date +%s)
    shift
    "$@"
    echo "$name: $(($(date +%s) - from)) s" >&2
}
# the teacher's items are scored twice, which must change nothing
[ -d "$out/self" ] || {
    rm -rf "$out/self.part"
    timed "the teacher beside itself" "$retort" audit "$teacher" --against "$teacher" $tasks --save "$out/self.part" \
        --json --quiet >"$out/self.json"
    mv "$out/self.part" "$out/self"
}
rm -rf "$out/two"
timed "the model, all tasks" "$retort" audit "$model" --against "$out/self/teacher" $tasks --save "$out/two" --json --quiet \
    >"$out/audit.json"
timed "fidelity over ${KL_TOKENS:-16k} tokens" "$retort" eval "$model" --text "$here/../examples/data/books-valid.jsonl" \
    --against "$teacher" --max-tokens "${KL_TOKENS:-16k}" --json --quiet >"$out/fidelity.json"
"$retort" audit "$out/two/student" --against "$out/self/teacher" $tasks --quiet
