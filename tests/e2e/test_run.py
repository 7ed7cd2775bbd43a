"""A recipe from end to end on the real teacher, small: killed anywhere and run again it leaves the same bits; run again when
done it does nothing; a changed recipe is carried out in the same directory, and only what it changes."""
import fcntl
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
data:    {{text: [TEXTS/text.jsonl], valid: [TEXTS/valid.jsonl]}}
collect: {{targets: sample, draws: 50, tokens: 1500}}
student: {{keep: [0, 1, 2, 29]}}
train:   {{tokens: 2k, batch_tokens: 512, sequence: 128, eval_every: 2, patience: 1}}
export:  [{{type: q8_0}}, {{type: safetensors}}]
audit:   {{tasks: [hellaswag={SOURCE}/examples/data/hellaswag.jsonl], limit: 2, tokens: 400, twin: ce}}
"""


def write_texts(directory):
    """Short documents, so that the time goes into stages and not into text."""
    for name, source, count, letters in [("text", "books", 12, 1500), ("valid", "books-valid", 8, 600)]:
        rows = (SOURCE / f"examples/data/{source}.jsonl").read_text().splitlines()[:count]
        short = [dict(row, text=row["text"][:letters]) for row in map(json.loads, rows)]
        (directory / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in short))


def load(path):
    return json.loads(path.read_text())


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Run(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not TEACHER.exists():
            raise AssertionError(f"the teacher {TEACHER} is not there: run `make fetch` or set RETORT_MODELS")
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="retort-e2e-"))
        write_texts(cls.dir)
        (cls.dir / "small.yaml").write_text(RECIPE.replace("TEXTS", str(cls.dir)))
        cls.whole = cls.run_recipe("whole")
        assert cls.whole.returncode == 0, cls.whole.stderr

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir)

    @classmethod
    def run_recipe(cls, runs, *options, crash=None, recipe="small.yaml"):
        env = dict(os.environ)
        if crash:
            env["RETORT_CRASH_AT"] = crash
        return subprocess.run([RETORT, "run", str(cls.dir / recipe), "--runs", str(cls.dir / runs), *options],
                              capture_output=True, text=True, env=env)

    def fingerprint(self, runs):
        run = self.dir / runs / "small"
        files = ["student/init.safetensors", "student/model.safetensors", "twin/model.safetensors", "cache/00000.rtc",
                 "export/model.safetensors"]
        return {f: sha256(run / f) for f in files}

    def copy_of_whole(self, runs):
        shutil.copytree(self.dir / "whole", self.dir / runs)
        self.addCleanup(shutil.rmtree, self.dir / runs)
        return self.dir / runs / "small"

    def test_leaves_all_that_was_promised(self):
        run = self.dir / "whole" / "small"
        for name in ["recipe.yaml", "run.json", "ledger.jsonl", "cache/00000.rtc", "student/init.safetensors", "metrics.jsonl",
                     "export/model.gguf", "export/model.safetensors", "export/config.json", "export/tokenizer.json", "export/README.md",
                     "audit/models.json", "report.html"]:
            self.assertTrue((run / name).exists(), name)
        stages = {s["name"]: s["state"] for s in json.loads((run / "run.json").read_text())["stages"]}
        self.assertEqual(set(stages.values()), {"done"}, stages)
        models = {m["id"]: m for m in load(run / "audit/models.json")["models"]}
        self.assertLess(models["teacher"]["fidelity"]["kl"]["mean"], 1e-3)
        self.assertLess(models["student"]["fidelity"]["kl"]["mean"], models["cut"]["fidelity"]["kl"]["mean"])
        exports = {m["id"]: m for m in load(run / "audit/models.json")["exports"]}
        self.assertEqual(exports["student-safetensors"]["file"], "export/model.safetensors")
        self.assertLess(exports["student-safetensors"]["fidelity"]["kl"]["mean"], models["cut"]["fidelity"]["kl"]["mean"])
        self.assertIn("export/model.safetensors", (run / "export/README.md").read_text())
        self.assertIn("Not measured", (run / "report.html").read_text())
        verify = subprocess.run([RETORT, "ledger", "verify", str(run / "ledger.jsonl")], capture_output=True, text=True)
        self.assertEqual(verify.returncode, 0, verify.stderr)

    def test_facts_name_what_is_known(self):
        facts = load(self.dir / "whole/small/report.json")
        self.assertEqual(facts["teacher"]["architecture"], "llama")
        self.assertEqual({d["licence"] for d in facts["data"]}, {"public domain"})
        self.assertIn("tasks on export/model.safetensors", facts["not_measured"])

    def test_the_twin_sees_as_many_tokens_and_is_not_stopped_early(self):
        run = self.dir / "whole/small"
        student, twin = load(run / "student/train.json"), load(run / "twin/train.json")
        self.assertEqual(twin["tokens"], student["tokens"])
        validations = [line for line in (run / "twin/metrics.jsonl").read_text().splitlines() if '"validation"' in line]
        self.assertLessEqual(len(validations), 2)

    def test_validations_and_the_audit_read_different_documents(self):
        held_out = load(self.dir / "whole/small/audit/models.json")["held_out"]
        self.assertEqual(held_out, {"audit_documents": 7, "validation_documents": 1, "shared": False})

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
                stages = {s["name"]: s for s in load(self.dir / runs / "small/run.json")["stages"]}
                trained = load(self.dir / runs / "small/student/train.json")
                self.assertGreater(stages["train"]["active_s"], trained["seconds"])
                shutil.rmtree(self.dir / runs)

    def test_one_thread_and_two_leave_the_same_bits(self):
        one = self.run_recipe("one", "--set", "threads=1")
        self.assertEqual(one.returncode, 0, one.stderr)
        self.assertEqual(self.fingerprint("one"), self.fingerprint("whole"))

    def test_unchanged_nothing_is_done_again_and_another_audit_does_not_train(self):
        run = self.copy_of_whole("again")
        again = self.run_recipe("again")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertNotIn("begins", again.stderr)
        before = load(run / "audit/models.json")["models"][0]
        changed = self.run_recipe("again", "--set", "audit.twin=none", "--set", "audit.tokens=250", "--set", "audit.limit=1")
        self.assertEqual(changed.returncode, 0, changed.stderr)
        self.assertNotIn("train: begins", changed.stderr)
        self.assertIn("audit: begins", changed.stderr)
        after = load(run / "audit/models.json")["models"]
        self.assertLess(after[0]["fidelity"]["positions"], before["fidelity"]["positions"])
        self.assertEqual((before["tasks"][0]["n"], after[0]["tasks"][0]["n"]), (2, 1))
        self.assertNotIn("twin", [m["id"] for m in after])
        self.assertFalse((run / "audit/hellaswag-twin.json").exists())
        self.assertNotIn("twin", [s["name"] for s in load(run / "report.json")["cost"]["stages"]])
        back = self.run_recipe("again")
        self.assertEqual(back.returncode, 0, back.stderr)
        self.assertNotIn("twin: begins", back.stderr)
        self.assertIn("twin", [s["name"] for s in load(run / "report.json")["cost"]["stages"]])
        self.assertEqual(self.fingerprint("again"), self.fingerprint("whole"))

    def test_a_refused_recipe_says_nothing_of_the_run_that_is_there(self):
        run = self.copy_of_whole("refused")
        before = sha256(run / "recipe.yaml")
        refused = self.run_recipe("refused", "--set", "train.lr=1e-5", "--set", "data.valid=none.jsonl")
        self.assertEqual(refused.returncode, 3, refused.stderr)
        self.assertEqual(sha256(run / "recipe.yaml"), before)
        self.assertEqual(subprocess.run([RETORT, "report", str(run)], capture_output=True).returncode, 0)

    def test_a_run_stopped_while_it_collects_again_has_an_honest_ledger(self):
        run = self.copy_of_whole("stopped")
        self.assertEqual(self.run_recipe("stopped", "--set", "collect.draws=20", crash="collect.ledger:1").returncode, -9)
        verify = subprocess.run([RETORT, "ledger", "verify", str(run)], capture_output=True, text=True)
        self.assertEqual(verify.returncode, 0, verify.stderr)

    def test_a_changed_recipe_is_carried_out_in_its_own_directory(self):
        run = self.copy_of_whole("changed")
        ledger, salts, positions = sha256(run / "ledger.jsonl"), sha256(run / "ledger.salts"), load(run / "collect.json")["positions"]
        changed = self.run_recipe("changed", "--set", "collect.tokens=700", "--set", "train.tokens=1k", "--set", "train.lr=3e-4", "--set",
                                  "audit.twin=none", "--set", "export=[{type: safetensors}]", "--json")
        self.assertEqual(changed.returncode, 0, changed.stderr)
        self.assertLess(load(run / "collect.json")["positions"], positions)
        self.assertEqual(sha256(run / "ledger-1.jsonl"), ledger)
        self.assertEqual(sha256(run / "ledger-1.salts"), salts)
        for name in ["ledger.jsonl", "ledger-1.jsonl"]:
            verify = subprocess.run([RETORT, "ledger", "verify", str(run / name)], capture_output=True, text=True)
            self.assertEqual(verify.returncode, 0, verify.stderr)
        lines = list(map(json.loads, (run / "metrics.jsonl").read_text().splitlines()))
        self.assertLess(max(line.get("total_tokens", 0) for line in lines), 1600)
        self.assertFalse((run / "export/model.gguf").exists(), "an export of the recipe before is still there")
        summary = json.loads(changed.stdout)
        self.assertEqual(pathlib.Path(summary["model"]), run / "export")
        self.assertEqual({s["state"] for s in summary["stages"]}, {"done"})

    def test_a_page_is_written_again_without_planning(self):
        run = self.copy_of_whole("paged")
        command = load(run / "report.json")["command"]
        self.assertIn("--runs", command)
        (run / "report.html").unlink()
        machine = load(run / "report.json")["machine"]
        page = subprocess.run([RETORT, "report", f"{run}/"], capture_output=True, text=True, env={**os.environ, "RETORT_ISA": "generic"})
        self.assertEqual(page.returncode, 0, page.stderr)
        self.assertEqual(load(run / "report.json")["machine"], machine)
        self.assertNotIn("plan:", page.stderr)
        self.assertTrue((run / "report.html").exists())
        self.assertFalse((run / "small").exists())
        self.assertEqual(load(run / "report.json")["command"], command)
        (run / "run.json").unlink()
        self.assertEqual(subprocess.run([RETORT, "report", str(run)], capture_output=True).returncode, 3)
        self.assertFalse((run / "run.json").exists())

    def test_two_processes_do_not_work_in_one_directory(self):
        run = self.copy_of_whole("locked")
        with open(run / ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            second = self.run_recipe("locked")
        self.assertEqual(second.returncode, 5)
        self.assertIn("in use by another process", second.stderr)

    def test_a_budget_is_planned_for_the_text_there_is(self):
        recipe = RECIPE.replace("TEXTS", str(self.dir)).replace("tokens: 1500", "k: 32").replace("tokens: 2k, ", "")
        (self.dir / "timed.yaml").write_text(recipe.replace("name: small", "budget: 40s"))
        options = ["--set", "audit.twin=none", "--set", "audit.tasks=[]"]
        timed = self.run_recipe("timed", *options, recipe="timed.yaml")
        self.assertEqual(timed.returncode, 0, timed.stderr)
        run = self.dir / "timed/timed"
        plan, collected = load(run / "run.json")["plan"], load(run / "collect.json")
        self.assertTrue(plan["settled"])
        self.assertEqual({s["state"] for s in load(run / "run.json")["stages"]}, {"done"}, "a stage nobody wanted is listed")
        self.assertGreater(plan["train_seconds"], 3)
        self.assertLessEqual(plan["collect_tokens"], collected["tokens"])
        again = self.run_recipe("timed", *options, recipe="timed.yaml")
        self.assertNotIn("begins", again.stderr)
        self.assertEqual(load(run / "run.json")["plan"], plan)


class Keys(unittest.TestCase):
    def test_the_page_of_recipe_keys_is_current(self):
        printed = subprocess.run([RETORT, "run", "--keys"], capture_output=True, text=True, check=True).stdout
        self.assertEqual(printed, (SOURCE / "docs/recipe.md").read_text(), "write it again: retort run --keys > docs/recipe.md")


if __name__ == "__main__":
    unittest.main()
