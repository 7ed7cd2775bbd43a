#!/usr/bin/env python3
"""The same training step in PyTorch: forward KL to a teacher's top k with tail mass, targets made beforehand.

bf16 autocast over f32 weights, AdamW (fused), clipping to 1, the vocabulary projection and loss in chunks so that the
logits of all tokens never exist at once; a step's batch is `batch` sequences of `sequence` tokens. Teacher and student
are folders in the Hugging Face layout. Prints one JSON object; logs go to standard error.
"""
import argparse
import gc
import json
import resource
import sys
import time

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

CHUNK = 256  # tokens whose logits exist at once


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("teacher")
    parser.add_argument("student")
    parser.add_argument("text", help="JSON lines with a text each")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--sequence", type=int, default=512)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--warmup", type=int, default=2, help="steps that do not count")
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--lr", type=float, default=6e-4)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def token_batches(a):
    tokenizer = AutoTokenizer.from_pretrained(a.teacher)
    need, ids = a.steps * a.batch * a.sequence, []
    with open(a.text, encoding="utf-8") as lines:
        for line in lines:
            ids += tokenizer.encode(json.loads(line)["text"], add_special_tokens=False)
            if len(ids) >= need:
                return torch.tensor(ids[:need]).view(a.steps, a.batch, a.sequence)
    sys.exit(f"'{a.text}' has {len(ids)} tokens, {need} are needed")


@torch.no_grad()
def cached_targets(a, batches):
    """Of each position: the k most probable ids and their log-probabilities."""
    teacher = AutoModelForCausalLM.from_pretrained(a.teacher, dtype=torch.bfloat16).eval()
    cache = []
    for batch in batches:
        ids, log_probs = [], []
        for row in batch:
            hidden = teacher.model(row[None], use_cache=False).last_hidden_state[0]
            for part in hidden.split(CHUNK):
                logits = teacher.lm_head(part).float()
                top = logits.topk(a.k)
                ids.append(top.indices)
                log_probs.append(top.values - logits.logsumexp(-1, keepdim=True))
        cache.append((torch.cat(ids), torch.cat(log_probs)))
        print(f"targets of batch {len(cache)}", file=sys.stderr, flush=True)
    return cache


def top_k_loss(hidden, head, ids, log_p):
    """Mean of KL(p || q) over the k kept entries and one for the rest of the vocabulary."""
    total = hidden.new_zeros((), dtype=torch.float32)
    for part, kept, lp in zip(hidden.split(CHUNK), ids.split(CHUNK), log_p.split(CHUNK)):
        logits = (part @ head.t()).float()
        lq = logits.gather(1, kept) - logits.logsumexp(-1, keepdim=True)
        p_rest = (1 - lp.exp().sum(-1)).clamp_min(1e-6)
        q_rest = (1 - lq.exp().sum(-1)).clamp_min(1e-6)
        total = total + (lp.exp() * (lp - lq)).sum() + (p_rest * (p_rest.log() - q_rest.log())).sum()
    return total / hidden.size(0)


def main():
    a = arguments()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    batches = token_batches(a)
    cache = cached_targets(a, batches)
    gc.collect()

    student = AutoModelForCausalLM.from_pretrained(a.student, dtype=torch.float32).train()
    student.config.use_cache = False
    optimizer = torch.optim.AdamW(student.parameters(), lr=a.lr, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    seconds, cpu_seconds, losses = [], [], []
    for batch, (ids, log_p) in zip(batches, cache):
        start, cpu_start = time.perf_counter(), time.process_time()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = student.model(batch).last_hidden_state.flatten(0, 1)
            loss = top_k_loss(hidden, student.lm_head.weight, ids, log_p)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - start)
        cpu_seconds.append(time.process_time() - cpu_start)
        losses.append(loss.item())
        print(f"step {len(seconds)}: {seconds[-1]:.2f} s, {cpu_seconds[-1]:.2f} s of CPU, KL {losses[-1]:.3f}",
              file=sys.stderr, flush=True)

    tokens = a.batch * a.sequence
    counted = seconds[a.warmup :]
    report = {
        "tokens_per_s": [tokens / s for s in counted],
        "cpu_seconds": cpu_seconds[a.warmup :],
        "losses": losses,
        "parameters": sum(p.numel() for p in student.parameters()),
        "threads": a.threads,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
