#!/usr/bin/env python3
"""Writes docs/cli.md from the program's own --help, so that neither can say what the other does not.
usage: gen_cli_docs.py RETORT [--check]    --check: only say whether the page is current"""
import pathlib
import re
import subprocess
import sys

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "cli.md"
COMMON = ("json", "threads", "seed", "precision", "quiet", "help")

HEAD = """# Commands

This page is made from the program's own help by `tools/gen_cli_docs.py`; change the help, not the page.

MODEL is a GGUF file, a safetensors file with its `config.json` beside it, or a folder in the Hugging Face layout. Messages go to
standard error, results to standard output: for people, or with `--json` one JSON object (`eval` with a text and a task: one each, a line
apiece). A refusal is one line that names file,
place, cause and, where there is one, the remedy.

| exit code | meaning |
|---|---|
| 0 | done |
| 2 | the command line or a recipe is wrong |
| 3 | bad input: a file is missing, damaged, or of a kind that is not supported |
| 4 | the licence gate refuses |
| 5 | memory, disk, or writing failed |
| 6 | numbers: not finite, or a training that cannot learn |
| 7 | a remote teacher failed |
| 10 | a finding: a cache, an audit, a teacher's fast path or a retained behaviour that does not hold |
| 11 | too little data to say (of the library's; no command ends with it yet) |
| 70 | an error of retort itself |
| 130, 143 | interrupted, after saving |
"""


def help_of(retort, *command):
    return subprocess.run([retort, *command, "--help"], check=True, capture_output=True, text=True, timeout=60).stdout


def split_options(text):
    """The help's text, its own options, and those that every command has."""
    lines = text.splitlines()
    is_option = re.compile(r"^  (?:-\w, |    )--([\w-]+) ")
    own = [line for line in lines if (m := is_option.match(line)) and m.group(1) not in COMMON]
    common = [line for line in lines if (m := is_option.match(line)) and m.group(1) in COMMON]
    prose = [line for line in lines if not is_option.match(line)]
    return "\n".join(prose).strip(), own, common


def section(name, text):
    head, own, common = split_options(text)
    usage, _, rest = head.partition("\n\n")
    prose, _, examples = rest.partition("\nexample: ")
    about = prose.strip()
    parts = [f"\n## {name}\n", f"```\n{usage.removeprefix('usage: ')}\n```\n", about + "\n"]
    if examples:
        parts.append("```\n" + "\n".join(line[10:] for line in ("example: " + examples).rstrip().splitlines()) + "\n```\n")
    if own:
        parts.append("```\n" + "\n".join(line.rstrip() for line in own) + "\n```\n")
    return "\n".join(parts), common


def page(retort):
    names = re.findall(r"^  (\w+) {2,}", help_of(retort), re.M)
    sections = [section(name, help_of(retort, name)) for name in names]
    common = sections[0][1]
    every = "\n## Options of every command\n\n```\n" + "\n".join(line.rstrip() for line in common) + "\n```\n"
    return HEAD + every + "".join(text for text, _ in sections)


def main():
    if len(sys.argv) not in (2, 3) or (len(sys.argv) == 3 and sys.argv[2] != "--check"):
        sys.exit(__doc__)
    text = page(sys.argv[1])
    if len(sys.argv) == 2:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        sys.exit(f"docs/cli.md is not what the program says; run: python3 tools/gen_cli_docs.py {sys.argv[1]}")


if __name__ == "__main__":
    main()
