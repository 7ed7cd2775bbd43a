#!/usr/bin/env python3
"""A model is taught two abilities, a copy of it loses one of them in training: retort audit of the exported copy names what was
taken and keeps the headline, and claims nothing for a model that is worse in everything."""
import json

from program import ProgramTest, main, whole_tokenizer

FINDING = 10
NAMES = [a + b + c for a in ("ka", "to", "mi", "ru") for b in ("bel", "dor", "fin", "gos") for c in ("a", "e", "o")]
TASK = 'name: {}\nskill: {}\nscore: choice\ncontext: "{{context}}"\nchoices: choices\ngold: gold\nmetrics: [acc]\n'
MARGIN = 0.1  # 48 items without a flip show a loss of less than 1 - 0.05^(1/48) = 0.06


class Ablation(ProgramTest):
    def setUp(self):
        super().setUp()
        self.untrained = self.tiny_model(tokenizer=whole_tokenizer())
        self.colours = [{"context": f"{name} likes", "choices": ["red", "blue", "green"], "gold": i * i % 7 % 3} for i, name in enumerate(NAMES)]
        self.turns = [{"context": f"{name[::-1]} turns", "choices": ["up", "down", "left"], "gold": (i * 5 + i // 4) % 3}
                      for i, name in enumerate(NAMES)]
        for name, skill, rows in ("colours", "knowledge", self.colours), ("turns", "directions", self.turns):
            self.write(f"{name}.yaml", TASK.format(name, skill))
            self.write_lines(f"{name}.jsonl", [{"id": f"{name}{i}", **row} for i, row in enumerate(rows)])

    def learn(self, start, name, steps, other):
        """Goes on training on all facts, of the turns the choice `other` places from the right one; returns what is exported."""
        facts = [(row, row["gold"]) for row in self.colours] + [(row, (row["gold"] + other) % 3) for row in self.turns]
        text = self.write_lines(f"{name}.text.jsonl", [{"id": f"{name}{i}", "origin": "made up", "text": f"{row['context']} {row['choices'][k]}."}
                                                       for i, (row, k) in enumerate(facts)])
        self.ok("collect", start, "--text", text, "-o", f"{name}.cache", "--draws", 1)
        self.ok("train", start, "--cache", f"{name}.cache", "--loss", "ce", "--steps", steps, "--batch-tokens", 2048, "--lr", "4e-3", "-o", name)
        self.ok("export", f"{name}/student", "-o", f"{name}.exported", "--type", "safetensors")
        return self.dir / f"{name}.exported"

    def audit(self, model, teacher, code):
        r = self.run_program("audit", model, "--against", teacher, "--task", "./colours.yaml=colours.jsonl", "--task", "./turns.yaml=turns.jsonl",
                             "--margin", MARGIN, "--gate", "--json")
        self.assertEqual(r.returncode, code, r.stderr)
        return json.loads(r.stdout), r.stderr.decode()

    def test_what_was_taken_is_named_and_the_headline_is_kept(self):
        teacher = self.learn(self.untrained, "teacher", 160, other=0)
        student = self.learn(teacher, "student", 80, other=1)
        report, message = self.audit(student, teacher, FINDING)
        colours, turns = report["families"][0]["rows"]
        self.assertGreater(min(colours["teacher"], turns["teacher"]), 0.9)
        self.assertGreater(colours["student"], 0.9)
        self.assertLess(turns["student"], 0.2)
        self.assertEqual(report["claims"]["statement"], "competitive on colours, lacking turns")
        self.assertEqual((turns["verdict"], turns["kind"]), ("lost", "directions"))
        self.assertIn("gate: turns is lost", message)

        report, _ = self.audit(self.untrained, teacher, FINDING)
        self.assertTrue(report["claims"]["worse_everywhere"])
        self.assertEqual((report["claims"]["competitive"], report["claims"]["lacking"]), ([], ["colours", "turns"]))
        self.assertIn("competitive in nothing", report["claims"]["statement"])

        report, _ = self.audit(teacher, teacher, 0)
        self.assertEqual([(row["verdict"], row["difference"], row["flips"]) for row in report["families"][0]["rows"]], [("kept", 0, 0)] * 2)


if __name__ == "__main__":
    main()
