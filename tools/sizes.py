#!/usr/bin/env python3
"""Lines a file and a module, largest files first; files on the way to the limit of 600 are marked."""
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
PARTS = ["include/retort"] + [f"src/{m}" for m in
         "core format record text tensor model infer teacher audit train report flow cli".split()] + ["tests", "fuzz", "tools"]
SUFFIXES = {".c", ".h", ".def", ".py", ".sh"}


def main():
    total = 0
    for part in PARTS:
        sizes = {p: len(p.read_text(encoding="utf-8").splitlines())
                 for p in (ROOT / part).rglob("*") if p.suffix in SUFFIXES}
        if not sizes:
            continue
        total += sum(sizes.values())
        print(f"{sum(sizes.values()):7d}  {part}  ({len(sizes)} files)")
        for path, n in sorted(sizes.items(), key=lambda item: -item[1]):
            mark = "  <- split?" if n > 400 and part.startswith("src") else ""
            print(f"{n:9d}  {path.relative_to(ROOT / part)}{mark}")
    print(f"{total:7d}  in all")


if __name__ == "__main__":
    main()
