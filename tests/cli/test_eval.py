#!/usr/bin/env python3
"""retort eval prints what programs rely on, and refuses what it cannot measure."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

RETORT = os.environ["RETORT"]
SOURCE = pathlib.Path(os.environ["RETORT_SOURCE"])
TEACHER = pathlib.Path(os.environ.get("RETORT_MODELS") or SOURCE / "models") / "SmolLM2-135M-Instruct.Q4_1.gguf"
GOLDEN = pathlib.Path(os.environ.get("RETORT_BUILD", SOURCE / "build/release"), "golden")
HELLASWAG = SOURCE / "examples/data/hellaswag.jsonl"


def run(*args):
    return subprocess.run([RETORT, "eval", *map(str, args)], capture_output=True, text=True)


class Eval(unittest.TestCase):
    def refused(self, words, *args, code=2):
        r = run(*args)
        self.assertEqual(r.returncode, code, r.stderr)
        self.assertIn(words, r.stderr)
        self.assertEqual(r.stdout, "")

    def test_task_and_items(self):
        self.assertTrue(TEACHER.exists(), f"{TEACHER} is missing: run `make fetch`, or set RETORT_MODELS")
        with tempfile.TemporaryDirectory() as d:
            items = pathlib.Path(d) / "items.jsonl"
            r = run(TEACHER, "--task", "hellaswag", "--data", HELLASWAG, "--limit", 4, "--items", items, "--precision", "f32", "--json")
            self.assertEqual(r.returncode, 0, r.stderr)
            result = json.loads(r.stdout)
            rows = [json.loads(line) for line in items.read_text().splitlines()]
        golden = [json.loads(line) for line in (GOLDEN / "eval/hellaswag-200.jsonl").read_text().splitlines()[:4]]
        self.assertEqual((result["task"], result["n"], result["chance"]), ("hellaswag", 4, 0.25))
        for name in ("acc", "acc_norm"):
            self.assertEqual(result[name], sum(g[name] for g in golden) / 4)
        self.assertGreater(result["stderr"], 0)
        for row, g in zip(rows, golden, strict=True):
            self.assertEqual((row["id"], row["gold"]), (g["id"], g["gold"]))
            self.assertEqual(row["picks"], {k: g["picks"][k] for k in ("acc", "acc_norm")})
            for a, b in zip(row["loglikelihoods"], g["loglikelihoods"], strict=True):
                self.assertAlmostEqual(a, b, delta=1e-3)

    def test_text_beside_the_model_itself(self):
        with tempfile.TemporaryDirectory() as d:
            text = pathlib.Path(d) / "text.jsonl"
            text.write_text("".join(json.dumps({"id": str(i), "text": f"{i} grey cats sat on {i} mats and looked out of the window."}) + "\n"
                                    for i in range(4)))
            r = run(TEACHER, "--text", text, "--against", TEACHER, "--json")
            self.assertEqual(r.returncode, 0, r.stderr)
            alone = run(TEACHER, "--text", text, "--json")
        j = json.loads(r.stdout)
        self.assertEqual((j["documents"], j["nll"]["clusters"], j["nll"]["n"]), (4, 4, j["positions"]))
        self.assertLess(abs(j["kl"]["mean"]), 1e-6)
        self.assertEqual(j["top1"]["mean"], 1)
        self.assertAlmostEqual(j["acceptance"]["mean"], 1, delta=1e-5)
        self.assertGreater(j["perplexity"], 1)
        self.assertEqual(j["perplexity"], j["teacher_perplexity"])
        self.assertEqual(json.loads(alone.stdout)["perplexity"], j["perplexity"])
        self.assertNotIn("kl", json.loads(alone.stdout))

    def test_what_makes_no_sense_is_refused(self):
        self.refused("nothing to measure", TEACHER)
        self.refused("hellaswag", TEACHER, "--task", "chess", "--data", HELLASWAG)
        self.refused("--data", TEACHER, "--task", "hellaswag")
        self.refused("--against needs --text", TEACHER, "--task", "hellaswag", "--data", HELLASWAG, "--against", TEACHER)
        self.refused("about the questions", TEACHER, "--text", HELLASWAG, "--items", "x.jsonl")
        self.refused("one model is needed")

    def test_bad_data_is_named(self):
        with tempfile.TemporaryDirectory() as d:
            bad = pathlib.Path(d) / "bad.jsonl"
            bad.write_text('{"context": "a", "choices": ["b", "c"], "gold": 0}\n{"context": "a"}\n')
            self.refused("bad.jsonl' line 2", TEACHER, "--task", "piqa", "--data", bad, code=3)


if __name__ == "__main__":
    unittest.main()
