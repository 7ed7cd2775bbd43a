#!/usr/bin/env python3
"""tools/torch_stand_ins.py SITE_PACKAGES: lets torch run on a CPU without gigabytes of CUDA libraries.

The registry's torch for Linux is linked against cuBLAS, cuDNN and others of their kind. It never calls them where there
is no GPU, but the dynamic loader wants every name. So each library that is missing gets a small stand-in beside torch's
own: all the names, with their versions, that torch asks of it, and each one traps when called.
"""
import collections
import re
import subprocess
import sys
import tempfile
from pathlib import Path

FAMILY = re.compile(r"lib(cu|nccl|nvrtc|nvshmem)")
DRIVER = "libcuda.so.1"  # torch looks for it itself, and takes its absence for "no GPU"


def tool(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def needed_libraries(library):
    return re.findall(r"\(NEEDED\).*\[(.+)\]", tool("readelf", "--dynamic", library))


def needed_versions(library):
    """Symbol version -> file that has to define it."""
    versions = {}
    file = None
    for line in tool("readelf", "--version-info", library).splitlines():
        if found := re.search(r"\bFile: (\S+)", line):
            file = found[1]
        elif found := re.search(r"\bName: (\S+)", line):
            versions[found[1]] = file
    return versions


def undefined_symbols(library):
    """(name, version or '') of each."""
    return re.findall(r" U ([A-Za-z_]\w*)(?:@+(\S+))?$", tool("nm", "--dynamic", library), re.MULTILINE)


def wanted(libraries, present):
    """Missing library -> the (name, version) pairs asked of it. A name without version may come from any of them."""
    missing = collections.defaultdict(set)
    free = set()
    for library in libraries:
        for name in needed_libraries(library):
            if FAMILY.match(name) and name not in present and name != DRIVER:
                missing[name] |= set()
        versions = needed_versions(library)
        for symbol, version in undefined_symbols(library):
            if versions.get(version) in missing:
                missing[versions[version]].add((symbol, version))
            elif not version and re.match(r"cu|nccl|nv", symbol):
                free.add((symbol, ""))
    if missing:
        missing[min(missing)] |= free
    return missing


def build(path, symbols):
    source = "".join(f"void {name}(void);\nvoid {name}(void) {{ __builtin_trap(); }}\n" for name, _ in sorted(symbols))
    script = ""
    for version in sorted({version for _, version in symbols if version}):
        names = "".join(f" {name};" for name, v in sorted(symbols) if v == version)
        script += f"{version} {{{names} }};\n"
    with tempfile.TemporaryDirectory() as folder:
        c, versions = Path(folder, "stand_in.c"), Path(folder, "versions")
        c.write_text(source)
        versions.write_text(script)
        options = [f"-Wl,--version-script={versions}"] if script else []
        tool("gcc", "-shared", "-fPIC", "-fno-builtin", "-o", path, c, f"-Wl,-soname,{path.name}", *options)


def main():
    site = Path(sys.argv[1])
    folder = site / "torch" / "lib"
    libraries = sorted(folder.glob("*.so*"))
    present = {path.name for path in site.rglob("*.so*")}
    missing = wanted(libraries, present)
    for name, symbols in sorted(missing.items()):
        build(folder / name, symbols)
    print(f"stand-ins for {len(missing)} libraries: {', '.join(sorted(missing)) or 'none needed'}")


if __name__ == "__main__":
    main()
