#!/usr/bin/env python3
"""Links of the tree's pages (*.md) to files of the tree must lead somewhere, and to headings that are there.
`--self-test` shows that a dead one would be noticed."""
import pathlib
import re
import sys
import tempfile

import lint

OUTSIDE = {".git", "build", "models", "runs"}
CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`", re.S | re.M)
LINK = re.compile(r'''\[[^\]]*\]\(<?([^()\s>]+)>?(?:\s+"[^"]*")?\)         # [text](link "title")
                      |^\s*\[[^\]]+\]:\s*(\S+)                              # [text]: link
                      |<(?:img|a)\b[^>]*?(?:src|href)="([^"]+)"''', re.M | re.X)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.I)
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.M)


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def anchors(page):
    """Names of a page's headings: lower case, signs dropped, spaces as hyphens, a number after the second of a name."""
    seen, names = {}, set()
    text = re.sub(r"^(```|~~~).*?^\1", blank, page.read_text(encoding="utf-8"), flags=re.S | re.M)
    for heading in HEADING.findall(text):
        name = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        names.add(f"{name}-{seen[name]}" if name in seen else name)
        seen[name] = seen.get(name, 0) + 1
    return names


def fault_of(root, page, link):
    path, _, anchor = link.partition("#")
    target = (root / path.lstrip("/") if path.startswith("/") else page.parent / path) if path else page
    if not target.resolve().is_relative_to(root.resolve()):
        return "leads out of the tree"
    if not target.exists():
        return "does not exist"
    if anchor and target.suffix == ".md" and anchor not in anchors(target):
        return "names no heading of that page"
    return None


def check(root):
    faults = []
    for page in sorted(root.rglob("*.md")):
        place = page.relative_to(root)
        if place.parts[0] in OUTSIDE:
            continue
        text = CODE.sub(blank, page.read_text(encoding="utf-8"))
        for match in LINK.finditer(text):
            link = next(filter(None, match.groups()))
            fault = None if ELSEWHERE.match(link) else fault_of(root, page, link)
            if fault:
                faults.append(f"{place}:{text.count(chr(10), 0, match.start(match.lastindex)) + 1}: '{link}' {fault}")
    return faults


def self_test():
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        (root / "docs").mkdir()
        (root / "docs/b.md").write_text("# One, two `three`\n## Again\n## Again\n[up](../a.md#top) [root](/a.md)\n")
        good = ("# Top\n[b](docs/b.md) [b](docs/b.md#one-two-three) [b](docs/b.md#again-1) [web](https://example.org/x)\n"
                "![picture](docs/p.png \"title\") [folder](docs) [here](#top) `[code](none.md)`\n```\n[code](none.md)\n```\n[r]: docs/b.md\n")
        (root / "docs/p.png").write_text("")
        (root / "a.md").write_text(good)
        assert check(root) == [], check(root)
        for link, words in {"none.md": "does not exist", "docs/b.md#three": "no heading", "#none": "no heading",
                            "../x.md": "out of the tree", "docs/none.png": "does not exist"}.items():
            for form in ("[text]({})", "![text]({})", "[r]: {}", '<img alt="" src="{}">'):
                (root / "a.md").write_text(good + form.format(link) + "\n")
                faults = check(root)
                assert len(faults) == 1 and words in faults[0] and faults[0].startswith("a.md:8:"), (link, form, faults)


if __name__ == "__main__":
    sys.exit(lint.main(check, self_test, "every link leads somewhere"))
