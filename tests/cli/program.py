"""Runs the program under test. $RETORT is the executable, $RETORT_SOURCE the tree, $RETORT_BUILD its build directory."""
import json
import os
import pathlib
import resource
import shutil
import subprocess
import tempfile
import unittest

RETORT = os.environ["RETORT"]
SOURCE = pathlib.Path(os.environ["RETORT_SOURCE"])
GOLDEN = pathlib.Path(os.environ.get("RETORT_BUILD", SOURCE / "build" / "release")) / "golden"
TEACHER = SOURCE / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
VOCABULARY = GOLDEN / "tokenizer" / "smollm2-vocab.gguf"

OK, USAGE, INPUT, LICENCE, RESOURCE, REMOTE = 0, 2, 3, 4, 5, 7


def byte_alphabet():
    """GPT-2's characters for the 256 byte values."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(256 + i) for i, b in enumerate(others)}}


def tokenizer_json():
    """A byte-level tokenizer without merges: a token a byte, and <|end|>."""
    vocabulary = {character: byte for byte, character in byte_alphabet().items()}
    vocabulary["<|end|>"] = 256
    end = {"id": 256, "content": "<|end|>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {"version": "1.0", "added_tokens": [end], "normalizer": None, "pre_tokenizer": byte_level, "post_processor": None,
            "decoder": byte_level, "model": {"type": "BPE", "dropout": None, "unk_token": None, "vocab": vocabulary, "merges": []}}


def whole_tokenizer(end="<|end|>", rows=331):
    """The same with a token for every row of the reference models' vocabulary: what is not trained may write any."""
    tokenizer = tokenizer_json()
    names = [end, *(f"<|spare{i}|>" for i in range(257, rows))]
    del tokenizer["model"]["vocab"]["<|end|>"]
    tokenizer["model"]["vocab"].update({name: 256 + i for i, name in enumerate(names)})
    tokenizer["added_tokens"] = [{**tokenizer["added_tokens"][0], "id": 256 + i, "content": name} for i, name in enumerate(names)]
    return tokenizer


class ProgramTest(unittest.TestCase):
    """A scratch directory, which is also the working directory of what is run."""

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="retort-cli-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def run_program(self, *args, stdin=None, file_size=None, env=None, powerless=False):
        """file_size: no file may grow beyond so many bytes, which is how a full disk looks to a program.
        powerless: as anybody runs it; root loses the right to write everywhere, but stays the owner of its files."""
        def limit():
            if file_size is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
        command = [RETORT, *map(str, args)]
        if powerless and os.geteuid() == 0:
            command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *command]
        # With SIGXFSZ left ignored, as Python has it, a write beyond the limit fails instead of killing.
        return subprocess.run(command, input=stdin, capture_output=True, cwd=self.dir, preexec_fn=limit, restore_signals=False,
                              env={**os.environ, **(env or {})}, timeout=600)

    def ok(self, *args, **more):
        r = self.run_program(*args, **more)
        self.assertEqual(r.returncode, OK, f"retort {args}: {r.stderr.decode()}")
        return r.stdout

    def ok_json(self, *args, **more):
        return json.loads(self.ok(*args, "--json", **more))

    def refused(self, code, *args, says=(), **more):
        """Exit code `code`, nothing on standard output, and a last line on standard error that says all of `says`."""
        r = self.run_program(*args, **more)
        message = r.stderr.decode()
        self.assertEqual(r.returncode, code, f"retort {args}: {message}")
        self.assertEqual(r.stdout, b"")
        lines = [line for line in message.splitlines() if line.startswith("retort")]
        self.assertEqual(len(lines), 1, message)
        self.assertTrue(message.rstrip("\n").endswith(lines[0]), message)
        for word in [says] if isinstance(says, str) else says:
            self.assertIn(str(word), lines[0])
        return lines[0]

    def files(self, *below):
        root = self.dir.joinpath(*below)
        return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())

    def write(self, name, content):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    def write_lines(self, name, rows):
        return self.write(name, "".join(json.dumps(row) + "\n" for row in rows))

    def tiny_model(self, name="tiny", licence="apache-2.0", source="llama", tokenizer=None):
        """A reference model of 0.15 M parameters as a folder with a tokenizer and, if given, a licence."""
        folder = self.dir / name
        shutil.copytree(GOLDEN / "models" / source, folder)
        self.write(f"{name}/tokenizer.json", tokenizer or tokenizer_json())
        if licence:
            self.write(f"{name}/README.md", f"---\nlicense: {licence}\n---\nA model for tests.\n")
        return folder

    def texts(self, name="text.jsonl", n=8):
        return self.write_lines(name, [{"id": f"d{i}", "title": f"t{i // 2}", "origin": "made up",
                                        "text": f"Text number {i}: the river bends, the lamp burns, and nobody counts the {i} ships. " * 2}
                                       for i in range(n)])


def main():
    unittest.main(verbosity=2)
