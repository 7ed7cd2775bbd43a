#!/usr/bin/env python3
"""llama.cpp's logits file, in both directions: what either program writes, both measure a student against alike."""
import json
import unittest
from pathlib import Path

import interop

interop.enter_peers()

CONTEXT = 128
CHARACTERS = 2600


class KlBase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        scratch = interop.scratch()
        cls.addClassCleanup(scratch.cleanup)
        folder = Path(scratch.name)
        cls.teacher, cls.student = folder / "teacher.gguf", folder / "student.gguf"
        interop.retort("export", interop.TEACHER, "-o", cls.teacher, "--type", "f32")
        interop.retort("export", interop.make_student(folder / "student"), "-o", cls.student, "--type", "f32")
        with open(interop.SOURCE / "examples/data/books-valid.jsonl", encoding="utf-8") as rows:
            book = json.loads(next(rows))["text"]
        text = folder / "text.txt"
        text.write_text(book[:CHARACTERS], encoding="utf-8")
        cls.ours, cls.theirs = folder / "ours.kl", folder / "theirs.kl"
        interop.retort("logits", cls.teacher, "--text", text, "--kl-base", cls.ours, "--sequence", CONTEXT,
                       "--precision", "f32")
        interop.llama_kl(cls.teacher, cls.theirs, CONTEXT, text)

    def test_both_write_the_same_file_but_for_rounding(self):
        ours, theirs = self.ours.read_bytes(), self.theirs.read_bytes()
        self.assertEqual(len(ours), len(theirs))
        head = 20 + 4 * CONTEXT * int.from_bytes(ours[16:20], "little")
        self.assertEqual(ours[:head], theirs[:head])

    def assert_alike(self, ours, theirs):
        self.assertEqual(list(ours), list(theirs))
        self.assertEqual(len(ours), 34)
        for label, values in theirs.items():
            # percent to 1e-3 printed; sums of theirs are float32, logits agree to some 1e-4
            tolerance = 0.02 if "Δp" in label or "top" in label or "Cor" in label else 2e-3
            for mine, value in zip(ours[label], values, strict=True):
                self.assertLessEqual(abs(mine - value), tolerance + 2e-4 * abs(value), f"{label}: {mine} {value}")

    def test_figures_agree_number_by_number_whoever_wrote_the_file(self):
        for base in (self.ours, self.theirs):
            with self.subTest(base.name):
                printed = interop.retort("eval", self.student, "--kl-base", base, "--precision", "f32")
                self.assert_alike(interop.kl_figures(printed), interop.llama_kl(self.student, base, CONTEXT))


if __name__ == "__main__":
    unittest.main(verbosity=2)
