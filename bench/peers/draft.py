#!/usr/bin/env python3
"""What a drafter gives in llama.cpp: tokens/s of TARGET alone, with prompt lookup, and with each DRAFT, in turn (A B A B).

    python3 bench/peers/draft.py TARGET.gguf [NAME=DRAFT.gguf ...] [--draft 4] [--prompts 8] [--rounds 3]

Greedy continuations of the beginnings of held-out documents by llama-server. A figure is the median over the rounds; the
texts are compared, since speculative decoding must not change them. Prints a table in Markdown, with --json the samples.
"""
import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import programs

TEXT = programs.ROOT / "examples/data/books-valid.jsonl"
WORDS = 40  # of a document, as the prompt


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path)
    parser.add_argument("drafts", nargs="*", metavar="NAME=DRAFT.gguf")
    parser.add_argument("--draft", type=int, default=4, help="tokens of a draft")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=96, help="of a continuation")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--text", type=Path, default=TEXT, help="JSON lines with a 'text' field")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def beginnings(path, n):
    texts = [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]
    return [" ".join(text.split()[:WORDS]) for text in texts[::max(1, len(texts) // n)][:n]]


@contextlib.contextmanager
def server(target, options):
    """llama-server on the loopback interface; gives a function that asks it."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    command, folder = programs.llama_command(
        "llama-server", "-m", target.resolve(), "-c", 1024, "-np", 1, "-t", os.cpu_count(), "--host", "127.0.0.1", "--port", port,
        "--no-ui", "--cache-ram", 0, "--offline", *options)
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = programs.read_aside(process.stderr)

    def ask(path, question=None):
        data = json.dumps(question).encode() if question else None
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=programs.PROGRAM_SECONDS) as answer:
            return json.load(answer)
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise programs.Failed(f"llama-server: exit {process.returncode}: {programs.last_words(said())}")
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                ask("/health")
                break
            time.sleep(0.1)
        yield ask
    finally:
        process.terminate()
        process.wait()


def sample(target, options, prompts, tokens):
    """Continuations, tokens/s over all of them, and how many drafted tokens were kept."""
    with server(target, options) as ask:
        answers = [ask("/completion", {"prompt": p, "n_predict": tokens, "temperature": 0, "cache_prompt": False, "ignore_eos": True,
                                       "return_tokens": True}) for p in prompts]
    timings = [a["timings"] for a in answers]
    total = {key: sum(t.get(key, 0) for t in timings) for key in ("predicted_n", "predicted_ms", "draft_n", "draft_n_accepted")}
    return {"ids": [a["tokens"] for a in answers], "tokens_per_s": 1000 * total["predicted_n"] / total["predicted_ms"],
            "drafted": total["draft_n"], "kept": total["draft_n_accepted"]}


def rows_of(a):
    yield "alone", []
    yield "prompt lookup", ["--spec-type", "ngram-simple"]
    for entry in a.drafts:
        name, _, path = entry.rpartition("=")
        yield name or Path(path).stem, ["-md", Path(path).resolve(), "--spec-type", "draft-simple", "--spec-draft-n-max", a.draft]


def main():
    a = arguments()
    prompts, rows = beginnings(a.text, a.prompts), list(rows_of(a))
    samples = {name: [] for name, _ in rows}
    for _ in range(a.rounds):
        for name, options in rows:
            samples[name].append(sample(a.target, options, prompts, a.tokens))
    if a.json:
        print(json.dumps(samples))
        return
    alone = samples["alone"]
    base = statistics.median(s["tokens_per_s"] for s in alone)
    print("| with | tokens/s | times alone | drafted tokens kept | texts as alone |\n|---|---|---|---|---|")
    for name, runs in samples.items():
        rate = statistics.median(s["tokens_per_s"] for s in runs)
        kept = f"{100 * runs[0]['kept'] / runs[0]['drafted']:.1f} % of {runs[0]['drafted']}" if runs[0]["drafted"] else "none drafted"
        same = sum(x == y for x, y in zip(runs[0]["ids"], alone[0]["ids"]))
        print(f"| {name} | {rate:.1f} | {rate / base:.2f} | {'' if name == 'alone' else kept} | {same} of {len(prompts)} |")


if __name__ == "__main__":
    main()
