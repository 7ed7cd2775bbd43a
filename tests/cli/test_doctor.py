"""`retort doctor` tells what is in use; `retort runs` and `retort bench` keep to their keys."""
import json

from program import INPUT, TEACHER, USAGE, ProgramTest, main

LEVELS = ["generic", "avx2", "avx512", "avx512bf16", "amx"]
BENCH_KEYS = {"teacher_tokens_per_s", "step_tokens_per_s", "step_over_gemm", "decode_tokens_per_s", "cache_bytes_per_token", "peak_bytes"}


class Doctor(ProgramTest):
    def test_keys(self):
        j = self.ok_json("doctor")
        self.assertLessEqual({"version", "cpu", "processors", "threads", "isa", "amx", "matrix_inputs", "memory_available", "disk_free",
                              "libraries", "missing"}, set(j))
        self.assertEqual([level["name"] for level in j["isa"]["levels"]], LEVELS)
        self.assertIn(b"processor", self.ok("doctor"))

    def test_a_lowered_level_is_seen_and_named_as_a_brake(self):
        detected = self.ok_json("doctor")["isa"]["detected"]
        for level in LEVELS[:LEVELS.index(detected) + 1]:
            j = self.ok_json("doctor", env={"RETORT_ISA": level})
            self.assertEqual(j["isa"]["in_use"], level)
            self.assertEqual(any("RETORT_ISA" in m["what"] for m in j["missing"]), level != detected)
            if level in LEVELS[:3]:
                self.assertEqual(j["matrix_inputs"], "f32")

    def test_threads_asked_for_are_threads_in_use(self):
        self.assertEqual(self.ok_json("doctor", "--threads", 3)["threads"], 3)

    def test_a_missing_teacher_is_named_with_its_remedy(self):
        remedies = [m["remedy"] for m in self.ok_json("doctor")["missing"]]
        self.assertTrue(any("make fetch" in r for r in remedies), remedies)


class Runs(ProgramTest):
    def test_runs_are_listed_by_their_manifests(self):
        self.assertEqual(self.ok_json("runs"), {"runs": []})
        self.assertIn(b"no runs", self.ok("runs"))
        self.write("runs/a/run.json", {"schema": 1, "name": "a", "created": "2026-11-21T00:00:00Z",
                                       "stages": [{"name": "collect", "state": "done", "active_s": 2.5}, {"name": "train", "state": "failed"}]})
        self.write("runs/b/notes.txt", "no run")
        runs = self.ok_json("runs")["runs"]
        self.assertEqual([(r["name"], r["state"], r["active_s"]) for r in runs], [("a", "failed", 2.5)])
        self.assertIn(b"train:failed", self.ok("runs"))

    def test_reports_are_of_runs(self):
        self.refused(INPUT, "report", "none", says="'none'")
        (self.dir / "empty").mkdir()
        self.refused(INPUT, "report", "empty", says="recipe.yaml")


class Bench(ProgramTest):
    def test_keys_and_sense(self):
        j = self.ok_json("bench", self.tiny_model(source="llama"), "--quick", "--threads", 1)
        self.assertLessEqual(BENCH_KEYS, set(j))
        self.assertEqual(list(j["decode_tokens_per_s"]), ["1", "8", "32"])
        self.assertTrue(all(v > 0 for v in [j[k] for k in BENCH_KEYS - {"decode_tokens_per_s"}] + list(j["decode_tokens_per_s"].values())))
        self.assertGreater(j["step_over_gemm"], 1, "a step is its products and more")
        self.assertEqual(j["draws"], 50)
        steps = sorted(turn["step_seconds"] for turn in j["step_turns"])
        self.assertLessEqual(steps[0], j["step_seconds"])
        self.assertLessEqual(j["step_seconds"], steps[-1])

    def test_one_part_is_measured_alone(self):
        model = self.tiny_model(source="llama")
        for part, key in (("bare", None), ("teacher", "teacher_tokens_per_s"), ("step", "step_over_gemm"), ("io", "tokenizer_bytes_per_s"),
                          ("answers", "answers")):
            j = self.ok_json("bench", model, "--quick", "--threads", 1, "--only", part)
            self.assertGreater(j["bare_flops"]["F32"]["median"], 0)
            for other in ("teacher_tokens_per_s", "step_over_gemm", "tokenizer_bytes_per_s", "answers"):
                self.assertEqual(j[other] is not None, other == key, (part, other))
        self.refused(USAGE, "bench", model, "--quick", "--only", "length", "--lengths", "512", says="the model's context, 256")
        for lengths in ("700", "512,", "512;1024"):
            self.refused(USAGE, "bench", model, "--lengths", lengths, says="is not some of 512,1024,2048,4096,8192")
        self.refused(USAGE, "bench", model, "--only", "half", says=("--only", "'half'", "decode"))

    def test_without_a_permit_nothing_is_collected(self):
        j = self.ok_json("bench", self.tiny_model(licence=None), "--quick", "--threads", 1)
        self.assertIsNone(j["teacher_tokens_per_s"])
        self.assertIsNone(j["cache_bytes_per_token"])
        self.assertGreater(j["step_tokens_per_s"], 0)

    def test_nothing_is_left_behind(self):
        (self.dir / "tmp").mkdir()
        self.ok("bench", self.tiny_model(), "--quick", "--threads", 1, env={"TMPDIR": str(self.dir / "tmp")})
        self.assertEqual(list((self.dir / "tmp").iterdir()), [])

    def test_the_default_model_is_asked_for_by_name(self):
        self.refused(INPUT, "bench", says=(TEACHER.name, "make fetch"))


if __name__ == "__main__":
    main()
