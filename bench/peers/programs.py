"""Runs the programs that are compared, each alone, and says what they used."""
import json
import os
import subprocess
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RETORT = os.environ.get("RETORT", str(ROOT / "build/release/retort"))
PEERS = Path(os.environ.get("RETORT_PEERS", ROOT / "build/interop-venv"))
LLAMA = Path(os.environ.get("RETORT_LLAMA_CHROOT", ROOT / "build/llama"))
TEACHER = ROOT / "models/SmolLM2-135M-Instruct.Q4_1.gguf"
TEXT = ROOT / "examples/data/books.jsonl"
PROGRAM_SECONDS = 600  # no program of a round may take longer


class Failed(Exception):
    """Why one side of a row has no figure."""


def last_words(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no message"


def run(command, environment=None, folder=ROOT, seconds=PROGRAM_SECONDS):
    """Standard output, and the most memory the program held at once."""
    command = list(map(str, command))
    name = Path(command[0]).name
    try:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **(environment or {})}, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as error:
        raise Failed(f"{name}: {error.strerror}") from None
    said = {}
    readers = [threading.Thread(target=lambda key=key, pipe=pipe: said.update({key: pipe.read()}))
               for key, pipe in (("out", process.stdout), ("err", process.stderr))]
    late = threading.Timer(seconds, process.kill)
    for thread in (*readers, late):
        thread.start()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    in_time = late.is_alive()
    late.cancel()
    for thread in readers:
        thread.join()
    if not in_time:
        raise Failed(f"{name} took more than {seconds} s")
    if process.returncode != 0:
        raise Failed(f"{name}: exit {process.returncode}: {last_words(said['err'])}")
    return said["out"], used.ru_maxrss * 1024


def set_up(script):
    """Runs one of tools/setup-*.sh, which do nothing where all is there."""
    run([ROOT / "tools" / script], seconds=1800)


def retort(*arguments, environment=None):
    """What it prints with --json, and its peak memory."""
    out, peak = run([RETORT, *arguments, "--json", "--quiet"], environment)
    return json.loads(out), peak


def python(script, *arguments, environment=None):
    """The object that a script of this folder prints, and its peak memory."""
    out, peak = run([PEERS / "bin/python", Path(__file__).parent / script, *arguments], environment)
    return json.loads(out.splitlines()[-1]), peak


def read_aside(pipe):
    """Reads a pipe in a thread of its own; the function it gives says what has come, once the pipe is closed."""
    said = []
    reader = threading.Thread(target=lambda: said.append(pipe.read()), daemon=True)
    reader.start()

    def what():
        reader.join()
        return said[0]
    return what


def llama_command(program, *arguments):
    """The command that starts a program of llama.cpp under its tree's own loader, and the folder to start it in, where it
    looks for its compute libraries."""
    loaders, folders = sorted(LLAMA.glob("usr/lib*/ld-linux-*.so.*")), sorted(LLAMA.glob("usr/lib/*/ggml/backends*"))
    if not loaders or not folders:
        raise Failed(f"'{LLAMA}' holds no llama.cpp")
    libraries = folders[0].parents[1]
    command = [loaders[0].resolve(), "--library-path", f"{libraries}:{libraries}/llama", LLAMA / "usr/bin" / program, *arguments]
    return [str(part) for part in command], folders[0]


def llama(program, *arguments):
    """Standard output of a program of llama.cpp."""
    command, folder = llama_command(program, *arguments)
    return run(command, folder=folder)[0]
