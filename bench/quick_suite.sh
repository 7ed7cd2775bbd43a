#!/bin/sh
# bench/quick_suite.sh DATA MODEL [OUT]: the short suite - skills, bias, refusal, opinion, consistency - of one model, which
# is audited beside its teacher, and how long it took: both together, then the teacher alone, scored again, which must
# change nothing. Items are spread evenly over the files. DATA holds a folder for each set (docs/evaluation.md says what a
# row looks like). What OUT has already is not scored again.
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
# the same questions as ARC has them: the question alone, options under letters
python3 - "$data/arc_easy/arc_easy.jsonl" "$out/questions.jsonl" <<'EOF'
import json, sys
with open(sys.argv[1], encoding="utf-8") as rows, open(sys.argv[2], "w", encoding="utf-8") as out:
    for row in map(json.loads, rows):
        letters = "ABCDE"[:len(row["choices"])]
        out.write(json.dumps({"id": row["id"], "question": row["context"].removeprefix("Question: ").removesuffix("\nAnswer:"),
                              "choices": {"text": row["choices"], "label": list(letters)}, "answerKey": letters[row["gold"]]}) + "\n")
EOF
for form in words:100 order:40 opinion:100; do
    tasks="$tasks --task arc_easy_${form%:*}=$(some "${form#*:}" "$out/questions.jsonl")"
done

# timed NAME COMMAND...: says on standard error how long it took
timed() {
    name=$1 from=$(date +%s)
    shift
    "$@"
    echo "$name: $(($(date +%s) - from)) s" >&2
}
[ -d "$out/both" ] || {
    timed "both models, all tasks" "$retort" audit "$model" --against "$teacher" $tasks --save "$out/both.part" --json --quiet \
        >"$out/audit.json"
    mv "$out/both.part" "$out/both"
}
[ -f "$out/teacher.json" ] || {
    timed "the teacher alone" "$retort" audit "$teacher" --against "$out/both/teacher" $tasks --json --quiet >"$out/teacher.part"
    mv "$out/teacher.part" "$out/teacher.json"
}
timed "fidelity over ${KL_TOKENS:-16k} tokens" "$retort" eval "$model" --text "$here/../examples/data/books-valid.jsonl" \
    --against "$teacher" --max-tokens "${KL_TOKENS:-16k}" --json --quiet >"$out/fidelity.json"
"$retort" audit "$out/both/student" --against "$out/both/teacher" $tasks --quiet
