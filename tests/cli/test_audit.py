#!/usr/bin/env python3
"""retort audit finds nothing between a model and itself, and says what a broken copy lost."""
import json

from program import INPUT, TEACHER, USAGE, ProgramTest, main

WORDS = "apple river stone cloud chair paper bread horse glass sugar".split()
FINDING = 10


class Audit(ProgramTest):
    def audit(self, *args):
        """What comes next in a list said twice, and a word that does not."""
        lists = [[WORDS[(i + j * k) % 10] for j in range(4)] for i in range(10) for k in (1, 3, 7, 9)]
        rows = self.write_lines("rows.jsonl", [{"context": f"{a} {b} {c} {a} {b} {c} {a} {b}", "choices": [c, d], "gold": 0}
                                               for a, b, c, d in lists])
        return self.run_program("audit", *args, "--task", f"boolq={rows}", "--precision", "f32")

    def test_a_model_beside_itself(self):
        r = self.audit(TEACHER, "--against", TEACHER, "--gate", "--json")
        self.assertEqual(r.returncode, 0, r.stderr)
        report = json.loads(r.stdout)
        row = report["families"][0]["rows"][0]
        self.assertEqual((row["difference"], row["low"], row["high"], row["flips"], row["p"]), (0, 0, 0, 0, 1))
        self.assertEqual((row["verdict"], row["n"], row["metric"]), ("kept", 40, "acc"))
        self.assertGreater(row["teacher"], 0.9)
        self.assertEqual(row["retention"], {"value": 1, "low": 1, "high": 1})

    def test_what_a_cut_lost_is_named(self):
        student = self.dir / "cut"
        self.ok("init", TEACHER, "-o", student, "--keep", "29")
        r = self.audit(student, "--against", TEACHER, "--gate")
        self.assertEqual(r.returncode, FINDING, r.stderr)
        self.assertIn(b"lost", r.stdout)
        self.assertIn(b"gate: boolq is lost", r.stderr)
        r = self.audit(TEACHER, "--against", TEACHER, "--baseline", f"cut={student}", "--json")
        report = json.loads(r.stdout)
        self.assertEqual([(f["model"], f["reference"], f["rows"][0]["verdict"]) for f in report["families"]],
                         [("student", "teacher", "kept"), ("cut", "teacher", "lost"), ("student", "cut", "gained"),
                          ("student", "teacher", "kept")])
        self.assertEqual([f["family"] for f in report["families"]], ["tasks"] * 3 + ["calibration"])
        self.assertEqual(report["claims"]["statement"], "competitive on boolq")

    def test_safeguards_of_a_model_beside_itself(self):
        rows = self.write_lines("prompts.jsonl", [{"id": f"x{i}", "prompt": f"Tell me about {word}.", "type": "words", "focus": word,
                                                   "label": ("safe", "unsafe")[i % 2]} for i, word in enumerate(WORDS[:6])])
        r = self.run_program("audit", TEACHER, "--against", TEACHER, "--gate", "--task", f"xstest={rows}", "--json")
        self.assertEqual(r.returncode, 0, r.stderr)
        families = json.loads(r.stdout)["families"]
        self.assertEqual([(f["family"], len(f["rows"])) for f in families], [("tasks", 0), ("safeguards", 6)])
        for row in families[1]["rows"]:
            with self.subTest(row["metric"]):
                self.assertEqual((row["difference"], row["low"], row["high"], row["p"], row["verdict"]), (0, 0, 0, 1, "kept"))
        self.assertIn(b"Safeguards and neutrality", self.ok("audit", TEACHER, "--against", TEACHER, "--task", f"xstest={rows}"))

    def saved(self, name, right, **changes):
        """Results of 200 items of BoolQ's kind, the first `right` of them right."""
        items = [{"id": str(i), "metrics": {"acc": int(i < right)}} for i in range(200)]
        result = {"format": "retort task result 1", "task": "boolq", "version": "2.0", "skill": "reading", "harness": "x",
                  "chat": "none", "precision": "bf16", "items_hash": "00000000000000ff", "chance": 0.5,
                  "metrics": {"acc": {"value": right / 200, "stderr": None, "n": 200, "higher_is_better": True}}, "items": items}
        self.write(f"{name}/boolq.json", result | changes)
        self.write(f"{name}/results.json", {"model": name})
        return self.dir / name

    def test_saved_results_stand_for_their_models(self):
        student = self.dir / "cut"
        self.ok("init", TEACHER, "-o", student, "--keep", "29")
        first = self.audit(student, "--against", TEACHER, "--save", "kept", "--json")
        again = self.run_program("audit", "kept/student", "--against", "kept/teacher", "--task", "boolq", "--json")
        self.assertEqual(again.returncode, 0, again.stderr)
        a, b = json.loads(first.stdout), json.loads(again.stdout)
        families = [[f for f in report["families"] if f["family"] != "slices"] for report in (a, b)]
        self.assertEqual(*families)
        self.assertEqual(a["claims"], b["claims"])
        self.refused(USAGE, "audit", TEACHER, "--against", "kept/teacher", "--task", "boolq", says="NAME=FILE")

    def test_unlike_results_are_refused_unless_said(self):
        teacher, student = self.saved("t", 180), self.saved("s", 178, precision="f32")
        args = ("audit", student, "--against", teacher, "--task", "boolq")
        self.refused(INPUT, *args, says=("precision bf16 of the teacher, f32 of the student", "--unlike"))
        self.assertIn(b"not alike:", self.ok(*args, "--unlike"))
        self.write("s/boolq.json", {"format": "retort task result 1"})
        self.refused(INPUT, *args, says="boolq.json")

    def test_only_a_model_beside_itself_differs_by_exactly_nothing(self):
        for other, verdict in (("b" * 64, "open"), ("a" * 64, "kept")):
            teacher, student = self.saved("t", 180, model_sha256="a" * 64), self.saved("s", 180, model_sha256=other)
            row = self.ok_json("audit", student, "--against", teacher, "--task", "boolq", "--margin", "0.01")["families"][0]["rows"][0]
            with self.subTest(verdict):
                bound = 1 - 0.05 ** (1 / 200) if verdict == "open" else 0
                self.assertEqual((row["flips"], row["verdict"]), (0, verdict))
                self.assertAlmostEqual(row["may_flip"], bound, 12)
                self.assertAlmostEqual(row["low"], -bound, 12)

    def test_the_spread_over_seeds_is_printed(self):
        teacher, students = self.saved("t", 180), [self.saved(f"s{n}", n) for n in (150, 160, 170)]
        args = ("audit", students[0], "--against", teacher, "--task", "boolq")
        self.assertIn(b"how far another would lie", self.ok(*args))
        out = self.ok(*args, "--another-seed", students[1], "--another-seed", students[2])
        self.assertIn(b"boolq: -10.0, standard deviation 5.0, -15.0 to -5.0 over 3", out)

    def test_items_in_the_training_text_are_counted(self):
        text = self.write("train.txt", "Long ago an apple river stone cloud apple river stone cloud apple river stone cloud was seen.")
        rows = [{"context": f"{w} river stone cloud {w} river stone cloud {w} river stone", "choices": ["cloud", w], "gold": 0}
                for w in ("apple", "horse", "glass")]
        data = self.write_lines("boolq.jsonl", rows)
        out = self.ok_json("audit", TEACHER, "--against", TEACHER, "--task", f"boolq={data}", "--train-text", text)
        self.assertEqual(out["contamination"], [{"task": "boolq", "items": 3, "checked": 3, "found": 1, "share": 1 / 3}])
        self.assertEqual([(f["family"], f["rows"][0]["n"]) for f in out["families"]], [("tasks", 3), ("clean", 2), ("calibration", 3)])
        self.assertEqual(out["trained_for"], [{"task": "boolq", "how": "items found"}])
        said = self.ok("audit", TEACHER, "--against", TEACHER, "--task", f"boolq={data}", "--seen", "boolq")
        self.assertIn(b"trained for:    boolq (declared)", said)

    def test_what_makes_no_sense_is_refused(self):
        for words, args in (("nothing to compare", ()), ("NAME=FILE", ("--against", TEACHER, "--task", "boolq=")),
                            ("not above 0", ("--against", TEACHER, "--task", "boolq=x", "--margin", "0")),
                            ("hellaswag", ("--against", TEACHER, "--task", "chess=x")),
                            ("NAME=MODEL", ("--against", TEACHER, "--task", "boolq=x", "--baseline", "cut")),
                            ("already", ("--against", TEACHER, "--task", "boolq=x", "--baseline", f"student={TEACHER}")),
                            ("'boolq' is given twice", ("--against", TEACHER, "--task", "boolq=x", "--task", "boolq=y")),
                            ("'piqa'", ("--against", TEACHER, "--task", "boolq=x", "--seen", "piqa"))):
            self.refused(USAGE, "audit", TEACHER, *args, says=words)


if __name__ == "__main__":
    main()
