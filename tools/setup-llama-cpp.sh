#!/bin/sh
# tools/setup-llama-cpp.sh: a real llama.cpp to compare with. Debian 12 has none, so the packages of a later Debian
# release are fetched from this machine's own mirror (signatures checked) and unpacked into a tree of their own:
# build/llama, or $RETORT_LLAMA_CHROOT. Nothing is installed and no root is needed; programs of the tree run under its
# own dynamic loader. A chroot of such a release with llama.cpp installed will do as well.
set -eu
cd "$(dirname "$0")/.."

release=forky
packages="llama.cpp-tools llama.cpp-tools-extra"
tree=${RETORT_LLAMA_CHROOT:-build/llama}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

say() { printf '%s\n' "llama.cpp: $*"; }
die() { printf '%s\n' "llama.cpp: $*" >&2; exit 1; }

# answers TREE: its llama-server runs and says what it is
answers() {
    for loader in "$1"/usr/lib*/ld-linux-*.so.*; do
        for libraries in "$1"/usr/lib/*-linux-gnu; do
            "$loader" --library-path "$libraries:$libraries/llama" "$1/usr/bin/llama-server" --version 2>&1 && return 0
        done
    done
    return 1
}

if version=$(answers "$tree"); then
    say "$tree is ready: $(printf '%s\n' "$version" | grep -m 1 version || echo 'version unknown')"
    exit 0
fi
[ -z "${RETORT_LLAMA_CHROOT:-}" ] || [ -z "$(ls -A "$tree" 2>/dev/null)" ] ||
    die "RETORT_LLAMA_CHROOT is '$tree', but no llama-server runs there:
$version"

# The main archive where apt has read its Release file, else whatever comes first.
mirror=$(apt-get indextargets --format '$(CREATED_BY) $(REPO_URI) $(ORIGIN) $(LABEL)' | awk '
    $1 == "Packages" && !first { first = $2 }
    $1 == "Packages" && $3 == "Debian" && $4 == "Debian" && !main { main = $2 }
    END { print main ? main : first }')
[ -n "$mirror" ] || die "apt knows no mirror: run apt-get update"
[ -f "$keyring" ] || die "'$keyring' is missing: install debian-archive-keyring"

mkdir -p "$tree"
part=$(cd "$tree/.." && pwd)/llama.tmp.$$
trap 'rm -rf "$part"' EXIT
mkdir -p "$part/apt/lists/partial" "$part/apt/archives/partial" "$part/apt/parts" "$part/tree"

# An apt of its own, for which nothing is installed yet. A mirror may be frozen at a day, so old lists are valid.
: >"$part/apt/status"
echo "deb [signed-by=$keyring] $mirror $release main" >"$part/apt/sources.list"
cat >"$part/apt/apt.conf" <<CONF
Dir::State "$part/apt";
Dir::State::status "$part/apt/status";
Dir::Cache "$part/apt";
Dir::Etc::sourcelist "$part/apt/sources.list";
Dir::Etc::sourceparts "$part/apt/parts";
Dir::Etc::preferences "$part/apt/none";
Dir::Etc::preferencesparts "$part/apt/parts";
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
Debug::NoLocking "true";
CONF
say "fetching $packages of Debian $release, about 30 MB"
# shellcheck disable=SC2086 # the list is words
{
    apt-get -qq -c "$part/apt/apt.conf" update &&
        apt-get -qq -y -c "$part/apt/apt.conf" install --download-only $packages
} >"$part/log" 2>&1 || { cat "$part/log" >&2; die "cannot fetch $packages of Debian $release"; }

say "unpacking into $tree"
for package in "$part"/apt/archives/*.deb; do
    dpkg-deb -x "$package" "$part/tree"
done
version=$(answers "$part/tree") || die "the unpacked llama-server does not run:
$version"
rm -rf "$tree"
mv "$part/tree" "$tree"
say "$tree is ready: $(printf '%s\n' "$version" | grep -m 1 version || echo 'version unknown')"
