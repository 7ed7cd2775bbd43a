#!/usr/bin/env python3
"""Word problems with small numbers, for examples/task.yaml: rows {id, origin, licence, messages, answer}, the same for a seed.
Two solved problems stand in front of each, as turns of the conversation.

python3 examples/make_task.py examples/data writes sums-train.jsonl and sums-test.jsonl there. Problems are drawn without
repetition, so that none stands in both files; the same numbers may."""
import json
import pathlib
import random
import sys

SEED, TRAIN, TEST = 1, 240, 150
NAMES = "Anna Ben Carl Dora Emma Finn Gina Hugo Iris Jack Kate Liam Mary Noah Olga Paul Rosa Sam Tina Victor".split()
THINGS = "apples books coins pens cards shells stamps marbles cookies pencils".split()
FORM = "{name} has {x} {things} and buys {y} more. How many {things} does {name} have now?"
SHOWN = [("Eve has 5 hats and buys 3 more. How many hats does Eve have now?", "5 + 3 = 8"),
         ("Max has 9 keys and buys 4 more. How many keys does Max have now?", "9 + 4 = 13")]


def turns(prompt):
    shown = [{"role": role, "content": text} for pair in SHOWN for role, text in zip(("user", "assistant"), pair)]
    return [*shown, {"role": "user", "content": prompt}]


def problem(rng):
    x, y = rng.randint(2, 20), rng.randint(2, 20)
    return FORM.format(name=rng.choice(NAMES), things=rng.choice(THINGS), x=x, y=y), str(x + y)


def problems(count, seed):
    rng, found = random.Random(seed), {}
    while len(found) < count:
        found.setdefault(*problem(rng))
    return list(found.items())


def main(directory):
    rows = problems(TRAIN + TEST, SEED)
    for name, part in [("sums-train", rows[:TRAIN]), ("sums-test", rows[TRAIN:])]:
        lines = [json.dumps({"id": f"{name}-{i}", "origin": "examples/make_task.py", "licence": "CC0-1.0", "messages": turns(prompt),
                             "answer": answer}) for i, (prompt, answer) in enumerate(part)]
        (pathlib.Path(directory) / f"{name}.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
