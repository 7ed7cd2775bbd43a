#!/bin/sh
# usage: pack.sh DIR: makes tests/golden/golden.tar.xz of all that is in DIR; the same files give the same bytes.
# To change a fixture: `tar -xJf tests/golden/golden.tar.xz -C DIR`, change it there, pack.
set -eu
if [ $# != 1 ] || [ ! -d "$1" ]; then
    echo "usage: pack.sh DIR" >&2
    exit 2
fi
out=$(dirname "$0")/../golden.tar.xz

# Most of it is floats: literals are told apart by their place within eight bytes (lp, pb) rather than by what
# precedes them (lc).
trap 'rm -f "$out.part"' EXIT
find "$1" -mindepth 1 -maxdepth 1 -printf '%f\0' | LC_ALL=C sort -z |
    tar -C "$1" --null --files-from=- --format=ustar --sort=name --mode=u=rwX,go=rX --owner=0 --group=0 \
        --numeric-owner --mtime=@946684800 -cf - |
    xz --threads=1 --lzma2=preset=9e,lc=1,lp=3,pb=3 >"$out.part"
mv "$out.part" "$out"
