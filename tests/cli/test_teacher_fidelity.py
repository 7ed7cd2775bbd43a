"""A teacher that bf16 products take far from its own file is refused, or accepted on record; the figure is told."""
import json
import struct

from program import USAGE, ProgramTest, main, whole_tokenizer

FINDING = 10


class TeacherFidelity(ProgramTest):
    def teacher(self, name, factor=1):
        """The tiny model with its last norm, and so its logits, multiplied."""
        folder = self.tiny_model(name, tokenizer=whole_tokenizer())
        path = folder / "model.safetensors"
        data = bytearray(path.read_bytes())
        (n,) = struct.unpack("<Q", data[:8])
        norm = json.loads(data[8:8 + n])["model.norm.weight"]
        code = {"F32": "f", "F16": "e"}[norm["dtype"]]
        begin, end = (8 + n + at for at in norm["data_offsets"])
        values = [factor * x for (x,) in struct.iter_unpack("<" + code, data[begin:end])]
        data[begin:end] = struct.pack(f"<{len(values)}{code}", *values)
        path.write_bytes(data)
        return folder

    def collect(self, teacher, cache, *options):
        return self.ok_json("collect", teacher, "--text", self.texts(n=24), "--draws", 4, "-o", cache, *options)["teacher_fidelity"]

    def ledger(self, path):
        return [json.loads(line) for line in (self.dir / path).read_text().splitlines()]

    def test_a_good_teachers_figure_stands_beside_its_cache(self):
        told = self.collect(self.teacher("good"), "cache")
        if "unmeasured" in told:
            self.assertEqual(told["unmeasured"], "the teacher speaks in f32")
            self.skipTest("this machine is not faster with bf16 products")
        self.assertLess(told["kl"], 0.05)
        self.assertGreater(told["positions"], 100)
        kept = json.loads((self.dir / "cache/cache.json").read_text())["teacher_fidelity"]
        self.assertEqual((kept["kl"], kept["compute"], kept["reference"]), (told["kl"], "BF16", "F32"))
        self.assertEqual(self.ledger("cache/ledger.jsonl")[0]["settings"]["teacher_fidelity"], kept)
        f32 = self.collect(self.teacher("other"), "exact", "--precision", "f32")
        self.assertEqual(f32, {"unmeasured": "the teacher speaks in f32"})

    def test_a_teacher_that_rounding_changes_is_refused_or_accepted_on_record(self):
        if "unmeasured" in self.collect(self.teacher("good"), "cache"):
            self.skipTest("this machine is not faster with bf16 products")
        bad = self.teacher("bad", 512)
        self.refused(FINDING, "collect", bad, "--text", self.texts(n=24), "-o", "refused",
                     says=("'bad'", "--precision f32", "--accept-degraded-teacher", "teacher.accept_degraded"))
        self.assertEqual(sorted(p.name for p in (self.dir / "refused").iterdir()), ["fidelity.json"])
        told = self.collect(bad, "refused", "--accept-degraded-teacher")
        self.assertGreater(told["kl"], 0.05)
        decisions = [line["decision"] for line in self.ledger("refused/ledger.jsonl") if line["kind"] == "decision"]
        self.assertEqual([d["degraded_teacher_accepted"]["kl"] for d in decisions], [told["kl"]])

    def test_nothing_is_accepted_of_a_teacher_that_writes(self):
        self.refused(USAGE, "collect", "http://127.0.0.1:1", "--targets", "text", "--model", "m", "--teacher-licence", "apache-2.0", "--prompts", "p.jsonl",
                     "-o", "cache", "--accept-degraded-teacher", says="--accept-degraded-teacher")
        self.refused(USAGE, "collect", "--import", "x.kld", "-o", "cache", "--accept-degraded-teacher", says="--accept-degraded-teacher")
        self.refused(USAGE, "collect", self.teacher("good"), "--targets", "text", "--prompts", "p.jsonl", "-o", "cache", "--accept-degraded-teacher",
                     says="does not go with --targets text")

    def test_a_recipe_accepts_it_by_a_key(self):
        if "unmeasured" in self.collect(self.teacher("good"), "cache"):
            self.skipTest("this machine is not faster with bf16 products")
        self.teacher("bad", 512)
        recipe = self.write("r.yaml", """
teacher: {model: bad}
data: {text: [text.jsonl]}
collect: {draws: 4}
student: {keep: [0, 2]}
train: {tokens: 600, batch_tokens: 256, sequence: 64}
export: [{type: f32}]
audit: {twin: none, tokens: 300}
""")
        self.refused(FINDING, "run", recipe, says="teacher.accept_degraded")
        self.ok("run", recipe, "--set", "teacher.accept_degraded=true")
        told = json.loads((self.dir / "runs/r/collect.json").read_text())["teacher_fidelity"]
        self.assertGreater(told["kl"], 0.05)
        self.assertIn("KL to its f32 path", (self.dir / "runs/r/report.html").read_text())


if __name__ == "__main__":
    main()
