#!/usr/bin/env python3
"""Holds the sources to the one-way order of modules: a file includes headers of its own module and of modules to
the left of it. Public headers (include/retort/) include only each other. `--self-test` shows that it would notice."""
import re
import sys

import lint

ORDER = "core format record text tensor model infer teacher audit train report flow cli".split()
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<(retort/[^>]+)>)')
SUFFIXES = {".c", ".h", ".def", ".inc"}


def fault(root, path, module, target):
    """What is wrong with `module` including `target`; None when nothing is."""
    head = target.split("/")[0]
    if head == "retort":
        return None if (root / "include" / target).is_file() else "no such public header"
    if module is None:
        return "a public header includes public headers only"
    if "/" not in target or head not in ORDER:
        return "name it as \"module/file.h\" with a module of " + " < ".join(ORDER)
    if ORDER.index(head) > ORDER.index(module):
        return f"'{head}' is to the right of '{module}'"
    # Headers made from data files (.inc) lie in the build directory.
    if not target.endswith(".inc") and not (root / "src" / target).is_file():
        return "no such header"
    return None


def check(root):
    faults = []
    for path in sorted(p for top in ("src", "include") for p in (root / top).rglob("*") if p.suffix in SUFFIXES):
        place = path.relative_to(root)
        module = place.parts[1] if place.parts[0] == "src" else None
        if module is not None and module not in ORDER:
            faults.append(f"{place}: '{module}' is no module of {' < '.join(ORDER)}")
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            what = match and fault(root, path, module, match.group(1) or match.group(2))
            if what:
                faults.append(f"{place}:{number}: {line.strip()}: {what}")
    return faults


def self_test():
    good = {
        "include/retort/base.h": "#include <stddef.h>\n",
        "src/core/a.h": "#include <retort/base.h>\n",
        "src/core/a.c": '#include "core/a.h"\n#include <stdio.h>\n',
        "src/text/b.c": '#include "core/a.h"\n',
        "src/text/data.c": '#include "text/table.json.inc"\n',
        "src/tensor/kernels/k.c": '#include "core/a.h"\n',
    }
    bad = {
        "to the right": ("src/core/wrong.c", '#include "text/b.h"\n'),
        "with a module": ("src/text/wrong.c", '#include "b.h"\n'),
        "no such header": ("src/text/wrong2.c", '#include "core/none.h"\n'),
        "no such public": ("src/text/wrong3.c", "#include <retort/none.h>\n"),
        "public headers only": ("include/retort/wrong.h", '#include "core/a.h"\n'),
        "is no module": ("src/misc/wrong.c", "\n"),
    }
    lint.prove(check, good, bad)


if __name__ == "__main__":
    sys.exit(lint.main(check, self_test, "every include points left"))
