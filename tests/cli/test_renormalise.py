"""bench_renormalise: what bench/targets.sh compares top-k with tail to."""
import json
import pathlib
import subprocess

from program import RETORT, ProgramTest, main

RENORMALISE = pathlib.Path(RETORT).with_name("bench_renormalise")
ROWS = 331  # of the reference models' vocabulary


class Renormalise(ProgramTest):
    def setUp(self):
        super().setUp()
        self.teacher = self.tiny_model("teacher")
        self.texts(n=8)

    def renormalise(self, cache):
        return subprocess.run([RENORMALISE, self.teacher, cache, f"{cache}-renormalised"], cwd=self.dir,
                              capture_output=True, timeout=60)

    def loss(self, cache):
        """Of the teacher beside itself."""
        self.ok("train", self.teacher, "--cache", cache, "--steps", 1, "--batch-tokens", 256, "-o", f"run-{cache}")
        rows = (self.dir / f"run-{cache}/metrics.jsonl").read_text().splitlines()
        return next(row["loss"] for row in map(json.loads, rows) if "loss" in row)

    def test_beside_itself_a_teacher_loses_the_log_of_the_mass_that_was_kept(self):
        renormalised = {}
        for k in (2, 8, ROWS):
            self.ok("collect", self.teacher, "--text", "text.jsonl", "--targets", "topk", "--k", k, "-o", f"top-{k}")
            r = self.renormalise(f"top-{k}")
            self.assertEqual(r.returncode, 0, r.stderr.decode())
            self.assertLess(abs(self.loss(f"top-{k}")), 0.01)
            renormalised[k] = self.loss(f"top-{k}-renormalised")
        self.assertGreater(renormalised[2], renormalised[8] + 0.1)
        self.assertGreater(renormalised[8], 0.1)
        self.assertLess(abs(renormalised[ROWS]), 0.01)
        header = json.loads((self.dir / "top-8-renormalised/cache.json").read_text())["header"]
        self.assertTrue(header["teacher_name"].endswith(", renormalised"))

    def test_draws_are_refused(self):
        self.ok("collect", self.teacher, "--text", "text.jsonl", "--draws", 4, "-o", "draws")
        r = self.renormalise("draws")
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("'draws' holds sample targets", r.stderr.decode())


if __name__ == "__main__":
    main()
