"""What the interop tests share: retort, llama.cpp's programs, the Python environment of the peers, golden texts."""
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

SOURCE = Path(os.environ.get("RETORT_SOURCE", Path(__file__).resolve().parents[2]))
RETORT = os.environ.get("RETORT", str(SOURCE / "build/release/retort"))
GOLDEN = Path(os.environ.get("RETORT_BUILD", SOURCE / "build/release"), "golden")
TEACHER = SOURCE / "models/SmolLM2-135M-Instruct.Q4_1.gguf"
LLAMA = Path(os.environ.get("RETORT_LLAMA_CHROOT", SOURCE / "build/llama"))
PEERS = Path(os.environ.get("RETORT_PEERS", SOURCE / "build/interop-venv"))
SET_UP = "`make check-interop` sets it up"

# The half of the teacher's layers that greedy removal leaves: what the quickstart's student starts from.
KEEP = "0,1,2,8,9,10,11,20,21,22,24,26,27,28,29"


def enter_peers():
    """Goes on in the peers' Python: ctest starts tests with the system's."""
    python = PEERS / "bin/python"
    if not python.exists():
        sys.exit(f"'{python}' does not exist: {SET_UP}")
    if Path(sys.prefix).resolve() != PEERS.resolve():
        os.execv(python, [str(python), *sys.argv])


def scratch():
    """A folder that goes when the test ends; models of half a gigabyte do not belong in a /tmp held in memory."""
    return tempfile.TemporaryDirectory(prefix="interop-", dir=os.environ.get("RETORT_BUILD"))


def try_retort(*arguments, text=None):
    return subprocess.run([RETORT, *map(str, arguments)], input=text, capture_output=True, text=True)


def retort(*arguments, text=None):
    """Standard output of a run that must succeed."""
    done = try_retort(*arguments, text=text)
    if done.returncode != 0:
        raise AssertionError(f"retort {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def make_student(folder):
    retort("init", TEACHER, "-o", folder, "--keep", KEEP)
    return folder


def logits(model, sequences, folder):
    """retort's f32 logits [tokens, vocabulary] of each list of ids."""
    from safetensors.numpy import load_file
    asked, answered = Path(folder, "ids.jsonl"), Path(folder, "logits.safetensors")
    asked.write_text("".join(json.dumps({"ids": list(map(int, ids))}) + "\n" for ids in sequences))
    retort("logits", model, "--ids", asked, "-o", answered, "--precision", "f32")
    tensors = load_file(answered)
    return [tensors[f"seq{i}"] for i in range(len(sequences))]


def tokenize(model, texts):
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    return [json.loads(line)["ids"] for line in retort("tokenize", model, text=lines).splitlines()]


def golden_texts():
    """The tokenizer's golden records that are text; those with raw bytes are judged by the unit tests."""
    with open(GOLDEN / "tokenizer/smollm2.jsonl", encoding="utf-8") as lines:
        return [record for record in map(json.loads, lines) if "text" in record]


def prompts(*indices):
    known = json.loads((GOLDEN / "smollm2/prompts.json").read_text())
    known = known["prompts"] if isinstance(known, dict) else known
    return [known[i]["text"] for i in indices]


def llama_command(program, *arguments):
    """Command and directory of a llama.cpp program, under its tree's own loader; it looks for its compute libraries in
    the working directory."""
    loaders, folders = sorted(LLAMA.glob("usr/lib*/ld-linux-*.so.*")), sorted(LLAMA.glob("usr/lib/*/ggml/backends*"))
    if not loaders or not folders:
        raise AssertionError(f"'{LLAMA}' holds no llama.cpp: {SET_UP}")
    libraries = folders[0].parents[1]
    command = [str(loaders[0]), "--library-path", f"{libraries}:{libraries}/llama", str(LLAMA / "usr/bin" / program)]
    return command + list(map(str, arguments)), folders[0]


# Threads that spin while they wait would fight over a busy machine's cores.
LLAMA_ENVIRONMENT = {**os.environ, "OMP_WAIT_POLICY": "passive"}
EXACT = ["-ctk", "f32", "-ctv", "f32", "-fa", "off", "-t", "2"]


def llama_perplexity(model, text, context):
    """Perplexity over the second half of each chunk of `context` tokens."""
    command, folder = llama_command("llama-perplexity", "-m", model, "-f", text, "-c", context, "-b", context,
                                    "-ub", context, *EXACT)
    for _ in range(3):  # its log's last lines, and with them the figure, get lost in one run of fifty
        done = subprocess.run(command, cwd=folder, env=LLAMA_ENVIRONMENT, capture_output=True, text=True)
        found = re.search(r"Final estimate: PPL = (\S+)", done.stdout + done.stderr)
        if done.returncode != 0 or found:
            break
    if done.returncode != 0 or not found:
        raise AssertionError(f"llama-perplexity on '{model}': exit {done.returncode}\n{done.stderr[-4000:]}")
    return float(found[1])


def llama_kl(model, base, context, text=None):
    """With a text: llama.cpp writes the logits file. Without: the figures it prints of `model` beside the file, label ->
    numbers."""
    what = ["-f", text] if text else ["--kl-divergence"]
    command, folder = llama_command("llama-perplexity", "-m", model, "--kl-divergence-base", base, "-c", context, "-b",
                                    context, "-ub", context, *EXACT, *what)
    done = subprocess.run(command, cwd=folder, env=LLAMA_ENVIRONMENT, capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"llama-perplexity on '{model}': exit {done.returncode}\n{done.stderr[-4000:]}")
    return kl_figures(done.stdout + done.stderr)


def kl_figures(printed):
    """Of the three blocks: label -> [value, error]."""
    lines = re.findall(r"^(.*(?:PPL|KLD|Δp|Same top p).*?)\s*: +(\S.*)$", printed, re.MULTILINE)
    return {label.strip(): [float(x) for x in re.findall(r"-?\d+\.\d+", values)] for label, values in lines}


class LlamaServer:
    """llama-server with one model, on the loopback interface, for the time of a `with`."""

    def __init__(self, model, log_folder):
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as probe:
            self.port = probe.getsockname()[1]
        self.log = Path(log_folder, "llama-server.log")
        self.command, self.folder = llama_command(
            "llama-server", "-m", model, "-c", 1024, "-np", 1, "--host", "127.0.0.1", "--port", self.port, "--no-ui",
            "--no-warmup", "--cache-ram", 0, "--offline", *EXACT)

    def __enter__(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command, cwd=self.folder, env=LLAMA_ENVIRONMENT, stdout=log, stderr=log)
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=10):
                    return self
            time.sleep(0.1)
        self.__exit__()
        raise AssertionError(f"llama-server does not serve the model:\n{self.log.read_text(errors='replace')[-4000:]}")

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def ask(self, path, **question):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(question).encode(),
                                         {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"llama-server {path}: {error} {error.read().decode(errors='replace')}") from None

    def tokenize(self, text):
        return self.ask("/tokenize", content=text, add_special=False, parse_special=True)["tokens"]

    def continue_greedily(self, ids, n):
        """The ids of up to n tokens."""
        return self.ask("/completion", prompt=ids, n_predict=n, temperature=0.0, cache_prompt=False,
                        return_tokens=True)["tokens"]

    def next_log_probs(self, ids, n_vocab):
        """Log-probability of every token after ids."""
        # An end of text would come without probabilities; barring it leaves those of the model as they are.
        answer = self.ask("/completion", prompt=ids, n_predict=1, temperature=0.0, cache_prompt=False, n_probs=n_vocab,
                          ignore_eos=True)
        first = answer["completion_probabilities"][0]
        row = [float("-inf")] * n_vocab
        for entry in first["top_logprobs"]:
            row[entry["id"]] = entry["logprob"]
        return row
