#!/usr/bin/env python3
"""What the sources must not contain:
  - the C heap, unchecked string calls, exits and prints to standard output, outside the few places that own them
  - a second maker of rt_permit: only src/record/gate.c knows its body
  - files in src/ of more than 600 lines
  - download addresses in scripts and build files: packages come from the registries' own clients
`--self-test` shows that each would be noticed."""
import re
import sys

import lint

HEAP = "malloc calloc realloc free strdup strndup asprintf vasprintf posix_memalign aligned_alloc".split()
STRINGS = "strcpy strcat stpcpy sprintf vsprintf gets atoi atol atoll atof strtok".split()
LEAVING = "exit _exit quick_exit abort".split()
PRINTS = "printf vprintf puts putchar".split()

# (file or directory, calls it may make): who owns them.
ALLOWED = [
    ("src/core/mem.c", HEAP),                # the one door to the heap
    ("src/core/file_hash.c", ["free"]),      # what realpath() returned
    ("src/core/err.c", ["abort"]),           # rt_bug_at
    ("src/cli", LEAVING + PRINTS),           # the program talks and leaves
]

CALL = re.compile(r"(?<![\w.>])(" + "|".join(HEAP + STRINGS + LEAVING + PRINTS) + r")\s*\(")
STDOUT = re.compile(r"\bstdout\b")
NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
PERMIT = [
    (re.compile(r"\bstruct\s+rt_permit\s*\{"), "only gate.c knows the body of rt_permit"),
    (re.compile(r"\(\s*(?:struct\s+)?rt_permit\s*\*\s*\)"), "nothing is cast to an rt_permit"),
    (re.compile(r"\brt_permit\b[^;]*=\s*rt_(?:malloc|calloc|realloc|arena_alloc)\b"), "only gate.c makes an rt_permit"),
    (re.compile(r"^(?:static\s+)?(?:struct\s+)?rt_permit\s*\*+\s*\w+\(", re.M), "only gate.c returns a new rt_permit"),
]
GATE = "src/record/gate.c"
MAX_LINES = 600
ADDRESS = re.compile(r"\bhttps?://")
SCRIPT_NAMES = {"quickstart", "check", "CMakeLists.txt", "CMakePresets.json", "Makefile"}
SCRIPT_SUFFIXES = {".sh", ".cmake"}
OUTSIDE = {".git", "build", "models", "runs"}


def code_only(text):
    """Comments and literals blanked out, lines kept."""
    return NOISE.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def permitted(place, call):
    return any((place == owner or place.startswith(owner + "/")) and call in calls for owner, calls in ALLOWED)


def check_source(place, text):
    code = code_only(text)
    found = []
    for match in CALL.finditer(code):
        if not permitted(place, match.group(1)):
            found.append((match.start(), f"{match.group(1)}() is banned here"))
    if not permitted(place, "printf"):
        found += [(m.start(), "standard output belongs to the program, not to the library") for m in STDOUT.finditer(code)]
    if place != GATE:
        found += [(m.start(), words) for pattern, words in PERMIT for m in pattern.finditer(code)]
    faults = [f"{place}:{code.count(chr(10), 0, at) + 1}: {words}" for at, words in sorted(found)]
    lines = text.count("\n")
    if lines > MAX_LINES:
        faults.append(f"{place}: {lines} lines, more than {MAX_LINES}")
    return faults


def is_script(place):
    return place.name in SCRIPT_NAMES or place.suffix in SCRIPT_SUFFIXES or place.parts[0] == ".ci"


def check(root):
    faults = []
    for path in sorted((root / "src").rglob("*")):
        if path.suffix in {".c", ".h", ".def", ".inc"}:
            faults += check_source(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))
    for path in sorted(root.rglob("*")):
        place = path.relative_to(root)
        if place.parts[0] in OUTSIDE or not path.is_file() or not is_script(place):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if ADDRESS.search(line):
                faults.append(f"{place}:{number}: a download address")
    return faults


def self_test():
    good = {
        "src/core/mem.c": "void f(void) { free(p); }\n",
        "src/cli/main.c": 'int main(void) { printf("x"); exit(0); }\n',
        "src/text/a.c": '/* malloc( */ const char *s = "free("; void g(void) { rt_free(p); p->free(q); }\n',
        "src/record/gate.c": "struct rt_permit { int a; };\nstatic rt_permit *permit_new(void)\n{\n}\n",
        "src/teacher/a.c": "void use(const rt_permit *p);\nconst rt_permit *view(void);\n",
        "tools/a.sh": "echo none\n",
    }
    bad = {
        "malloc() is banned": ("src/text/b.c", "void *p = malloc(3);\n"),
        "exit() is banned": ("src/flow/b.c", "\n\nexit(1);\n"),
        "sprintf() is banned": ("src/core/b.c", "sprintf(a, b);\n"),
        "atoi() is banned": ("src/cli/b.c", "atoi(a);\n"),
        "printf() is banned": ("src/report/b.c", "printf(a);\n"),
        "standard output": ("src/audit/b.c", "fprintf(stdout, a);\n"),
        "the body of rt_permit": ("src/teacher/b.c", "struct rt_permit {\n int a;\n};\n"),
        "cast to an rt_permit": ("src/teacher/c.c", "use((rt_permit *)p);\n"),
        "makes an rt_permit": ("src/teacher/d.c", "rt_permit *p = rt_calloc(1, 64);\n"),
        "returns a new": ("src/flow/d.c", "rt_permit *forge(void);\n"),
        "601 lines": ("src/train/long.c", "\n" * 601),
        "download address": ("tools/b.sh", "curl https" + "://example.org/x\n"),
    }
    lint.prove(check, good, bad)


if __name__ == "__main__":
    sys.exit(lint.main(check, self_test, "nothing banned found"))
