# common.sh: what the measurements share; read by them at the root of the checkout.
#   RETORT=PROGRAM

retort=${RETORT:-build/release/retort}
teacher=models/SmolLM2-135M-Instruct.Q4_1.gguf

[ -x "$retort" ] || { echo "'$retort' does not exist: run make" >&2; exit 1; }
[ -f "$teacher" ] || { echo "'$teacher' does not exist: run make fetch" >&2; exit 1; }

# judge NAME MODEL TOKENS [OPTION...]: into NAME.json, once, what so many held-out tokens say of the model beside its teacher
judge() {
    [ -f "$1.json" ] && return
    judged=$1 model=$2 most=$3
    shift 3
    "$retort" eval "$model" --text examples/data/books-valid.jsonl --against "$teacher" --max-tokens "$most" "$@" --json \
        --quiet >"$judged.part"
    mv "$judged.part" "$judged.json"
}
