"""A recipe from end to end on the real teacher, small: killed anywhere and run again it leaves the same bits; run again when
done it does nothing; a changed export does not train again."""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ["RETORT_SOURCE"])
RETORT = os.environ["RETORT"]
MODELS = pathlib.Path(os.environ.get("RETORT_MODELS") or SOURCE / "models")
TEACHER = MODELS / "SmolLM2-135M-Instruct.Q4_1.gguf"

RECIPE = f"""
name: small
teacher: {{model: {TEACHER}}}
data:    {{text: [{SOURCE}/examples/data/books.jsonl], valid: [{SOURCE}/examples/data/books-valid.jsonl]}}
collect: {{targets: sample, draws: 50, tokens: 3k}}
student: {{keep: [0, 1, 2, 29]}}
train:   {{tokens: 4k, batch_tokens: 1k, sequence: 256}}
export:  [{{type: q8_0}}, {{type: safetensors}}]
audit:   {{tasks: [hellaswag={SOURCE}/examples/data/hellaswag.jsonl], limit: 2, tokens: 1k, twin: ce}}
"""


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Run(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not TEACHER.exists():
            raise AssertionError(f"the teacher {TEACHER} is not there: run `make fetch` or set RETORT_MODELS")
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="retort-e2e-"))
        (cls.dir / "small.yaml").write_text(RECIPE)
        cls.whole = cls.run_recipe("whole")
        assert cls.whole.returncode == 0, cls.whole.stderr

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir)

    @classmethod
    def run_recipe(cls, runs, *options, crash=None):
        env = dict(os.environ)
        if crash:
            env["RETORT_CRASH_AT"] = crash
        return subprocess.run([RETORT, "run", str(cls.dir / "small.yaml"), "--runs", str(cls.dir / runs), *options],
                              capture_output=True, text=True, env=env)

    def fingerprint(self, runs):
        run = self.dir / runs / "small"
        files = ["student/init.safetensors", "student/model.safetensors", "twin/model.safetensors", "cache/00000.rtc",
                 "export/model.safetensors"]
        return {f: sha256(run / f) for f in files}

    def test_leaves_all_that_was_promised(self):
        run = self.dir / "whole" / "small"
        for name in ["recipe.yaml", "run.json", "ledger.jsonl", "cache/00000.rtc", "student/init.safetensors", "metrics.jsonl",
                     "export/model.gguf", "export/model.safetensors", "export/config.json", "export/tokenizer.json", "export/README.md",
                     "audit/models.json", "report.html"]:
            self.assertTrue((run / name).exists(), name)
        stages = {s["name"]: s["state"] for s in json.loads((run / "run.json").read_text())["stages"]}
        self.assertEqual(set(stages.values()), {"done"}, stages)
        models = {m["id"]: m for m in json.loads((run / "audit/models.json").read_text())["models"]}
        self.assertLess(models["teacher"]["fidelity"]["kl"]["mean"], 1e-3)
        self.assertLess(models["student"]["fidelity"]["kl"]["mean"], models["cut"]["fidelity"]["kl"]["mean"])
        self.assertIn("Not measured", (run / "report.html").read_text())
        verify = subprocess.run([RETORT, "ledger", "verify", str(run / "ledger.jsonl")], capture_output=True, text=True)
        self.assertEqual(verify.returncode, 0, verify.stderr)

    def test_killed_anywhere_the_same_command_leaves_the_same_bits(self):
        expected = self.fingerprint("whole")
        for point in ["train.step:2", "flow.stage:3", "atomic_written:9"]:
            with self.subTest(point=point):
                runs = "killed-" + point.replace(":", "-")
                killed = self.run_recipe(runs, crash=point)
                self.assertEqual(killed.returncode, -9, f"{point} was not reached: {killed.stderr[-500:]}")
                again = self.run_recipe(runs)
                self.assertEqual(again.returncode, 0, again.stderr)
                self.assertEqual(self.fingerprint(runs), expected)
                lines = map(json.loads, (self.dir / runs / "small" / "metrics.jsonl").read_text().splitlines())
                steps = [line["step"] for line in lines if "step" in line and "event" not in line]
                self.assertGreater(len(steps), 2)
                self.assertEqual(steps, sorted(set(steps)), "metrics doubled")
                shutil.rmtree(self.dir / runs)

    def test_one_thread_and_two_leave_the_same_bits(self):
        one = self.run_recipe("one", "--set", "threads=1")
        self.assertEqual(one.returncode, 0, one.stderr)
        self.assertEqual(self.fingerprint("one"), self.fingerprint("whole"))

    def test_unchanged_nothing_is_done_again_and_a_changed_export_does_not_train(self):
        shutil.copytree(self.dir / "whole", self.dir / "again")
        again = self.run_recipe("again")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertNotIn("begins", again.stderr)
        changed = self.run_recipe("again", "--set", "audit.twin=none", "--set", "audit.tokens=900")
        self.assertEqual(changed.returncode, 0, changed.stderr)
        self.assertNotIn("train: begins", changed.stderr)
        self.assertIn("audit: begins", changed.stderr)


class Keys(unittest.TestCase):
    def test_the_page_of_recipe_keys_is_current(self):
        printed = subprocess.run([RETORT, "run", "--keys"], capture_output=True, text=True, check=True).stdout
        self.assertEqual(printed, (SOURCE / "docs/recipe.md").read_text(), "write it again: retort run --keys > docs/recipe.md")


if __name__ == "__main__":
    unittest.main()
