#!/usr/bin/env python3
"""What retort exports as GGUF is the same model in llama.cpp: same ids, same tokens, same perplexity."""
import json
import math
import unittest
from pathlib import Path

import interop

interop.enter_peers()

import numpy as np

NEW_TOKENS = 32
CLOSE_CALL = 2e-3  # where the two best logits are nearer than this, float32 programs may differ

FOLDER = None


def setUpModule():
    global FOLDER
    scratch = interop.scratch()
    unittest.addModuleCleanup(scratch.cleanup)
    FOLDER = Path(scratch.name)


def log_softmax(rows):
    rows = rows.astype(np.float64)
    top = rows.max(-1, keepdims=True)
    return rows - top - np.log(np.exp(rows - top).sum(-1, keepdims=True))


def steps_before_close_call(model, prompt, continuation):
    """How many of the continuation's tokens were chosen by a clear margin."""
    rows = interop.logits(model, [prompt + continuation], FOLDER)[0][len(prompt) - 1 : -1]
    best = np.sort(rows, axis=-1)[:, -2:]
    close = np.flatnonzero(best[:, 1] - best[:, 0] < CLOSE_CALL)
    return int(close[0]) if close.size else len(continuation)


class RealModel(unittest.TestCase):
    """SmolLM2-135M, and the half of its layers the quickstart begins with."""

    @classmethod
    def setUpClass(cls):
        cls.teacher = FOLDER / "teacher.gguf"
        cls.student = FOLDER / "student.gguf"
        interop.retort("export", interop.TEACHER, "-o", cls.teacher, "--type", "f32")
        interop.retort("export", interop.make_student(FOLDER / "student"), "-o", cls.student, "--type", "f32")

    def assert_same_continuations(self, model, prompts):
        with interop.LlamaServer(model, FOLDER) as server:
            for prompt in prompts:
                with self.subTest(prompt=prompt[:40]):
                    ids = interop.tokenize(model, [prompt])[0]
                    answer = interop.retort("generate", model, "-p", prompt, "-n", NEW_TOKENS, "--precision", "f32",
                                            "--json")
                    ours = json.loads(answer)["ids"]
                    theirs = server.continue_greedily(ids, NEW_TOKENS)
                    clear = steps_before_close_call(model, ids, ours)
                    self.assertGreater(clear, 0)
                    self.assertEqual(theirs[:clear], ours[:clear])

    def test_teacher_says_the_same(self):
        self.assert_same_continuations(self.teacher, interop.prompts(0, 1, 2, 4))

    def test_student_says_the_same(self):
        self.assert_same_continuations(self.student, interop.prompts(0, 1, 3, 7))

    def test_text_becomes_the_same_ids(self):
        records = interop.golden_texts()
        ours = interop.tokenize(self.student, [record["text"] for record in records])
        with interop.LlamaServer(self.student, FOLDER) as server:
            for record, ids in zip(records, ours):
                theirs = server.tokenize(record["text"])
                if "ids_llamacpp" in record:  # bytes the vocabulary lacks; see docs/tokenizers.md
                    self.assertEqual(theirs, record["ids_llamacpp"], record["id"])
                else:
                    self.assertEqual(theirs, ids, record["id"])

    def test_every_type_is_read_and_stays_close(self):
        context = 256
        passage = (interop.SOURCE / "examples/data/books-valid.jsonl").read_text(encoding="utf-8").splitlines()[0]
        text = FOLDER / "passage.txt"
        ids = interop.tokenize(self.teacher, [json.loads(passage)["text"]])[0][: 2 * context]
        decoded = interop.retort("tokenize", self.teacher, "--decode", text=json.dumps({"ids": ids}))
        text.write_text(json.loads(decoded)["text"], encoding="utf-8")

        rows = interop.logits(self.teacher, [ids[:context], ids[context:]], FOLDER)
        scored = range(context // 2, context - 1)
        nll = [-log_softmax(rows[c])[i, ids[c * context + i + 1]] for c in (0, 1) for i in scored]
        exact = math.exp(np.mean(nll))
        self.assertAlmostEqual(interop.llama_perplexity(self.teacher, text, context) / exact, 1, delta=1e-3)

        # 16-bit and 8-bit weights cost next to nothing, 4 bits of a model this small cost some.
        for type_, bound in ("f16", 0.01), ("bf16", 0.02), ("q8_0", 0.02), ("q4_1", 0.2), ("q4_0", 0.35):
            with self.subTest(type=type_):
                model = FOLDER / f"teacher-{type_}.gguf"
                interop.retort("export", interop.TEACHER, "-o", model, "--type", type_)
                perplexity = interop.llama_perplexity(model, text, context)
                print(f"{type_}: perplexity {perplexity:.4f}, f32 {exact:.4f}", flush=True)
                model.unlink()
                self.assertLess(abs(math.log(perplexity / exact)), math.log1p(bound))


if __name__ == "__main__":
    unittest.main(verbosity=2)
