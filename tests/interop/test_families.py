#!/usr/bin/env python3
"""A small random model of every family, exported: as GGUF it has the same log-probabilities in llama.cpp, as a folder the
same logits in transformers. What llama.cpp would compute in another way is refused."""
import json
import os
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
from transformers import AutoModelForCausalLM

# Families by where their reference model is: kept with weights, or made from a hash (tests/golden/README.md).
KEPT = ["llama", "qwen3", "gemma3_text"]
HASHED = ["gemma3_text_linear", "gpt_oss", "llama3_rope", "minimax_m2", "qwen2", "qwen3", "qwen3_moe"]
# ggml evaluates the tanh form of GELU through a table of half-precision values.
TOLERANCE = {"gemma3_text": 5e-3, "gemma3_text_linear": 5e-3}
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


def folder_of(name, kept):
    """The reference model with a vocabulary beside it."""
    folder = FOLDER / (name + ("-kept" if kept else ""))
    if not folder.exists():
        if kept:
            shutil.copytree(interop.GOLDEN / "models" / name, folder)
        else:
            hashed.unpack(interop.SOURCE / f"tests/golden/arch/{name}.safetensors", folder)
        write_vocabulary(folder / "tokenizer.gguf", json.loads((folder / "config.json").read_text())["vocab_size"])
    return folder


def ids_for(folder):
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    return np.random.default_rng(7).integers(2, vocabulary, LONG).tolist()


def log_softmax(rows):
    rows = rows.astype(np.float64) - rows.max(-1, keepdims=True)
    return rows - np.log(np.exp(rows).sum(-1, keepdims=True))


class Families(unittest.TestCase):
    def each(self, check):
        for name, kept in [(name, True) for name in KEPT] + [(name, False) for name in HASHED]:
            with self.subTest(model=name, kept=kept):
                check(name, folder_of(name, kept))

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
        self.each(self.in_llama_cpp)

    def test_transformers_computes_the_same(self):
        torch.set_num_threads(2)
        self.each(self.in_transformers)

    def test_rotary_factors_read_from_a_gguf_stay(self):
        source, exported = interop.GOLDEN / "gguf/llama3_rope.gguf", FOLDER / "llama3_rope.gguf"
        interop.retort("export", source, "-o", exported, "--type", "f32")
        ids = np.random.default_rng(7).integers(3, 320, LONG).tolist()
        expected = log_softmax(interop.logits(source, [ids], FOLDER)[0])
        with interop.LlamaServer(exported, FOLDER) as server:
            for i in (0, 23, LONG - 1):
                row = np.array(server.next_log_probs(ids[: i + 1], 320))
                self.assertLess(np.abs(row - expected[i]).max(), 1e-4)

    def test_a_dense_layer_among_mixtures_is_refused(self):
        out = FOLDER / "refused.gguf"
        done = interop.try_retort("export", interop.GOLDEN / "models/qwen3_moe", "-o", out, "--type", "f32")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertRegex(done.stderr.splitlines()[-1], r"'qwen3moe' has no way to say that layer 1 is dense")
        self.assertFalse(out.exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
