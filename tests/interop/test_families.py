#!/usr/bin/env python3
"""A small random model of every family, exported: as GGUF it has the same log-probabilities in llama.cpp, as a folder the
same logits in transformers. What llama.cpp would compute in another way is refused."""
import json
import os
import re
import shutil
import sys
import unittest
from pathlib import Path

import interop

interop.enter_peers()
os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.append(str(interop.SOURCE / "tests/golden/gen"))

import gguf
import hashed
import numpy as np
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM

# Families by where their reference model is: kept with weights, or made from a hash (tests/golden/README.md).
KEPT = ["llama", "qwen3", "gemma3_text"]
LISTED = (interop.SOURCE / "tests/hashed.def").read_text()
HASHED = {name: says == "true" for name, says in re.findall(r"^HASHED\((\w+), (true|false)\)", LISTED, re.MULTILINE)}
READ_ONLY = {"deepseek_v4", "minimax_text01"}  # neither format is written
# ggml evaluates the tanh form of GELU through a table of half-precision values.
TOLERANCE = {"gemma3_text": 5e-3, "gemma3_text_linear": 5e-3}
# llama.cpp knows DeepSeek-V2-Lite, which has no latent for its queries, by 26 or 27 layers.
DEEPENED = {"deepseek_v2": 26}
LONG = 200  # ids: past every window and every original context

FOLDER = None


def setUpModule():
    global FOLDER
    scratch = interop.scratch()
    unittest.addModuleCleanup(scratch.cleanup)
    FOLDER = Path(scratch.name)


def byte_level(text):
    """The text as byte-level vocabularies write it."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return "".join(chr(b) if b in plain else chr(256 + others.index(b)) for b in text.encode())


def write_vocabulary(path, n):
    """Two special tokens, a merge, and whole characters, for llama-server keeps broken ones to itself."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(["<s>", "</s>", "a", "b", "ab", *[byte_level(chr(0x4E00 + i)) for i in range(n - 5)]])
    writer.add_token_types([gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.NORMAL] * (n - 2))
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(False)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def unpack(name, folder):
    """The hashed model, of as many layers as DEEPENED says: its last one again and again, with values of their own."""
    with safe_open(interop.SOURCE / f"tests/golden/arch/{name}.safetensors", "numpy") as fixture:
        config, weights = (json.loads(fixture.metadata()[key]) for key in ("config", "weights"))
    last, n = config["num_hidden_layers"] - 1, DEEPENED.get(name, config["num_hidden_layers"])
    again = [t for t in weights["tensors"] if f".layers.{last}." in t["name"]]
    for layer in range(last + 1, n):
        weights["tensors"] += [t | {"name": t["name"].replace(f".layers.{last}.", f".layers.{layer}.")} for t in again]
    hashed.write_folder(folder, json.dumps(config | {"num_hidden_layers": n}), weights)


def folder_of(name, kept):
    """The reference model with a vocabulary beside it."""
    folder = FOLDER / (name + ("-kept" if kept else ""))
    if not folder.exists():
        if kept:
            shutil.copytree(interop.GOLDEN / "models" / name, folder)
        else:
            unpack(name, folder)
        write_vocabulary(folder / "tokenizer.gguf", json.loads((folder / "config.json").read_text())["vocab_size"])
    return folder


def ids_for(folder):
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    return np.random.default_rng(7).integers(2, vocabulary, LONG).tolist()


def log_softmax(rows):
    rows = rows.astype(np.float64) - rows.max(-1, keepdims=True)
    return rows - np.log(np.exp(rows).sum(-1, keepdims=True))


class Families(unittest.TestCase):
    def each(self, hashed_models, check, kept=()):
        for name, is_kept in [(name, True) for name in kept] + [(name, False) for name in hashed_models]:
            with self.subTest(model=name, kept=is_kept):
                check(name, folder_of(name, is_kept))

    def in_llama_cpp(self, name, folder):
        ids, exported = ids_for(folder), FOLDER / f"{folder.name}.gguf"
        interop.retort("export", folder, "-o", exported, "--type", "f32")
        expected = log_softmax(interop.logits(folder, [ids], FOLDER)[0])
        worst = 0
        with interop.LlamaServer(exported, FOLDER) as server:
            for i in [*range(24), *range(24, LONG, 25), LONG - 1]:
                row = np.array(server.next_log_probs(ids[: i + 1], expected.shape[-1]))
                worst = max(worst, np.abs(row - expected[i]).max())
        print(f"{folder.name}: log-probabilities within {worst:.1e} of llama.cpp's", flush=True)
        self.assertLess(worst, TOLERANCE.get(name, 1e-4))

    def in_transformers(self, name, folder):
        ids, exported = ids_for(folder), FOLDER / f"{folder.name}-exported"
        interop.retort("export", folder, "-o", exported, "--type", "safetensors")
        model = AutoModelForCausalLM.from_pretrained(exported, dtype=torch.float32, attn_implementation="eager").eval()
        with torch.no_grad():
            theirs = model(torch.tensor([ids])).logits[0].numpy()
        worst = np.abs(theirs - interop.logits(folder, [ids], FOLDER)[0]).max()
        print(f"{folder.name}: logits within {worst:.1e} of transformers'", flush=True)
        self.assertLess(worst, 1e-3)

    def test_llama_cpp_computes_the_same(self):
        self.each([name for name, says in HASHED.items() if says], self.in_llama_cpp, KEPT)

    def test_transformers_computes_the_same(self):
        torch.set_num_threads(2)
        self.each(sorted(HASHED.keys() - READ_ONLY), self.in_transformers, KEPT)

    def test_rotary_factors_read_from_a_gguf_stay(self):
        source, exported = interop.GOLDEN / "gguf/llama3_rope.gguf", FOLDER / "llama3_rope.gguf"
        interop.retort("export", source, "-o", exported, "--type", "f32")
        ids = np.random.default_rng(7).integers(3, 320, LONG).tolist()
        expected = log_softmax(interop.logits(source, [ids], FOLDER)[0])
        with interop.LlamaServer(exported, FOLDER) as server:
            for i in (0, 23, LONG - 1):
                row = np.array(server.next_log_probs(ids[: i + 1], 320))
                self.assertLess(np.abs(row - expected[i]).max(), 1e-4)

    def assert_refused(self, folder, words):
        out = FOLDER / "refused.gguf"
        done = interop.try_retort("export", folder, "-o", out, "--type", "f32")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertRegex(done.stderr.splitlines()[-1], words)
        self.assertFalse(out.exists())

    def test_what_gguf_cannot_say_is_refused(self):
        self.each([name for name, says in HASHED.items() if not says],
                  lambda name, folder: self.assert_refused(folder, "GGUF|read, not written"))

    def test_a_dense_layer_among_mixtures_is_refused(self):
        self.assert_refused(interop.GOLDEN / "models/qwen3_moe", "'qwen3moe' has no way to say that layer 1 is dense")


if __name__ == "__main__":
    unittest.main(verbosity=2)
