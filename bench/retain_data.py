#!/usr/bin/env python3
"""Data of bench/retain_fixture.sh: prompts DATA OUT, then texts DATA OUT once OUT/answers/answers.jsonl is there; table OUT
OUT of its verdicts.

Harmful prompts that may be trained on are those whose SHA-256 of the id ends in an even hex digit; a quarter of them is
kept from training for the watch. Figures come from the odd ones, by `rows: odd-hash` of a task."""
import hashlib
import json
import pathlib
import statistics
import sys

REFUSALS = ["I'm sorry, but I can't help with that.", "I'm sorry, but I can't assist with that request.",
            "I cannot help with this. It could hurt somebody."]
SETS = ("advbench", "simplesafetytests", "xstest")


def rows(path):
    with path.open() as lines:
        return [json.loads(line) for line in lines]


def save(path, items):
    path.write_text("".join(json.dumps(i, ensure_ascii=False) + "\n" for i in items))


def digest(row):
    return hashlib.sha256(row["id"].encode()).hexdigest()


def safeguard_rows(data):
    """Even rows of the three sets: (row, harmful, watched)."""
    for name in SETS:
        for row in rows(data / name / f"{name}.jsonl"):
            if digest(row)[-1] in "02468ace":
                yield row, row.get("label", "unsafe") == "unsafe", digest(row)[0] in "0123"


def benign_prompts(data):
    for row in rows(data / "self_instruct/user_oriented.jsonl") + rows(data / "self_instruct/seed_tasks.jsonl"):
        text = row["instruction"] + ("\n\n" + row["input"] if row.get("input") else "")
        if len(text) < 500:
            yield {"id": row["id"], "prompt": text}
    for row in rows(data / "triviaqa/triviaqa.jsonl")[:120]:
        yield {"id": row["id"], "prompt": row["context"].removeprefix("Question: ").removesuffix("\nAnswer:")}


def prompts(data, out):
    out.mkdir(parents=True, exist_ok=True)
    safe = [{"id": "x" + r["id"], "prompt": r["prompt"]} for r, harmful, _ in safeguard_rows(data) if not harmful]
    save(out / "prompts.jsonl", list(benign_prompts(data)) + safe)


def messages(row, answer):
    return {"id": row["id"], "messages": [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": answer}]}


def texts(data, out):
    said = {r["prompt"]: r["answer"] for r in rows(out / "answers/answers.jsonl")}
    benign = [messages(r, said[r["prompt"]]) for r in benign_prompts(data)]
    held = [m for i, m in enumerate(benign) if i % 5 == 4]
    taught = [m for i, m in enumerate(benign) if i % 5 != 4]
    policy, retained, watched = [], [], []
    for i, (row, harmful, watch) in enumerate(safeguard_rows(data)):
        answer = REFUSALS[i % len(REFUSALS)] if harmful else said[row["prompt"]]
        own = {"id": row["id"], "prompt": row["prompt"], "label": "unsafe" if harmful else "safe"}
        if watch:
            watched.append(own)
        else:
            policy.append(messages(row, answer))
            retained.append({**own, "answer": answer})
    save(out / "benign.jsonl", taught)
    save(out / "valid.jsonl", held)
    save(out / "policy.jsonl", [m for pair in zip(policy, (taught * 3)[:len(policy)]) for m in pair])
    save(out / "retain.jsonl", retained)
    save(out / "watch.jsonl", [r for r in watched if r["label"] == "unsafe"][:30])


def kl_of(run):
    models = {m["id"]: m for m in json.loads((run / "audit/models.json").read_text())["models"]}
    return models["student"]["fidelity"]["kl"]["mean"]


def price(kls):
    """What retaining costs, over seeds that have both arms: mean change of the KL and its standard error."""
    change = [kls[f"kept-{seed}"] / kl - 1 for arm, seed, kl in ((*name.split("-"), kl) for name, kl in kls.items())
              if arm == "plain" and f"kept-{seed}" in kls]
    if change:
        error = f"{statistics.stdev(change) / len(change) ** 0.5:.2%}" if len(change) > 1 else "unknown"
        print(f"price in KL over {len(change)} seeds: {statistics.mean(change):+.2%}, standard error {error}")


def table(_, out):
    """A line a run: the KL of what ships, and every safeguard beside the teacher's; then the price."""
    kls = {}
    for family in json.loads((out / "verdicts.json").read_text())["families"]:
        if family["family"] != "safeguards":
            continue
        name, run = family["model"], out / "runs" / family["model"]
        kl = ""
        if run.is_dir():
            kls[family["model"]] = kl_of(run)
            kl = f"KL {kls[family['model']]:.4f} nats"
        print(f"{name:10} {kl}")
        for row in family["rows"]:
            print(f"    {row['metric']:18} {row['teacher']:7.3f} {row['student']:7.3f} "
                  f"{row['estimate']:+7.3f} [{row['low']:+.3f}, {row['high']:+.3f}]  {row['verdict_alone']}")
    price(kls)


if __name__ == "__main__":
    {"prompts": prompts, "texts": texts, "table": table}[sys.argv[1]](pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
