"""Gemma 3 270M as the teacher, from its terms to the student's files: examples/gemma.yaml, small."""
import json
import math
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ["RETORT_SOURCE"])
RETORT = os.environ["RETORT"]
MODELS = pathlib.Path(os.environ.get("RETORT_MODELS") or SOURCE / "models")
TEACHER = MODELS / "gemma-3-270m.Q4_K_M.gguf"
LICENCE = 4  # exit code of a refusal
DUTIES = ["pass on the Gemma terms and their use restrictions", "Ship the Gemma notice file and say that the files were modified"]


def retort(*args):
    return subprocess.run([RETORT, *map(str, args)], capture_output=True, text=True)


def inspect(path):
    done = retort("inspect", path, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Gemma(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not TEACHER.exists():
            raise AssertionError(f"the teacher {TEACHER} is not there: run `make fetch` or set RETORT_MODELS")
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="retort-gemma-"))
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        for name, count, letters in [("books", 6, 700), ("books-valid", 4, 500)]:
            rows = map(json.loads, (SOURCE / f"examples/data/{name}.jsonl").read_text().splitlines()[:count])
            (cls.dir / f"{name}.jsonl").write_text("".join(json.dumps(row | {"text": row["text"][:letters]}) + "\n" for row in rows))
        (cls.dir / "gemma.yaml").write_text((SOURCE / "examples/gemma.yaml").read_text().replace("budget: 20m\n", ""))
        small = {"teacher.model": TEACHER, "data.text": f"[{cls.dir}/books.jsonl]",
                 "data.valid": f"[{cls.dir}/books-valid.jsonl]", "student.keep": "[0, 5, 17]", "collect.tokens": 600,
                 "train.tokens": 900, "train.batch_tokens": 256, "train.sequence": 128, "audit.tokens": 200, "audit.tasks": "[]"}
        cls.sets = [word for key, value in small.items() for word in ("--set", f"{key}={value}")]
        cls.unaccepted = cls.run_recipe()
        cls.accepted = cls.run_recipe("--accept-licence", "gemma")
        assert cls.accepted.returncode == 0, cls.accepted.stderr
        cls.out = cls.dir / "runs/gemma-small"

    @classmethod
    def run_recipe(cls, *options):
        return retort("run", cls.dir / "gemma.yaml", "--runs", cls.dir / "runs", *cls.sets, *options)

    def models(self):
        audit = json.loads((self.out / "audit/models.json").read_text())
        return {m["id"]: m["fidelity"] for m in audit["models"] + audit["exports"]}

    def test_its_terms_must_be_accepted_first(self):
        self.assertEqual(self.unaccepted.returncode, LICENCE, self.unaccepted.stderr)
        last = self.unaccepted.stderr.splitlines()[-1]
        self.assertIn("licence gemma is permit-with-duties", last)
        self.assertTrue(last.endswith("--accept-licence gemma"), last)

    def test_the_acceptance_is_on_record_and_asked_for_once(self):
        decision, = map(json.loads, (self.out / "decisions.jsonl").read_text().splitlines())
        self.assertEqual((decision["licence"], decision["verdict"]), ("gemma", "permit-with-duties"))
        again = self.run_recipe()
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertNotIn("begins", again.stderr)

    def test_training_brings_the_student_nearer(self):
        models = self.models()
        self.assertLess(models["student"]["kl"]["mean"], 0.6 * models["cut"]["kl"]["mean"])
        self.assertTrue(math.isfinite(models["student"]["perplexity"]))

    def test_its_duties_arrive_with_the_student(self):
        for page in ["export/README.md", "student/README.md", "report.html"]:
            text = (self.out / page).read_text()
            for duty in DUTIES if page != "student/README.md" else ["license: gemma"]:
                self.assertIn(duty, text, page)

    def test_the_files_are_of_the_teachers_terms_and_tokens(self):
        teacher = inspect(TEACHER)
        for exported in [self.out / "export/model.gguf", self.out / "export"]:
            found = inspect(exported)
            self.assertEqual((found["licence"]["id"], found["licence"]["verdict"]), ("gemma", "permit-with-duties"))
            self.assertEqual(found["licence"]["duties"], teacher["licence"]["duties"])
            self.assertEqual(found["tokenizer"], teacher["tokenizer"])
            self.assertEqual((found["layers"], found["hidden"], found["vocab_size"]), (3, teacher["hidden"], teacher["vocab_size"]))

    def test_the_exported_model_speaks(self):
        done = retort("eval", self.out / "export/model.gguf", "--text", self.dir / "books-valid.jsonl", "--max-tokens", 150, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(math.isfinite(json.loads(done.stdout)["perplexity"]))


if __name__ == "__main__":
    unittest.main()
