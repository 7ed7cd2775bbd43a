#!/usr/bin/env python3
"""make bench-peers: retort and its peers in turn (A B A B ...) on this machine; the table of docs/performance.md.

A row's figure is the median over the rounds, its ratio that of the medians. The load and bare multiply-adds are sampled
before every round. A side that cannot be set up or fails is named in the table with the reason, and the exit status is
1. A whole run of at least 5 rounds writes the page's section of this kind of machine; others only print. All samples:
build/bench-peers.json.
"""
import argparse
import json
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import programs
import rows

PAGE = programs.ROOT / "docs/performance.md"
TABLES, END = "<!-- bench-peers: tables -->\n", "<!-- bench-peers: end -->\n"  # the list of sections, and one's end
ROUNDS_FOR_THE_PAGE = 5


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS", ROUNDS_FOR_THE_PAGE)))
    parser.add_argument("--only", metavar="ROW", action="append", help="this row (may be given several times)")
    parser.add_argument("--list", action="store_true", help="the rows, and which this processor has not")
    return parser.parse_args()


class Witness:
    """What the machine was like beside the rounds."""

    def __init__(self):
        self.load, self.bare = [], []

    def look(self):
        self.load.append(os.getloadavg()[0])
        self.bare.append(rows.bare())


def span(values, scale=1.0):
    low, high = f"{min(values) * scale:.3g}", f"{max(values) * scale:.3g}"
    return low if low == high else f"{low} to {high}"


def table_line(line, samples, failed, witness):
    for side in (line.ours[0], line.theirs[0]):
        if side in failed or not samples[side]:
            return f"| {line.name} | | | **failed** | {side}: {failed.get(side, 'no round')} | {line.goal} | |"
    ours, theirs = ([figures[key] * line.scale for figures in samples[side]] for side, key in (line.ours, line.theirs))
    pairs = [a / b for a, b in zip(ours, theirs)]
    ratio = statistics.median(ours) / statistics.median(theirs)
    return (f"| {line.name} | {statistics.median(ours):.4g} | {statistics.median(theirs):.4g} | **{ratio:.2f}** "
            f"| {span(pairs)} of {len(pairs)} | {line.goal} | {span(witness.load)} |")


def kind_of_machine(doctor):
    """Names like AMD EPYC stand for several generations, which family and model tell apart."""
    said = dict(re.findall(r"^(cpu family|model)\s*: (\d+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE))
    numbers = f" (family {said['cpu family']}, model {said['model']})" if len(said) == 2 else ""
    return f"{doctor['cpu']}{numbers}, {doctor['isa']['detected']}"


def commit():
    try:
        return f" (commit {programs.run(['git', 'rev-parse', '--short=7', 'HEAD'])[0].strip()})"
    except programs.Failed:  # not in a clone
        return ""


def machine_lines(doctor, versions, bare):
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    yield f"{time.strftime('%Y-%m-%d')}, {doctor['processors']} processors, {rows.THREADS} threads, {platform.system()}."
    yield f"retort {doctor['version']}{commit()} with {doctor['libraries']['gemm']}; {libraries}."
    for kind in sorted({kind for sample in bare for kind in sample}):
        yield f"Bare {kind} multiply-adds beside the rounds: {span([s[kind] for s in bare if kind in s], 1e-9)} GFLOP/s."


def table(results, absent, doctor, versions, rounds):
    lines = [*machine_lines(doctor, versions, [bare for _, _, _, witness in results for bare in witness.bare]), "",
             "| figure | retort | peer | ratio | of single rounds | wanted | load |", "|---|---|---|---|---|---|---|"]
    lines += [table_line(line, samples, failed, witness) for row, samples, failed, witness in results for line in row.lines]
    if absent:
        lines += ["", "Not here: " + "; ".join(f"{row.name}, for {row.absent}" for row in absent) + "."]
    lines += ["", f"    ROUNDS={rounds} make bench-peers"]
    return "\n".join(lines) + "\n"


def write_page(kind, text):
    """The section of this kind of machine is written anew, or becomes the first."""
    page = PAGE.read_text(encoding="utf-8")
    head = f"### {kind}\n"
    if head not in page:
        page = page.replace(TABLES, f"{TABLES}\n{head}{END}")
    before, _, rest = page.partition(head)
    after = rest.partition(END)[2]
    whole = PAGE.with_suffix(".md.new")
    whole.write_text(f"{before}{head}\n{text}{END}{after}", encoding="utf-8")
    whole.replace(PAGE)


def save(results):
    found = [{"row": row.name, "samples": samples, "failed": failed, "load": witness.load, "bare": witness.bare}
             for row, samples, failed, witness in results]
    (programs.ROOT / "build/bench-peers.json").write_text(json.dumps(found, indent=1) + "\n")


def compare(chosen, rounds):
    results = []
    for row in chosen:
        print(f"== {row.name}: {row.about}", file=sys.stderr, flush=True)
        witness = Witness()
        results.append((row, *rows.measure(row, rounds, witness.look), witness))
        save(results)
        for side, reason in results[-1][2].items():
            print(f"   {side} FAILED: {reason}", file=sys.stderr, flush=True)
    return results


def chosen_rows(known, names):
    if unknown := set(names) - set(known):
        sys.exit(f"no row '{sorted(unknown)[0]}'; there are {', '.join(known)}")
    if not names:
        return [row for row in known.values() if not row.absent]
    for row in map(known.get, names):
        if row.absent:
            sys.exit(f"row '{row.name}' cannot be measured here: {row.absent}")
    return [row for name, row in known.items() if name in names]


def main():
    a = arguments()
    (programs.ROOT / "build").mkdir(exist_ok=True)
    doctor, _ = programs.retort("doctor")
    with tempfile.TemporaryDirectory(prefix="bench-peers-", dir=programs.ROOT / "build") as folder:
        work = rows.Work(Path(folder), doctor)
        known = {row.name: row for row in rows.all_rows(work)}
        if a.list:
            for row in known.values():
                print(f"{row.name:12} {f'not here: {row.absent}' if row.absent else row.about}")
            return
        results = compare(chosen_rows(known, a.only or ()), a.rounds)
    absent = [row for row in known.values() if row.absent and not a.only]
    text = table(results, absent, doctor, work.versions, a.rounds)
    print(f"{kind_of_machine(doctor)}\n{text}")
    if not a.only and a.rounds >= ROUNDS_FOR_THE_PAGE:
        write_page(kind_of_machine(doctor), text)
    sys.exit(1 if any(failed for _, _, failed, _ in results) else 0)


if __name__ == "__main__":
    try:
        main()
    except programs.Failed as error:
        sys.exit(f"bench-peers: {error}")
