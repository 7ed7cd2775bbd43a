#!/bin/sh
# tools/setup-peers.sh: a Python environment with what others use for the same work (PyTorch, transformers, gguf), in
# build/interop-venv: 600 MB to fetch, 1.7 GB on disk. $RETORT_PEERS names one that is there already instead.
# Versions: packaging/peers-requirements.txt. Can be stopped and run again: packages that arrived whole are kept in
# build/peers-wheels until the environment works, the one that broke off starts over, for pip keeps no part of it.
set -eu
cd "$(dirname "$0")/.."

list=packaging/peers-requirements.txt
venv=${RETORT_PEERS:-build/interop-venv}
wheels=build/peers-wheels

say() { printf '%s\n' "peers: $*"; }
die() { printf '%s\n' "peers: $*" >&2; exit 1; }

# works VENV: everything imports, and torch computes
works() {
    "$1/bin/python" - 2>&1 <<'PY'
import gguf, numpy, safetensors, tokenizers, torch, transformers
weight = torch.ones(64, 64, requires_grad=True)
with torch.autocast("cpu", dtype=torch.bfloat16):
    loss = (torch.ones(8, 64) @ weight).float().sum()
loss.backward()
torch.optim.AdamW([weight], fused=True).step()
assert loss.item() == 8 * 64 * 64
print(f"torch {torch.__version__}, transformers {transformers.__version__}")
PY
}

if [ -n "${RETORT_PEERS:-}" ]; then
    versions=$(works "$venv") || die "RETORT_PEERS is '$venv', but it does not work:
$versions"
    say "$venv is ready: $versions"
    exit 0
fi
if cmp -s "$list" "$venv/requirements.txt" && [ -x "$venv/bin/python" ]; then # copied there once it has worked
    say "$venv is ready"
    exit 0
fi

python=/usr/bin/python3
[ -x "$python" ] || python=python3
say "making $venv"
rm -rf "$venv"
"$python" -m venv "$venv" || die "cannot make '$venv': install python3-venv (tools/setup.sh packaging/apt-packages-interop.txt does)"
pip() { # subcommand, options...: pip that leaves nothing outside build/
    TMPDIR=$PWD/$wheels/tmp "$venv/bin/python" -m pip "$@" --quiet --disable-pip-version-check --no-cache-dir --no-deps
}
say "downloading what $list names, about 600 MB, less what $wheels has"
rm -rf "$wheels/tmp"
mkdir -p "$wheels/tmp" "$wheels/done"
sed 's/[[:space:]]*#.*//; /^$/d' "$list" >"$wheels/list"
while read -r package; do
    [ ! -e "$wheels/done/$package" ] || continue
    pip download --retries 10 --dest "$wheels" "$package" </dev/null ||
        die "cannot download $package: run again to go on with it; the packages before it are kept"
    touch "$wheels/done/$package"
done <"$wheels/list"
say "installing"
pip install --no-compile --no-index --find-links "$wheels" -r "$list" || die "pip cannot install $list"
"$python" tools/torch_stand_ins.py "$venv"/lib/python3*/site-packages || die "torch's missing libraries cannot be stood in for"
versions=$(works "$venv") || die "'$venv' does not work:
$versions"
cp "$list" "$venv/requirements.txt"
rm -rf "$wheels"
say "$venv is ready: $versions"
