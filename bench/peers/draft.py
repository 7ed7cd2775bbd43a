#!/usr/bin/env python3
"""What a drafter gives in llama.cpp: tokens/s of TARGET alone, with prompt lookup, and with each DRAFT, in turn (A B A B).

    python3 bench/peers/draft.py TARGET.gguf [NAME=DRAFT.gguf ...] [--draft 4] [--prompts 8] [--rounds 3]

Greedy continuations of the beginnings of held-out documents by llama-server. A figure is the median over the rounds; the
texts are compared, since speculative decoding must not change them. Beside what is measured stands what theory predicts
(Leviathan et al. 2023, theorem 3.8) where verifying costs one step of the target: with the draft's step as measured (the
draft alone as the model), and by the sizes of the files. Prints a table in Markdown, with --json the samples.
"""
import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
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
    """Continuations, tokens/s over all of them, tokens written behind the first of each, which the prompt gives, and how
    many drafted tokens were kept."""
    with server(target, options) as ask:
        answers = [ask("/completion", {"prompt": p, "n_predict": tokens, "temperature": 0, "cache_prompt": False, "ignore_eos": True,
                                       "return_tokens": True}) for p in prompts]
    timings = [a["timings"] for a in answers]
    total = {key: sum(t.get(key, 0) for t in timings) for key in ("predicted_n", "predicted_ms", "draft_n", "draft_n_accepted")}
    return {"ids": [a["tokens"] for a in answers], "tokens_per_s": 1000 * total["predicted_n"] / total["predicted_ms"],
            "written": total["predicted_n"] - len(answers), "drafted": total["draft_n"], "kept": total["draft_n_accepted"]}


def predicted(run, c):
    """Times alone where a drafted token costs c steps of the target: tau / (K c + 1), summed over the verifying steps,
    each of which adds one token to those kept."""
    return run["written"] / (run["drafted"] * c + run["written"] - run["kept"])


def rows_of(a):
    """Name, file of the draft, options."""
    yield "alone", None, []
    yield "prompt lookup", None, ["--spec-type", "ngram-simple"]
    for entry in a.drafts:
        name, _, path = entry.rpartition("=")
        path = Path(path).resolve()
        yield name or path.stem, path, ["-md", path, "--spec-type", "draft-simple", "--spec-draft-n-max", a.draft]


def main():
    a = arguments()
    programs.set_up("setup-llama-cpp.sh")
    prompts, rows = beginnings(a.text, a.prompts), list(rows_of(a))
    samples = {name: [] for name, _, _ in rows}
    for _ in range(a.rounds):
        for name, draft, options in rows:
            run = sample(a.target, options, prompts, a.tokens)
            if draft:
                run["draft_tokens_per_s"] = sample(draft, [], prompts, a.tokens)["tokens_per_s"]
            samples[name].append(run)
    if a.json:
        print(json.dumps(samples))
        return
    alone = samples["alone"]
    base = statistics.median(s["tokens_per_s"] for s in alone)
    print("| with | tokens/s | times alone | predicted by steps | by bytes | drafted tokens kept | texts as alone |\n"
          "|---|---|---|---|---|---|---|")
    for name, draft, _ in rows:
        runs = samples[name]
        rate = statistics.median(s["tokens_per_s"] for s in runs)
        step = base / statistics.median(s["draft_tokens_per_s"] for s in runs) if draft else 0
        size = draft.stat().st_size / a.target.stat().st_size if draft else 0
        kept = f"{100 * runs[0]['kept'] / runs[0]['drafted']:.1f} % of {runs[0]['drafted']}" if runs[0]["drafted"] else "none drafted"
        same = sum(x == y for x, y in zip(runs[0]["ids"], alone[0]["ids"]))
        print(f"| {name} | {rate:.1f} | {rate / base:.2f} | {predicted(runs[0], step):.2f} | {predicted(runs[0], size):.2f} | "
              f"{'' if name == 'alone' else kept} | {same} of {len(prompts)} |")


if __name__ == "__main__":
    try:
        main()
    except programs.Failed as error:
        sys.exit(f"draft: {error}")
