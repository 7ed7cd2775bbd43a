#!/usr/bin/env python3
"""Distillation steps in PyTorch as an able user writes them.

Targets made beforehand (--targets FILE): forward KL to a teacher's top k with tail mass. Without: the teacher runs in
every step and the loss is the forward KL over the whole vocabulary. f32 weights, under bf16 autocast or not, AdamW
(fused), clipping to 1; projection to the vocabulary and loss in chunks, so that the logits of all tokens never exist at
once. A step's batch is `batch` sequences of 512 tokens. Teacher and student are folders in the Hugging Face layout.
Prints one JSON object; logs go to standard error.
"""
import argparse
import json
import sys
import time
from pathlib import Path

import torch
import transformers
from torch.nn.functional import kl_div
from torch.utils.checkpoint import checkpoint
from transformers import AutoModelForCausalLM, AutoTokenizer

CHUNK = 256  # tokens whose logits exist at once
SEQUENCE = 512
TOP = 32


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("teacher")
    parser.add_argument("student")
    parser.add_argument("text", help="JSON lines with a text each")
    parser.add_argument("--targets", type=Path, help="file of targets; made, and nothing else done, where it is absent")
    parser.add_argument("--precision", choices=("bf16", "f32"), default="bf16")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--warmup", type=int, default=1, help="steps that do not count")
    parser.add_argument("--lr", type=float, default=6e-4)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def sequences(a, n):
    tokenizer = AutoTokenizer.from_pretrained(a.teacher)
    need, ids = n * SEQUENCE, []
    with open(a.text, encoding="utf-8") as lines:
        for line in lines:
            ids += tokenizer.encode(json.loads(line)["text"], add_special_tokens=False)
            if len(ids) >= need:
                return torch.tensor(ids[:need]).view(n, SEQUENCE)
    sys.exit(f"'{a.text}' has {len(ids)} tokens, {need} are needed")


def load_teacher(a):
    dtype = torch.bfloat16 if a.precision == "bf16" else torch.float32
    return AutoModelForCausalLM.from_pretrained(a.teacher, dtype=dtype).eval()


@torch.no_grad()
def make_targets(a):
    """Of each position: the TOP most probable ids and their log-probabilities."""
    teacher = load_teacher(a)
    rows = sequences(a, a.steps * a.batch)
    ids, log_probs = [], []
    for row in rows:
        hidden = teacher.model(row[None], use_cache=False).last_hidden_state[0]
        for part in hidden.split(CHUNK):
            logits = teacher.lm_head(part).float()
            top = logits.topk(TOP)
            ids.append(top.indices)
            log_probs.append(top.values - logits.logsumexp(-1, keepdim=True))
    shape = (len(rows), SEQUENCE, TOP)
    torch.save({"tokens": rows, "ids": torch.cat(ids).view(shape), "log_probs": torch.cat(log_probs).view(shape)}, a.targets)


def top_k_loss(hidden, head, ids, log_p):
    """Sum of KL(p || q) over the kept entries and one for the rest of the vocabulary."""
    logits = (hidden @ head.t()).float()
    log_q = logits.gather(1, ids) - logits.logsumexp(-1, keepdim=True)
    p_rest = (1 - log_p.exp().sum(-1)).clamp_min(1e-6)
    q_rest = (1 - log_q.exp().sum(-1)).clamp_min(1e-6)
    return (log_p.exp() * (log_p - log_q)).sum() + (p_rest * (p_rest.log() - q_rest.log())).sum()


def full_loss(hidden, head, logits):
    return kl_div((hidden @ head.t()).float().log_softmax(-1), logits.float().log_softmax(-1), reduction="sum", log_target=True)


def cached_batches(a):
    saved = torch.load(a.targets, mmap=True)
    for i in range(a.steps):
        rows = slice(i * a.batch, (i + 1) * a.batch)
        targets = saved["ids"][rows].flatten(0, 1).split(CHUNK), saved["log_probs"][rows].flatten(0, 1).split(CHUNK)
        yield saved["tokens"][rows], targets


def cached_step(student, batch, targets):
    hidden = student.model(batch).last_hidden_state.flatten(0, 1)
    parts = zip(hidden.split(CHUNK), *targets)
    return sum(top_k_loss(part, student.lm_head.weight, ids, log_p) for part, ids, log_p in parts) / hidden.size(0)


def online_step(student, teacher, batch):
    """A chunk's logits, the student's and the teacher's, are made again on the way back."""
    with torch.no_grad():
        known = teacher.model(batch, use_cache=False).last_hidden_state.flatten(0, 1)
    hidden = student.model(batch).last_hidden_state.flatten(0, 1)

    def chunk(part, states):
        with torch.no_grad():
            logits = teacher.lm_head(states)
        return full_loss(part, student.lm_head.weight, logits)

    parts = zip(hidden.split(CHUNK), known.split(CHUNK))
    return sum(checkpoint(chunk, *part, use_reentrant=False) for part in parts) / hidden.size(0)


def main():
    a = arguments()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    if a.targets and not a.targets.exists():
        return make_targets(a)
    if a.targets:
        batches = cached_batches(a)
    else:
        teacher = load_teacher(a)
        batches = ((batch, None) for batch in sequences(a, a.steps * a.batch).split(a.batch))
    student = AutoModelForCausalLM.from_pretrained(a.student, dtype=torch.float32).train()
    student.config.use_cache = False
    optimizer = torch.optim.AdamW(student.parameters(), lr=a.lr, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    seconds, losses = [], []
    for batch, targets in batches:
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=a.precision == "bf16"):
            loss = cached_step(student, batch, targets) if a.targets else online_step(student, teacher, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - start)
        losses.append(loss.item())
        print(f"step {len(seconds)}: {seconds[-1]:.2f} s, KL {losses[-1]:.3f}", file=sys.stderr, flush=True)
    print(json.dumps({
        "tokens_per_s": [a.batch * SEQUENCE / s for s in seconds[a.warmup :]],
        "losses": losses,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }))


if __name__ == "__main__":
    main()
