#!/usr/bin/env python3
"""Facts of a run as retort's flow hands them to the report, for the tests of the page. The figures are in the range of a
15-layer student of SmolLM2-135M-Instruct after an eight-minute recipe, but no run made them.
    python3 tests/golden/gen/gen_report_facts.py > DIR/report/facts.json"""
import hashlib
import json
import math
import random

rng = random.Random(20261121)
sha = lambda text: hashlib.sha256(text.encode()).hexdigest()
STEPS, BATCH = 232, 2048
KEEP = [0, 1, 2, 8, 9, 10, 11, 20, 21, 22, 24, 26, 27, 28, 29]


def schedule(step):
    warm, decay = 12, 58
    share = min(1.0, (step + 1) / warm, (STEPS - step) / decay)
    return 6e-4 * share


def curve(start, floor, kl, seconds):
    lines = []
    for step in range(STEPS):
        fall = math.exp(-((step + 1) / 24) ** 0.62)
        loss = floor + (start - floor) * fall + rng.gauss(0, 0.035)
        line = {"step": step + 1, "loss": round(loss, 5)}
        if kl:
            line |= {"kl": round(loss, 5), "kd_norm": 0.31}
        line |= {"ce": round(loss + (2.92 if kl else 0), 5), "grad_norm": round(0.9 + 3 * fall + abs(rng.gauss(0, 0.1)), 4),
                 "lr": round(schedule(step), 9), "tokens": BATCH, "total_tokens": (step + 1) * BATCH,
                 "tokens_per_s": round(BATCH * STEPS / seconds * (1 + rng.gauss(0, 0.02)), 1)}
        lines.append(line)
    return lines


def validations(start, floor, best):
    out = []
    for step in (0, 40, 80, 120, 160, 200, STEPS):
        fall = math.exp(-(step / 26) ** 0.6)
        out.append({"event": "validation", "step": step, "total_tokens": step * BATCH,
                    "kl": round(floor + (start - floor) * fall, 4), "top1": round(best - (best - 0.118) * fall, 4)})
    return out


def training(loss, formula, start, floor, kl, best, seconds, rate):
    points = curve(start, floor, kl, seconds)
    return {"loss": loss, "formula": formula, "temperature": 1.0, "steps": STEPS, "tokens": STEPS * BATCH,
            "positions": STEPS * (BATCH - 4), "seconds": seconds, "cpu_seconds": 1.94 * seconds, "tokens_per_s": rate,
            "first_loss": points[0]["loss"], "last_loss": points[-1]["loss"], "stopped": "budget", "lr": 6e-4, "schedule": "wsd",
            "batch_tokens": BATCH, "curve": points, "validations": validations(2.713, floor + 0.06 if kl else 1.17, best)}


def stat(mean, stderr, n=8176, clusters=11):
    return {"mean": mean, "stderr": stderr, "n": n, "clusters": clusters}


def fidelity(nll, kl, top1, acceptance):
    return {"positions": 8176, "documents": 11, "perplexity": round(math.exp(nll[0]), 4), "nll": stat(*nll), "kl": stat(*kl),
            "top1": stat(*top1), "acceptance": stat(*acceptance)}


def hellaswag(acc, norm, n=200):
    error = lambda p: round(math.sqrt(p * (1 - p) / (n - 1)), 5)
    return [{"task": "hellaswag", "n": n, "acc": acc, "acc_norm": norm, "stderr": error(acc), "acc_norm_stderr": error(norm),
             "chance": 0.25}]


WHOLE = {"parameters": 134515008, "layers": 30}
HALF = {"parameters": 81413568, "layers": 15}
MODELS = [
    {"id": "teacher", "label": "teacher", "file": "models/SmolLM2-135M-Instruct.Q4_1.gguf", "bytes": 98362432, **WHOLE,
     "type": "Q4_1", "fidelity": fidelity((3.401, 0.021), (0.0, 0.0), (1.0, 0.0), (1.0, 0.0)), "tasks": hellaswag(0.36, 0.415)},
    {"id": "student", "label": "student, as exported", "file": "export/model.gguf", "bytes": 86812416, **HALF, "type": "Q8_0",
     "fidelity": fidelity((4.112, 0.024), (0.8312, 0.0104), (0.5418, 0.0031), (0.5629, 0.0024)), "tasks": hellaswag(0.305, 0.33)},
    {"id": "twin", "label": "twin, trained on the text alone", "file": "twin/model.safetensors", "bytes": 325661184, **HALF,
     "type": "F32", "fidelity": fidelity((4.198, 0.026), (1.1127, 0.0141), (0.4792, 0.0034), (0.4985, 0.0028)),
     "tasks": hellaswag(0.3, 0.305)},
    {"id": "cut", "label": "cut, not trained", "file": "student/init.safetensors", "bytes": 325661184, **HALF, "type": "F32",
     "fidelity": fidelity((5.124, 0.031), (2.7126, 0.0262), (0.1181, 0.0041), (0.1802, 0.0037)), "tasks": hellaswag(0.265, 0.28)},
]

RECIPE = """name: smollm2-half
budget: 8m
seed: 1
teacher:
  model: models/SmolLM2-135M-Instruct.Q4_1.gguf
data:
  text: [examples/data/books.jsonl]
  valid: [examples/data/books-valid.jsonl]
collect: {targets: sample, draws: 50, temperature: 1}
student: {init: prune, layers: 15}
train: {loss: forward_kl, batch_tokens: 2k, sequence: 512, optimizer: adamw, lr: 6e-4, schedule: wsd}
export: [{type: q8_0}, {type: safetensors}]
audit: {tasks: [hellaswag], twin: ce}
"""

SAMPLES = [
    {"prompt": "It was in the autumn of the year that my father, who had long been ailing, called me to his chamber and told me",
     "outputs": {
         "teacher": " that he had a great desire to see me once more before he should depart.\n\n\"My son,\" said he, \"I have been a hard "
                    "man, and I have not always been just to you; but I have never ceased to love you.\"",
         "student": " that he had a great desire to see the sea again, and that I should go with him.\n\n\"I have not been a good man,\" he "
                    "said, \"and I have not been a good father to you.\"",
         "twin": " that he had been a man of great fortune, and that he had been a man of great fortune, and that he had been a man of the "
                 "world, and that he had been a man",
         "cut": " that the the the, and, and the of the, the, and of of the the father the the the, and the, of"}},
    {"prompt": "The harbour lay quiet under the moon. Along the quay the boats rocked gently at their moorings, and from the inn came",
     "outputs": {
         "teacher": " the sound of voices and of laughter.\n\nThe captain stood for a moment upon the step, listening, and then pushed open "
                    "the door.",
         "student": " the sound of voices and of laughter. The captain looked at the water for a long time, and said nothing.",
         "twin": " the sound of the sea. The man was a tall man, with a long beard, and a long beard, and a long",
         "cut": " the the\u202e of\u202c inn inn and a a\u200bthe, the boat of of, the the a, and"}},
    {"prompt": "\"You may laugh,\" said the doctor, setting down his glass, \"but I have seen the thing with my own eyes, and",
     "outputs": {
         "teacher": " I can assure you that it is no laughing matter. <b>It was</b> the winter of '61, & the roads were closed.\"",
         "student": " I can tell you that it is no more than a fancy. It was the night of the great storm.\"",
         "twin": " I have seen it, and I have seen it, and I have seen it with my own eyes, and I have seen",
         "cut": " and the, and, I I the eyes the of, and and the the of the own own, the"}},
]

STAGES = [("gate", 0.4, 0.4, 118e6), ("collect", 96.3, 187.9, 912e6), ("init", 1.8, 2.2, 655e6), ("train", 152.7, 297.1, 1.86e9),
          ("twin", 131.2, 254.9, 1.79e9), ("export", 2.6, 2.9, 1.79e9), ("audit", 88.4, 171.0, 1.79e9), ("report", 0.1, 0.1, 1.79e9)]

facts = {
    "name": "smollm2-half", "created": "2026-11-21T23:41:38Z", "tool": "retort 0.1.0",
    "command": "retort run examples/quickstart.yaml", "recipe": RECIPE,
    "teacher": {"name": "SmolLM2-135M-Instruct", "path": MODELS[0]["file"], "sha256": sha("teacher"), "architecture": "llama", **WHOLE,
                "bytes": 98362432, "type": "Q4_1", "licence": "apache-2.0", "verdict": "permit",
                "duties": [
                    {"id": "keep-licence", "kind": "ship",
                     "text": "Ship the licence text (and the NOTICE file, where the teacher has one) with the model."},
                    {"id": "state-changes", "kind": "notice", "text": "Say that the files were modified and how."}]},
    "student": {**HALF, "keep": KEEP, "init": "prune", "bytes": 86812416, "file": "export/model.gguf", "type": "Q8_0",
                "start": {"kl": 2.7126, "perplexity": 168.0}},
    "data": [
        {"name": "examples/data/books.jsonl", "documents": 44, "tokens": 512344, "use": "train", "licence": "public domain",
         "origin": "Project Gutenberg, 44 titles first printed before 1927"},
        {"name": "examples/data/books-valid.jsonl", "documents": 11, "tokens": 124410, "use": "valid", "licence": "public domain",
         "origin": "Project Gutenberg, 11 other titles"}],
    "provenance_complete": True,
    "collect": {"targets": "sample", "draws": 50, "k": 32, "temperature": 1.0, "tokens": 475136, "positions": 474208,
                "sequences": 928, "bytes": 15204352, "bytes_per_token": 32.0, "seconds": 95.8, "tokens_per_s": 4959.6,
                "teacher_nll": 3.386},
    "train": training("forward_kl", "sum_v p(v) log(p(v) / q(v)), p from 50 draws", 2.69, 0.79, True, 0.5427, 152.4, 3117.7),
    "twin": training("ce", "-log q(next token)", 5.13, 4.02, False, 0.4801, 131.0, 3627.0),
    "models": MODELS, "samples": SAMPLES,
    "cost": {"seconds": sum(s[1] for s in STAGES), "cpu_seconds": sum(s[2] for s in STAGES), "peak_bytes": 1.86e9,
             "stages": [dict(zip(("name", "seconds", "cpu_seconds", "peak_bytes"), s)) for s in STAGES]},
    "machine": {"cpu": "Intel(R) Xeon(R) Platinum 8481C", "isa": "amx", "threads": 2, "gemm": "oneDNN 2.6.3", "precision": "auto"},
    "not_measured": ["safeguards: refusals and over-refusals", "bias and neutrality", "calibration and truthfulness",
                     "memorisation of training text"],
    "files": [{"path": "export/model.gguf", "bytes": 86812416, "sha256": sha("gguf")},
              {"path": "export/model.safetensors", "bytes": 325661184, "sha256": sha("safetensors")},
              {"path": "export/config.json", "bytes": 742, "sha256": sha("config")},
              {"path": "export/tokenizer.json", "bytes": 2104556, "sha256": sha("tokenizer")}],
    "ledger": {"head": sha("ledger"), "entries": 931, "outputs": 928, "positions": 474208},
    "permit": {"id": "apache-2.0", "verdict": "permit", "uses": ["train-on-outputs", "derive-weights"], "commercial": True,
               "evidence": [{"source": "gguf", "value": "general.license = apache-2.0", "licence": "apache-2.0", "about": "model"}],
               "table_version": "2026-11-21", "permit_id": sha("permit"), "declared": False},
}
print(json.dumps(facts, indent=1, ensure_ascii=True))
